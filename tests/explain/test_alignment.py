import numpy as np
import pytest
import torch

from decur.errors import DataError
from decur.explain import Moments, alignment_histogram, alignment_losses, standardize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_standardise_is_batch_norm(rng):
    z = rng.normal(3, 2, (20, 5))
    norm = torch.nn.BatchNorm1d(5, affine=False).double()
    np.testing.assert_allclose(standardize(z), norm(torch.from_numpy(z)).numpy(), atol=1e-12)


def test_known_correlations_give_known_losses_and_histogram(rng):
    n = 200000
    a, noise = rng.normal(size=(2, n))
    # Correlations 1, 0.6, 0, -1: losses 0, 0.16, 1, 4.
    za = np.stack([a, a, a, a], 1)
    zb = np.stack([2 * a + 1, 0.6 * a + 0.8 * noise, noise, -a], 1)
    losses = alignment_losses(za, zb)
    np.testing.assert_allclose(losses, [0, 0.16, 1, 4], atol=0.01)
    losses[2] = 0.999
    out = alignment_histogram(losses, dict(common=slice(0, 2), unique=slice(2, 4)), bins=10)
    np.testing.assert_array_equal(out['edges'], np.linspace(0, 1, 11))
    np.testing.assert_array_equal(out['counts']['common'], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(out['counts']['unique'], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert out['outside'] == dict(common=0, unique=1)  # outside of (0, 1), and not lost silently


def test_losses_are_the_diagonal_terms_of_the_objective(rng):
    from decur.models.objectives import decur_loss
    za, zb = rng.normal(size=(2, 30, 6)) + rng.normal(size=(1, 30, 6))
    losses = alignment_losses(za, zb)
    views = {'a': (torch.from_numpy(za), torch.from_numpy(za)), 'b': (torch.from_numpy(zb), torch.from_numpy(zb))}
    assert losses.sum() == pytest.approx(decur_loss(views, 6, 0.0)['loss_common_a_b'].item(), rel=1e-9)


def test_moments_of_batches_are_those_of_everything(rng):
    z = rng.normal(100, 1e-3, (101, 3))  # far from 0: sums of squares would lose all digits
    moments = Moments()
    for part in np.array_split(z, 7):
        moments.update(part)
    np.testing.assert_allclose(moments.mean, z.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.std, z.std(0), rtol=1e-9)
    assert moments.count == 101


def test_bad_input(rng):
    with pytest.raises(DataError, match='at least 2 samples'):
        alignment_losses(np.zeros((1, 4)), np.zeros((1, 4)))
    with pytest.raises(DataError, match='one shape'):
        alignment_losses(np.zeros((5, 4)), np.zeros((5, 3)))
    moments = Moments()
    moments.update(np.zeros((1, 2)))
    with pytest.raises(DataError, match='at least 2'):
        _ = moments.std

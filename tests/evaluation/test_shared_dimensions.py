"""The share of common dimensions, on worlds whose answer is known."""
import numpy as np
import pytest

from decur.errors import ConfigError, DataError
from decur.evaluation.shared_dimensions import canonical_correlations, suggest_common_share


def world(shared, private, noise=.1, samples=1500, width=16, seed=0, names='ab'):
    """Two noisy views of linear mixtures: some coordinates are shared, the others are each modality's own."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(samples, shared))
    views = {}
    for name in names:
        hidden = np.concatenate([common, rng.normal(size=(samples, private))], 1)
        clean = hidden @ rng.normal(size=(shared + private, width))
        views[name] = tuple(clean + noise * rng.normal(size=clean.shape) for _ in range(2))
    return views


@pytest.mark.parametrize('shared, private', [(1, 5), (2, 4), (3, 3), (3, 1), (5, 0)])
@pytest.mark.parametrize('seed', [0, 1])
def test_it_counts_shared_and_private_coordinates(shared, private, seed):
    found = suggest_common_share(world(shared, private, seed=seed))
    assert found['across'] == {('a', 'b'): shared} and found['within'] == dict(a=shared + private, b=shared + private)
    assert found['share'] == pytest.approx(shared / (shared + private))


def test_three_modalities_and_noisier_data():
    found = suggest_common_share(world(2, 3, noise=1., names='abc', samples=3000))
    assert set(found['across'].values()) == {2} and set(found['within'].values()) == {5}


def test_independent_representations_share_nothing():
    false_alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values, threshold = canonical_correlations(rng.normal(size=(400, 10)), rng.normal(size=(400, 12)), seed=seed)
        false_alarms += (values > threshold).any()
    assert false_alarms <= 3  # 5 % each


def test_scale_rotation_and_constant_columns_do_not_matter():
    a, b = world(2, 2)['a'][0], world(2, 2)['b'][0]
    values, threshold = canonical_correlations(a, b)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(16, 16)))[0]
    again, same = canonical_correlations(1e4 * a @ rotation + 7, np.concatenate([b, np.ones((len(b), 3))], 1))
    np.testing.assert_allclose(values, again, atol=1e-6)
    assert threshold == pytest.approx(same, abs=1e-6)


def test_the_held_out_correlation_is_the_true_one():
    """Of x and x + noise of variance 1: 1 / sqrt(2)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 1))
    values, threshold = canonical_correlations(x, x + rng.normal(size=x.shape))
    assert values == pytest.approx([2**-.5], abs=.02) and threshold < .05


@pytest.mark.parametrize('a, b, error, message', [
    (np.zeros((50, 2)), np.random.rand(50, 2), DataError, 'same for all samples'),
    (np.ones((50, 2)), np.ones((40, 2)), DataError, 'same samples'),
    (np.full((50, 2), np.nan), np.ones((50, 2)), DataError, 'not finite'), (np.ones((8, 2)), np.ones((8, 2)), DataError, 'at least'),
])
def test_wrong_representations(a, b, error, message):
    with pytest.raises(error, match=message):
        canonical_correlations(a, b)


def test_wrong_options():
    with pytest.raises(ConfigError, match='level'):
        canonical_correlations(np.random.rand(50, 2), np.random.rand(50, 2), level=0)
    with pytest.raises(ConfigError, match='two modalities'):
        suggest_common_share(dict(a=(np.random.rand(50, 2), ) * 2))
    with pytest.raises(DataError, match="'a' have nothing in common"):
        rng = np.random.default_rng(0)
        suggest_common_share(dict(a=(rng.normal(size=(400, 3)), rng.normal(size=(400, 3))), b=(rng.normal(size=(400, 3)), ) * 2))

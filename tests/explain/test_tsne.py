import numpy as np
import pytest

from decur.errors import DataError
from decur.explain import tsne_of_dimensions


def groups(rng, n=40):
    """Common dimensions carry one signal in both modalities; unique ones carry their modality's own."""
    common, a, b = rng.normal(size=(3, n, 1))
    noise = lambda k: 0.1 * rng.normal(size=(n, k))  # noqa: E731
    return dict(a=np.concatenate([common + noise(20), a + noise(10)], 1), b=np.concatenate([common + noise(20), b + noise(10)], 1))


def test_common_dimensions_of_two_modalities_mix_and_unique_ones_part():
    out = tsne_of_dimensions(groups(np.random.default_rng(0)), dict(common=slice(0, 20), unique=slice(20, 30)), perplexity=8)
    assert out['points'].shape == (60, 2)
    np.testing.assert_array_equal(out['dimension'], [*range(30)] * 2)
    centre = {(m, b): out['points'][(out['modality'] == m) & (out['block'] == b)].mean(0) for m in 'ab' for b in ('common', 'unique')}
    together = np.linalg.norm(centre['a', 'common'] - centre['b', 'common'])
    for key in (('a', 'unique'), ('b', 'unique')):
        assert np.linalg.norm(centre[key] - centre['a', 'common']) > 3 * together
    assert np.linalg.norm(centre['a', 'unique'] - centre['b', 'unique']) > 3 * together


def test_a_subset_of_dimensions_keeps_the_share_of_blocks_and_repeats():
    z = groups(np.random.default_rng(0))
    blocks = dict(common=slice(0, 20), unique=slice(20, 30))
    first, second = (tsne_of_dimensions(z, blocks, perplexity=5, max_dims=15) for _ in range(2))
    assert [(first['block'] == b).sum() for b in blocks] == [20, 10]
    np.testing.assert_array_equal(first['points'], second['points'])


def test_bad_input():
    z = groups(np.random.default_rng(0))
    with pytest.raises(DataError, match='perplexity'):
        tsne_of_dimensions(z, dict(all=slice(0, 30)), perplexity=60)
    with pytest.raises(DataError, match='different numbers'):
        tsne_of_dimensions(dict(a=z['a'], b=z['b'][:5]), dict(all=slice(0, 30)))

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from decur.errors import DataError
from decur.evaluation import decoupling


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_eta_squared_is_between_over_total_sum_of_squares(rng):
    z, y = rng.normal(size=(60, 3)), rng.integers(0, 4, 60)
    between = sum((y == c).sum() * (z[y == c].mean(0) - z.mean(0)) ** 2 for c in range(4))
    expected = between / ((z - z.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(decoupling.variance_explained(z, y, 'categorical', corrected=False), expected)


def test_r2_is_that_of_scikit_learn(rng):
    s, a = rng.normal(size=(80, 2)), rng.uniform(0, 2 * np.pi, 80)
    z = rng.normal(size=(80, 2)) + s
    powers = np.concatenate([s, s ** 2], axis=1)
    expected = [LinearRegression().fit(powers, z[:, k]).score(powers, z[:, k]) for k in range(2)]
    np.testing.assert_allclose(decoupling.variance_explained(z, s, 'continuous', degree=2, corrected=False), expected)
    harmonics = np.stack([np.cos(a), np.sin(a)], axis=1)
    expected = [LinearRegression().fit(harmonics, z[:, k]).score(harmonics, z[:, k]) for k in range(2)]
    np.testing.assert_allclose(decoupling.variance_explained(z, a, 'periodic', degree=1, corrected=False), expected)


@pytest.mark.parametrize('kind', decoupling.KINDS)
def test_a_factor_that_means_nothing_scores_zero_on_average(rng, kind):
    z = rng.normal(size=(40, 4000))
    values = rng.integers(0, 8, 40) if kind == 'categorical' else rng.uniform(0, 6, 40)
    plain = decoupling.variance_explained(z, values, kind, corrected=False).mean()
    assert plain > 0.06  # what the correction is for
    assert abs(decoupling.variance_explained(z, values, kind).mean()) < 0.006


def test_known_shares(rng):
    n = 20000
    y = rng.integers(0, 2, n)
    noise = rng.normal(size=n)
    z = np.stack([y * 2. - 1, (y * 2. - 1) + noise, noise, np.full(n, 3.)], axis=1)
    np.testing.assert_allclose(decoupling.variance_explained(z, y, 'categorical'), [1, 0.5, 0, 0], atol=0.02)


def test_scale_and_offset_of_a_dimension_do_not_matter(rng):
    y = rng.integers(0, 3, 200)
    z = rng.normal(size=(200, 1)) + y[:, None]
    both = np.concatenate([z, z * 1e-6 + 5, z * 1e6], axis=1)
    scores = decoupling.variance_explained(both, y, 'categorical')
    np.testing.assert_allclose(scores, scores[0], rtol=1e-6)


def test_interactions_are_what_two_factors_explain_only_together(rng):
    n = 20000
    a, b, angle = rng.integers(0, 2, n), rng.integers(0, 3, n), rng.uniform(0, 2 * np.pi, n)
    sign = 2. * a - 1
    z = np.stack([sign * (b - 1.), sign + (b - 1.), sign * np.cos(angle), rng.normal(size=n)], axis=1)
    interaction = decoupling.interaction_explained
    np.testing.assert_allclose(interaction(z, (a, 'categorical'), (b, 'categorical')), [1, 0, 0, 0], atol=0.02)
    np.testing.assert_allclose(interaction(z, (a, 'categorical'), (angle, 'periodic')), [0, 0, 1, 0], atol=0.02)
    few = rng.normal(size=(100, 3000))
    assert abs(interaction(few, (a[:100], 'categorical'), (b[:100], 'categorical')).mean()) < 0.003  # corrected for chance


def test_angles_are_periodic(rng):
    a = rng.uniform(0, 2 * np.pi, 500)
    z = np.cos(a)[:, None]
    assert decoupling.variance_explained(z, a, 'periodic', degree=1)[0] > 0.999
    shifted = decoupling.variance_explained(z, a + 2 * np.pi * rng.integers(0, 3, 500), 'periodic', degree=1)
    assert shifted[0] > 0.999


def test_probe_reads_what_is_there_and_not_what_is_not(rng):
    y = rng.integers(0, 4, 800)
    x = np.eye(4)[y] @ rng.normal(size=(4, 16)) + 0.1 * rng.normal(size=(800, 16))
    assert decoupling.probe(x, y, 'categorical') > 0.98
    assert decoupling.probe(rng.normal(size=(800, 16)), y, 'categorical') < 0.35
    assert decoupling.chance_level(y, 'categorical') == pytest.approx(np.bincount(y).max() / 800)
    s = x[:, :3] @ rng.normal(size=(3, 2))
    assert decoupling.probe(x, s, 'continuous') > 0.99
    assert decoupling.probe(x, rng.normal(size=800), 'continuous') < 0.05
    a = rng.uniform(0, 2 * np.pi, 800)
    assert decoupling.probe(np.stack([np.cos(a + 1), np.sin(a + 1)], 1), a, 'periodic') > 0.99


def test_probe_is_tested_on_samples_it_has_not_seen(rng):
    # More dimensions than samples: a probe that is scored on its own samples would be perfect.
    y = rng.integers(0, 2, 100)
    assert decoupling.probe(rng.normal(size=(100, 500)), y, 'categorical') < 0.75


def test_what_is_shared_at_another_index_shows_off_the_diagonal(rng):
    z = rng.normal(size=(4000, 3))
    diagonal, off = decoupling.correlation_rms(z, np.roll(z, 1, axis=1))
    assert diagonal < 0.05 and off == pytest.approx(np.sqrt(3 / 6), abs=0.02)
    assert decoupling.correlation_rms(z, -z)[0] == pytest.approx(1)
    assert decoupling.correlation_rms(z[:, :1], z[:, :1]) == (pytest.approx(1), 0)
    with pytest.raises(DataError, match='equal shapes'):
        decoupling.correlation_rms(z, z[:, :2])


def test_mean_diagonal(rng):
    z = rng.normal(size=(500, 6))
    half = np.concatenate([z[:, :3], -z[:, 3:]], axis=1)
    assert decoupling.mean_diagonal(z, 3 * z + 1) == pytest.approx(1)
    assert decoupling.mean_diagonal(z, half) == pytest.approx(0)
    assert abs(decoupling.mean_diagonal(z, rng.normal(size=(500, 6)))) < 0.1
    dead = z.copy()
    dead[:, :3] = 2
    assert decoupling.mean_diagonal(dead, dead) == pytest.approx(0.5)


def test_cka_is_one_for_rotations_and_zero_for_unrelated_wide_blocks(rng):
    x = rng.normal(size=(60, 200))
    q, _ = np.linalg.qr(rng.normal(size=(200, 200)))
    assert decoupling.linear_cka(x, 2 * x @ q + 7) == pytest.approx(1)
    unrelated = np.mean([decoupling.linear_cka(rng.normal(size=(60, 200)), rng.normal(size=(60, 200))) for _ in range(20)])
    assert abs(unrelated) < 0.03  # the biased estimate gives 0.77 here
    assert decoupling.linear_cka(np.ones((10, 3)), rng.normal(size=(10, 3))) == 0


def test_cka_of_many_samples_is_the_plain_one(rng):
    x = rng.normal(size=(3000, 4))
    y = x[:, :2] + rng.normal(size=(3000, 2))
    xc, yc = x - x.mean(0), y - y.mean(0)
    plain = np.linalg.norm(xc.T @ yc) ** 2 / np.linalg.norm(xc.T @ xc) / np.linalg.norm(yc.T @ yc)
    assert decoupling.linear_cka(x, y) == pytest.approx(plain, abs=2e-3)


def test_effective_rank(rng):
    q, _ = np.linalg.qr(rng.normal(size=(100, 5)) - 0)
    q = q - q.mean(0)
    q, _ = np.linalg.qr(q)
    assert decoupling.effective_rank(q) == pytest.approx(5)
    # Singular values of 2 and 1, not their squares: exp(-2/3 log 2/3 - 1/3 log 1/3).
    assert decoupling.effective_rank(q[:, :2] * [2, 1]) == pytest.approx(3 / 2 ** (2 / 3))
    assert decoupling.effective_rank(q[:, :1] @ rng.normal(size=(1, 30))) == pytest.approx(1)
    assert decoupling.effective_rank(np.ones((10, 4))) == 0


def test_scores_of_a_perfect_and_of_a_reversed_model(rng):
    n = 600
    shape, colour_a, colour_b = (rng.integers(0, 4, n) for _ in range(3))
    code = rng.normal(size=(3, 4, 8))
    noise = lambda: 0.05 * rng.normal(size=(n, 8))  # noqa: E731
    common, a, b = code[0][shape], code[1][colour_a], code[2][colour_b]
    factors = dict(shape=shape, colour_a=colour_a, colour_b=colour_b)
    kinds = dict.fromkeys(factors, 'categorical')
    seen = dict(shape=('a', 'b'), colour_a=('a',), colour_b=('b',))
    embeddings = dict(a=np.concatenate([common + noise(), a + noise()], 1), b=np.concatenate([common + noise(), b + noise()], 1))
    tables = decoupling.decoupling_scores(embeddings, factors, kinds, 8, features=embeddings, seen=seen)

    def explained(tables, block, factor, modality='a'):
        return next(r['score'] for r in tables['explained'] if (r['modality'], r['block'], r['factor']) == (modality, block, factor))

    assert explained(tables, 'common', 'shape') > 0.9 > 0.05 > abs(explained(tables, 'common', 'colour_a'))
    assert explained(tables, 'unique', 'colour_a') > 0.9 > 0.05 > abs(explained(tables, 'unique', 'shape'))
    assert abs(explained(tables, 'unique', 'colour_b')) < 0.05  # not this modality's
    halves = [explained(tables, block, 'shape') for block in ('common', 'unique')]
    assert explained(tables, 'encoder', 'shape') == pytest.approx(np.mean(halves))  # here the features are the embeddings
    alignment = {row['block']: row['score'] for row in tables['alignment']}
    assert alignment['common'] > 0.95 and abs(alignment['unique']) < 0.2
    cka = {(r['modality_a'], r['block_a'], r['modality_b'], r['block_b']): r['score'] for r in tables['cka']}
    assert cka['a', 'common', 'b', 'common'] > 0.95 and abs(cka['a', 'common', 'a', 'unique']) < 0.05
    assert not any(r['factor'] == 'colour_b' and r['modality'] == 'a' for r in tables['probes'])
    assert {r['representation'] for r in tables['probes']} == {'encoder', 'embedding', 'common', 'unique'}
    ranks = {r['representation']: r['score'] for r in tables['effective_rank'] if r['modality'] == 'a'}
    assert ranks['common'] < ranks['embedding'] < 16

    swapped = {m: z[:, ::-1] for m, z in embeddings.items()}
    tables = decoupling.decoupling_scores(swapped, factors, kinds, 8, seen=seen)
    assert explained(tables, 'unique', 'shape') > 0.9 and explained(tables, 'common', 'colour_a') > 0.9


def test_no_split_and_empty_blocks():
    assert decoupling.blocks(8, None) == dict(all=slice(0, 8))
    assert decoupling.blocks(8, 0) == dict(unique=slice(0, 8))
    assert decoupling.blocks(8, 8) == dict(common=slice(0, 8))
    with pytest.raises(DataError, match='9 common dimensions'):
        decoupling.blocks(8, 9)


def test_blocks_of_subsets():
    from decur.models.objectives import DeCURHead, SubsetDeCURHead
    head = SubsetDeCURHead({'all': 3, ('optical', 'height'): 2, ('radar', 'height'): 1}, statistics=False)
    split = decoupling.split_of(head)
    assert split == {'common': 3, 'optical+height': 2, 'radar+height': 1}
    assert decoupling.blocks(8, split) == {
        'common': slice(0, 3), 'optical+height': slice(3, 5), 'radar+height': slice(5, 6), 'unique': slice(6, 8)}
    assert list(decoupling.blocks(6, split)) == list(split), 'nothing is unique'
    assert decoupling.split_of(DeCURHead(3)) == 3 and decoupling.split_of(None) is None
    with pytest.raises(DataError, match='6 common dimensions'):
        decoupling.blocks(5, split)


def test_bad_input(rng):
    z = rng.normal(size=(5, 3))
    with pytest.raises(DataError, match='too few'):
        decoupling.variance_explained(z, np.arange(5), 'categorical')
    with pytest.raises(DataError, match='kind'):
        decoupling.variance_explained(z, np.arange(5), 'colour')
    with pytest.raises(DataError, match='not finite'):
        decoupling.variance_explained(z, np.array([1, 2, np.nan, 3, 4]), 'continuous')
    with pytest.raises(DataError, match='same number of samples'):
        decoupling.decoupling_scores(dict(a=z), dict(f=np.arange(4)), dict(f='categorical'), 1)
    with pytest.raises(DataError, match="embeddings of 'a' are not finite .* 1 of 5"):
        broken = np.where(np.arange(5)[:, None] == 2, np.nan, z)
        decoupling.decoupling_scores(dict(a=broken), dict(f=np.arange(5)), dict(f='categorical'), 1)
    with pytest.raises(DataError, match='no kind'):
        decoupling.decoupling_scores(dict(a=z), dict(f=np.arange(5)), {}, 1)
    with pytest.raises(DataError, match='two classes'):
        decoupling.probe(z, np.zeros(5, int), 'categorical')
    with pytest.raises(DataError, match='at least 4'):
        decoupling.linear_cka(z[:3], z[:3])

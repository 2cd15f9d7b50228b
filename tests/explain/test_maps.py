"""Maps of two modalities beside each other."""
import numpy as np
import pytest

from decur.errors import DataError
from decur.explain import agreement_of_others, maps, normalize_maps, saliency_agreement, saliency_correlation, saliency_statistics
from decur.explain.maps import scale_maps


def test_normalized_maps_and_agreement():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(4, 5, 6))
    out = normalize_maps(raw)
    assert (out.min(axis=(1, 2)) == 0).all() and (out.max(axis=(1, 2)) == 1).all()
    np.testing.assert_allclose(normalize_maps(raw * 7 + 3), out, atol=1e-5)
    assert not normalize_maps(np.full((1, 2, 2), 3.)).any()
    left, right = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    left[:, :, :2], right[:, :, 2:] = 1, 1
    assert saliency_agreement(left, left)[0] == pytest.approx(0.5)
    assert saliency_agreement(left, right)[0] == 0
    with pytest.raises(DataError, match='one shape'):
        saliency_agreement(left, right[:, :2])


def test_brightness_alone_is_agreement_and_no_correlation():
    rng = np.random.default_rng(0)
    # Unrelated maps, one kind mostly bright, one mostly dark: the bright ones "agree" more, as much as those of different samples do.
    bright, dark = (rng.uniform(size=(2, 400, 6, 6)) ** power for power in (0.2, 3.0))
    for a, b in (bright, dark):
        assert saliency_agreement(a, b).mean() == pytest.approx(agreement_of_others(a, b).mean(), abs=0.005)
        assert abs(saliency_correlation(a, b).mean()) < 0.02
    assert saliency_agreement(*bright).mean() > 0.4 > 0.1 > saliency_agreement(*dark).mean()
    # Maps of the same sample that share a place, bright or dark.
    for a in (bright[0], dark[0]):
        assert saliency_agreement(a, a).mean() > agreement_of_others(a, a).mean() + 0.03
        np.testing.assert_allclose(saliency_correlation(a, 7 * a + 3), 1, atol=1e-5)
    np.testing.assert_allclose(saliency_correlation(dark[0], -dark[0]), -1, atol=1e-5)


def test_agreement_of_others_is_the_mean_over_the_other_samples():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
    expected = [np.mean([saliency_agreement(a[i:i + 1], b[j:j + 1])[0] for j in range(4) if j != i]) for i in range(4)]
    np.testing.assert_allclose(agreement_of_others(a, b), expected, rtol=1e-5)
    assert saliency_correlation(np.ones((1, 2, 2)), a[:1, :2, :2])[0] == 0
    with pytest.raises(DataError, match='at least 2'):
        agreement_of_others(a[:1], b[:1])
    for measure in (agreement_of_others, saliency_correlation):
        with pytest.raises(DataError, match='one shape'):
            measure(a, b[:, :2])


def test_scaled_maps_keep_zero_and_sign():
    np.testing.assert_allclose(scale_maps(np.array([[[-4., 2, 0]], [[0, 0, 0]]])), [[[-1, 0.5, 0]], [[0, 0, 0]]])


def test_all_statistics_normalize_every_map_once(monkeypatch):
    rng, calls = np.random.default_rng(0), []
    raw = {name: rng.normal(size=(5, 6, 7)) for name in ('a', 'b', 'c')}
    expected = {(x, y): dict(agreement=saliency_agreement(raw[x], raw[y]), others=agreement_of_others(raw[x], raw[y]),
                             correlation=saliency_correlation(raw[x], raw[y])) for x, y in (('a', 'b'), ('a', 'c'), ('b', 'c'))}
    monkeypatch.setattr(maps, 'normalize_maps', lambda m: calls.append(m) or normalize_maps(m))
    found = saliency_statistics(raw)
    assert len(calls) == 3
    assert list(found) == list(expected)
    for pair, statistics in expected.items():
        assert list(found[pair]) == list(statistics)
        for name, values in statistics.items():
            np.testing.assert_array_equal(found[pair][name], values)

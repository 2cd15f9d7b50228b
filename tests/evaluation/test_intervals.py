import math

import numpy as np
import pytest

from decur.evaluation.intervals import bootstrap_interval, t_interval


def test_t_interval_of_three_seeds_by_hand():
    # mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.30265
    mean, low, high = t_interval([1., 2., 3.])
    assert mean == 2
    assert high - mean == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.parametrize('interval', [t_interval, bootstrap_interval])
def test_one_value_has_no_interval_and_none_is_an_error(interval):
    mean, low, high = interval([4.])
    assert mean == 4 and math.isnan(low) and math.isnan(high)
    with pytest.raises(ValueError, match='at least one'):
        interval([])


def test_bootstrap_agrees_with_the_normal_interval_and_repeats():
    values = np.random.default_rng(0).normal(5, 2, 2000)
    first = bootstrap_interval(values)
    assert first == bootstrap_interval(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert first.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert first.high == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        _, low, high = bootstrap_interval(rng.exponential(size=60), confidence=0.9, resamples=200)
        hits += low < 1 < high
    assert 0.82 < hits / 200 < 0.96

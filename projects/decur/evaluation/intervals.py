"""Confidence intervals of means: over seeds (Student's t) and over samples (bootstrap)."""
from typing import NamedTuple

import numpy as np

from decur.errors import DataError


class Interval(NamedTuple):
    """A mean with the two ends of its confidence interval (NaN ends where one value leaves them open)."""

    mean: float
    low: float
    high: float


def _finite(values) -> np.ndarray:
    """Values as (N,) float64."""
    values = np.asarray(values, dtype=np.float64).ravel()
    if not len(values):
        raise DataError('an interval needs at least one value.')
    if not np.isfinite(values).all():
        raise DataError(f'{np.sum(~np.isfinite(values))} of the {len(values)} values of an interval are not finite.')
    return values


def t_interval(values, confidence: float = 0.95) -> Interval:
    """Mean of a few independent repeats, such as seeds, with Student's t interval.

    Args:
        values: finite numbers, any shape.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        Interval: ``low`` and ``high`` are NaN for one value, which says nothing about the spread.

    Raises:
        DataError: Without a value, or with one that is not finite.
    """
    from scipy import stats  # takes most of a second to import
    values = _finite(values)
    mean = values.mean()
    if len(values) == 1:
        return Interval(float(mean), float('nan'), float('nan'))
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half))


def bootstrap_interval(values, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """Mean over samples with the percentile bootstrap interval.

    Args:
        values: (N,) finite numbers, one a sample.
        confidence: coverage of the interval, in (0, 1).
        resamples: how often the N values are drawn with replacement.
        seed: of the draws, so that a report is the same every time.

    Returns:
        Interval: ``low`` and ``high`` are NaN for one value.

    Raises:
        DataError: Without a value, or with one that is not finite.
    """
    from scipy import stats
    values = _finite(values)
    if len(values) < 2:
        return t_interval(values, confidence)
    # In batches, so that memory does not grow to resamples x N numbers.
    result = stats.bootstrap((values,), np.mean, confidence_level=confidence, n_resamples=resamples, method='percentile',
                             batch=max(1, int(1e6) // len(values)), rng=np.random.default_rng(seed))
    return Interval(float(values.mean()), float(result.confidence_interval.low), float(result.confidence_interval.high))

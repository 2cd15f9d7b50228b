"""How many dimensions modalities share: canonical correlations that hold on samples which were not used to find them.

DeCUR takes the number of common dimensions as given. Here it is estimated from representations of a short pilot run: the canonical
correlations of two modalities (Hotelling, 1936) that are above chance count what the modalities share, those of two views of one modality
what it holds at all. Their ratio is the share of common dimensions.
"""
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from decur.errors import ConfigError, DataError

#: Share of the variance that is kept before correlations are looked for; the rest is noise, in which there is always something to be found.
_VARIANCE = 0.999
#: Samples for each direction that is kept, so that a direction found on one half of the samples means something on the other.
_SAMPLES_PER_DIRECTION = 8


def canonical_correlations(a: np.ndarray, b: np.ndarray, permutations: int = 50, level: float = 0.05, seed: int = 0) -> tuple:
    """Canonical correlations on held-out samples, and what chance gives.

    Directions are found on one half of the samples and correlated on the other, then the reverse; both are averaged. The null has the
    rows of ``b`` in random order on the second half.

    Args:
        a, b (np.ndarray): ``(N, F)`` and ``(N, G)`` of the same samples; the numbers of columns may differ.
        permutations (int): Random orders for the null. Defaults to 50.
        level (float): Probability with which the largest correlation of independent representations is above the threshold. Defaults to
            0.05.
        seed (int): Of halves and orders. Defaults to 0.

    Returns:
        tuple[np.ndarray, float]: Held-out correlations in the order of those on the first half, and the threshold.

    Raises:
        DataError: If the representations are not of the same samples, too few, not finite or constant.
        ConfigError: If level or permutations are out of range.
    """
    if not 0 < level < 1 or permutations < 1:
        raise ConfigError(f'level must be within 0..1 and permutations at least 1, got {level!r} and {permutations!r}.')
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or len(a) < 4 * _SAMPLES_PER_DIRECTION:
        raise DataError(f'representations must be (N, F) of the same samples, at least {4 * _SAMPLES_PER_DIRECTION}, got {a.shape} and '
                        f'{b.shape}.')
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        raise DataError('representations are not finite.')
    rng, found, largest = np.random.default_rng(seed), [], []
    order = rng.permutation(len(a))
    halves = order[:len(a) // 2], order[len(a) // 2:]
    for fit, held in (halves, halves[::-1]):
        (wa, ma), (wb, mb) = _whitening(a[fit]), _whitening(b[fit])
        u, _, vt = np.linalg.svd(((a[fit] - ma) @ wa).T @ ((b[fit] - mb) @ wb) / len(fit), full_matrices=False)
        x, y = _standardised((a[held] - ma) @ wa @ u), _standardised((b[held] - mb) @ wb @ vt.T)
        found.append((x * y).mean(0))
        largest.append([np.abs((x * y[rng.permutation(len(y))]).mean(0)).max() for _ in range(permutations)])
    count = min(map(len, found))
    return np.mean([values[:count] for values in found], axis=0), float(np.quantile(np.concatenate(largest), 1 - level))


def _whitening(x: np.ndarray) -> tuple:
    """A matrix ``(F, r)`` to directions of unit variance, without those that hold almost none, and the mean."""
    mean = x.mean(0)
    _, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    total = np.cumsum(s**2)
    if total[-1] <= 0:
        raise DataError('a representation is the same for all samples: the encoder has collapsed, or was given one image.')
    kept = min(int(np.searchsorted(total, _VARIANCE * total[-1])) + 1, max(1, len(x) // _SAMPLES_PER_DIRECTION))
    return vt[:kept].T / s[:kept] * np.sqrt(len(x)), mean


def _standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / np.maximum(x.std(0), np.finfo(float).tiny)


def suggest_common_share(views: Mapping[str, Sequence], **kwargs) -> dict:
    """The share of common dimensions that the data ask for.

    Args:
        views (dict[str, tuple[np.ndarray, np.ndarray]]): Representations ``(N, F)`` of two augmented views by modality, of the same
            samples.
        **kwargs: As :func:`canonical_correlations`.

    Returns:
        dict: ``within`` (number of reproducible dimensions by modality), ``across`` (number of shared ones by ``(a, b)``), ``share`` (mean
        over the pairs of shared ones over the mean of their reproducible ones, 0..1), ``correlations`` (by modality and pair, with the
        threshold).

    Raises:
        ConfigError: If there are fewer than two modalities.
        DataError: If a modality has no dimension that two views have in common; or as :func:`canonical_correlations`.
    """
    if len(views) < 2:
        raise ConfigError(f'at least two modalities can share something, got {list(views)}.')
    measured = {name: canonical_correlations(*pair, **kwargs) for name, pair in views.items()}
    measured.update({(a, b): canonical_correlations(views[a][0], views[b][0], **kwargs) for a, b in combinations(views, 2)})
    counts = {key: int((values > threshold).sum()) for key, (values, threshold) in measured.items()}
    empty = [name for name in views if not counts[name]]
    if empty:
        raise DataError(f'two views of modality {empty[0]!r} have nothing in common: train the pilot longer.')
    across = {key: counts[key] for key in measured if isinstance(key, tuple)}
    share = float(np.mean([min(1., count / np.mean([counts[a], counts[b]])) for (a, b), count in across.items()]))
    return dict(within={name: counts[name] for name in views}, across=across, share=share, correlations=measured)

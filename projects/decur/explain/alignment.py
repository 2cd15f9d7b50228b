"""How well each dimension agrees across two modalities (Algorithm 2, part 1)."""
from collections.abc import Mapping

import numpy as np

from decur.errors import DataError


def standardize(z: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Batch normalisation without affine parameters: zero mean and unit (biased) variance per column of (N, K), as in the loss."""
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 2 or len(z) < 2:
        raise DataError(f'a batch must be (N, K) with at least 2 samples to be standardized, got {z.shape}.')
    return (z - z.mean(0)) / np.sqrt(z.var(0) + eps)


def alignment_losses(za: np.ndarray, zb: np.ndarray) -> np.ndarray:
    """``(diag(C) - 1)^2`` per dimension, C the cross-correlation matrix of a batch.

    0 for a dimension that agrees in both modalities, 1 for an uncorrelated one, up to 4 for one that is reversed.

    Args:
        za: (N, K) embeddings of one modality, not standardized.
        zb: (N, K) of the other.

    Returns:
        np.ndarray: (K,) float64.
    """
    if np.shape(za) != np.shape(zb):
        raise DataError(f'two modalities need embeddings of one shape, got {np.shape(za)} and {np.shape(zb)}.')
    return ((standardize(za) * standardize(zb)).mean(0) - 1) ** 2


def alignment_histogram(losses: np.ndarray, blocks: Mapping[str, slice], bins: int = 50) -> dict:
    """Histogram of alignment losses over (0, 1), common and unique dimensions apart (Figure 1).

    Args:
        losses: (K,) of :func:`alignment_losses`.
        blocks: {name: slice of dimensions}.
        bins: number of bins.

    Returns:
        dict: ``edges`` (bins + 1,), ``counts`` {block: (bins,) int}, ``outside`` {block: dimensions with a loss above 1, that is with a
        negative correlation}.
    """
    edges = np.linspace(0, 1, bins + 1)
    losses = np.asarray(losses)
    return dict(
        edges=edges,
        counts={name: np.histogram(losses[part], edges)[0] for name, part in blocks.items()},
        outside={name: int((losses[part] > 1).sum()) for name, part in blocks.items()})


class Moments:
    """Mean and variance of columns over a stream of batches, in memory that does not grow (Chan et al. 1983).

    Attributes:
        count (int): Rows seen.
        m2 (np.ndarray): (K,) sums of squared deviations from the mean.
    """

    def __init__(self):
        self.count, self._mean, self.m2 = 0, 0.0, 0.0

    def update(self, z: np.ndarray) -> None:
        """Add a batch (N, K)."""
        z = np.asarray(z, dtype=np.float64)
        self.merge(len(z), z.mean(0), ((z - z.mean(0)) ** 2).sum(0))

    def merge(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        """Add rows of which only their number, means (K,) and sums of squared deviations (K,) are known."""
        delta, total = mean - self._mean, self.count + count
        self.m2 = self.m2 + m2 + delta ** 2 * self.count * count / total
        self._mean = self._mean + delta * count / total
        self.count = total

    @property
    def mean(self) -> np.ndarray:
        """(K,) means."""
        return np.asarray(self._mean)

    @property
    def std(self) -> np.ndarray:
        """(K,) biased standard deviations."""
        if self.count < 2:
            raise DataError(f'a standard deviation needs at least 2 samples, got {self.count}.')
        return np.sqrt(self.m2 / self.count)

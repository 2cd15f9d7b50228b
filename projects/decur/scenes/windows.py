"""Windows over a scene, and how predictions of overlapping ones are blended."""
from collections.abc import Sequence

import numpy as np

from decur.errors import ConfigError


def check_window(window: int, overlap: int) -> None:
    """Refuse sizes that cannot be.

    Raises:
        ConfigError: A window that is not positive, or an overlap that is negative or not less than the window.
    """
    if window < 1 or not 0 <= overlap < window:
        raise ConfigError(f'a window of {window} pixels with an overlap of {overlap} cannot be: the window must be positive, the overlap '
                          'from 0 to less than the window.')


def starts(size: int, window: int, stride: int) -> list[int]:
    """First pixels of windows along an axis that cover it: ``0, stride, ...``, the last one moved inwards to end with the axis.

    Args:
        size (int): Of the axis, pixels.
        window (int): Of a window; of an axis that is shorter there is one window, which is the axis.
        stride (int): Between windows.
    """
    if size <= window:
        return [0]
    return [*range(0, size - window, stride), size - window]


def taper(start: int, length: int, size: int, overlap: int) -> np.ndarray:
    """Weights ``(length,)`` float32 of a window's pixels along an axis.

    They rise over the overlap, are 1 inside, and fall; not at the ends of the scene, where there is no neighbour. All are above 0.

    Args:
        start (int): First pixel of the window.
        length (int): Of the window.
        size (int): Of the scene.
        overlap (int): Of neighbouring windows.
    """
    ramp = np.arange(1, length + 1, dtype=np.float32) / np.float32(overlap + 1)
    weights = np.ones(length, np.float32)
    if start > 0:
        weights = np.minimum(weights, ramp)
    if start + length < size:
        weights = np.minimum(weights, ramp[::-1])
    return weights


class Blend:
    """The sum of weighted predictions over a strip of a scene that moves down with the rows of windows.

    Memory is ``(classes + 1) x height x width`` floats and as many bytes again as a part of the result has; it does not depend on the
    height of the scene.

    Args:
        classes (int): K.
        shape (tuple[int, int]): Height and width of the scene.
        height (int): Of a window, pixels.
        columns (tuple[int, int]): First column of the strip and the one after its last.
        overlap (int): Of windows, pixels.
    """

    def __init__(self, classes: int, shape: Sequence[int], height: int, columns: Sequence[int], overlap: int):
        self.shape, self.top, self.columns, self.overlap = tuple(shape), 0, tuple(columns), overlap
        width = columns[1] - columns[0]
        self.sum = np.zeros((classes, height, width), np.float32)
        self.weight = np.zeros((height, width), np.float32)
        self.gone = np.zeros((height, width), bool)

    def move_to(self, row: int) -> None:
        """Let the strip begin at a row that is not above the present one; what lies above it is forgotten."""
        step = row - self.top
        for array in (self.sum, self.weight, self.gone):
            height = array.shape[-2]
            if 0 < step < height:
                array[..., :height - step, :] = array[..., step:, :].copy()
            array[..., max(height - step, 0):, :] = 0
        self.top = row

    def add(self, column: int, scores: np.ndarray | None, gone: np.ndarray) -> None:
        """Add a window whose first row is that of the strip.

        Args:
            column (int): First column of the window in the scene.
            scores (ndarray, optional): ``(K, h, w)``; None for a window that is missing altogether.
            gone (ndarray): ``(h, w)`` bool, where the scene is missing.
        """
        height, width = gone.shape
        left, right = max(column, self.columns[0]), min(column + width, self.columns[1])
        there = slice(left - self.columns[0], right - self.columns[0])
        here = slice(left - column, right - column)
        self.gone[:height, there] |= gone[:, here]
        if scores is not None:
            weight = taper(self.top, height, self.shape[0], self.overlap)[:, None] * \
                taper(column, width, self.shape[1], self.overlap)[None, here]
            self.sum[:, :height, there] += weight * scores[:, :, here]
            self.weight[:height, there] += weight

    def rows(self, count: int) -> tuple:
        """The first rows of the strip.

        Returns:
            tuple: ``(K, count, w)`` blended scores float32, and ``(count, w)`` bool, where the result is missing.
        """
        weight = self.weight[:count]
        return self.sum[:, :count] / np.where(weight > 0, weight, 1), self.gone[:count] | (weight == 0)

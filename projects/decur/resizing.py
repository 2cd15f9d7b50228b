"""Resizing images of any number of channels, and of images some of whose pixels are missing.

OpenCV takes at most 128 channels (version 5; 512 before), in some modes four, and not every type. Here planes are resized one by one, so
none of this is a limit.
"""
from collections.abc import Sequence

import cv2
import numpy as np

from decur.errors import DataError, check_choice

_FLAGS = dict(bilinear=cv2.INTER_LINEAR, bicubic=cv2.INTER_CUBIC, area=cv2.INTER_AREA)
#: Names of the interpolations, as a modality's entry and its augmentation give them.
INTERPOLATIONS = ('nearest', *_FLAGS)
#: What OpenCV interpolates; other numbers take the way over float64.
_NATIVE = (np.uint8, np.uint16, np.int16, np.float32, np.float64)


def nearest_indices(size: int, out: int) -> np.ndarray:
    """Which of ``size`` pixels each of ``out`` pixels takes: the one that holds its centre, ``floor((i + 0.5) * size / out)``, ``(out,)``.

    Computed in integers, hence exact. (``cv2.INTER_NEAREST`` takes ``floor(i * size / out)``, which is up to half a pixel off.)
    """
    return (2 * np.arange(out, dtype=np.int64) + 1) * size // (2 * out)


def resize_plane(plane: np.ndarray, size: Sequence, interpolation: str = 'bilinear', missing: np.ndarray | None = None,
                 out: np.ndarray | None = None) -> np.ndarray:
    """Resize one channel.

    Args:
        plane (ndarray): ``(h, w)``, numbers. Integers are rounded to the nearest and saturate.
        size (Sequence[int]): Height and width of the result, pixels.
        interpolation (str): One of :data:`INTERPOLATIONS`; pixel centres correspond in all of them.
        missing (ndarray, optional): ``(h, w)`` bool, True where a value is missing. A pixel of the result is missing where its nearest
            one is (:func:`nearest_indices`), and has that one's value; the others are weighted means of those that are not missing
            (``'bicubic'`` is bilinear then: its weights are negative in part, and what is left of them need not add up to anything).
        out (ndarray, optional): ``(height, width)`` of the same type; memory that OpenCV may write the result to, which spares a copy.

    Returns:
        ndarray: ``(height, width)`` of the same type.

    Raises:
        DataError: If the values cannot be interpolated (complex numbers, text).
    """
    height, width = size
    if plane.shape == (height, width):
        return plane
    if interpolation == 'nearest':
        return plane[nearest_indices(plane.shape[0], height)[:, None], nearest_indices(plane.shape[1], width)]
    if plane.dtype not in _NATIVE and plane.dtype.kind not in 'biuf':
        raise DataError(f'values of type {plane.dtype} cannot be interpolated, only real numbers.')
    if missing is not None and missing.any():
        valid = (~missing).astype(np.float64)
        flag = cv2.INTER_AREA if interpolation == 'area' else cv2.INTER_LINEAR
        values = np.where(missing, 0, plane).astype(np.float64)
        total, weight = (cv2.resize(x, (width, height), interpolation=flag) for x in (values, valid))
        known = ~resize_plane(missing, size, 'nearest') & (weight > 1e-6)
        resized = resize_plane(plane, size, 'nearest')
        resized[known] = _round(total[known] / weight[known], plane.dtype)
        return resized
    if plane.dtype in _NATIVE:
        return cv2.resize(np.ascontiguousarray(plane), (width, height), dst=out, interpolation=_FLAGS[interpolation])
    return _round(cv2.resize(plane.astype(np.float64), (width, height), interpolation=_FLAGS[interpolation]), plane.dtype)


def _round(values: np.ndarray, dtype) -> np.ndarray:
    """float64 to a type: integers to the nearest, within their range."""
    if dtype.kind == 'f':
        return values.astype(dtype)
    limits = np.iinfo(dtype) if dtype.kind in 'iu' else None
    values = np.rint(values)
    return (np.clip(values, limits.min, limits.max) if limits else values).astype(dtype)


def resize(image: np.ndarray, size: Sequence, interpolation: str = 'bilinear', missing: np.ndarray | None = None) -> np.ndarray:
    """Resize an image ``(h, w, C)`` of any number of channels, with ``missing`` of the same shape, as :func:`resize_plane`.

    Returns:
        ndarray: ``(height, width, C)`` of the same type, planar in memory; the image itself where it has this size.

    Raises:
        ConfigError: If there is no such interpolation.
        DataError: If the values cannot be interpolated.
    """
    check_choice('interpolation', interpolation, INTERPOLATIONS)
    if image.shape[:2] == tuple(size):
        return image
    out = np.empty((image.shape[2], *size), image.dtype)
    for c, target in enumerate(out):
        target[...] = resize_plane(image[..., c], size, interpolation, None if missing is None else missing[..., c])
    return out.transpose(1, 2, 0)


def resize_missing(missing: np.ndarray | None, size: Sequence) -> np.ndarray | None:
    """Which pixels of the resized image are missing, ``(height, width, C)`` bool; None stays None."""
    if missing is None or missing.shape[:2] == tuple(size):
        return missing
    rows, columns = nearest_indices(missing.shape[0], size[0]), nearest_indices(missing.shape[1], size[1])
    return missing[rows[:, None], columns]

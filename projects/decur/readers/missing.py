"""Missing pixels: which values mean "missing", and how an image says so.

An image some of whose pixels are missing is a :class:`numpy.ma.MaskedArray`, as rasterio's ``read(masked=True)`` gives it: ``mask`` is
``(H, W, C)``, True where a value is missing; what lies below the mask means nothing. An image without missing pixels is a plain array.
"""
import numbers
from collections.abc import Sequence

import numpy as np

from decur.errors import ConfigError, DataError

#: Beyond this size no value is a measurement: -3.4e38 (the least float32), 9.97e36 (NetCDF's fill value), 1e30, ...
UNPHYSICAL = 1e30
#: Values that often mean "missing" where no tag says so.
SENTINELS = (-9999, -99999, -32768, -32767, -999, -3.4028234663852886e38)


def mask(image: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
    """The image with its missing pixels marked: a masked array, or the image itself where nothing is missing."""
    if missing is None or not missing.any():
        return image
    return np.ma.MaskedArray(image, np.broadcast_to(missing, image.shape))


def split(image: np.ndarray) -> tuple:
    """An image's values and where they are missing, ``(H, W, C)`` bool or None: the inverse of :func:`mask`."""
    if not isinstance(image, np.ma.MaskedArray):
        return image, None
    missing = np.ma.getmaskarray(image)
    return image.data, missing if missing.any() else None


def check_values(missing) -> tuple:
    """The ``missing`` option of a reader as a tuple of floats.

    Raises:
        ConfigError: If it is not a number, a name of one ('nan') or a list of these.
    """
    values = () if missing is None else missing if isinstance(missing, Sequence) and not isinstance(missing, str) else (missing, )
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ConfigError(f'missing must be a number, or a list of numbers (float("nan") for NaN), got {missing!r}.') from None


def check_fill(nodata) -> float | None:
    """The ``nodata`` option of a reader: a number, or None for the mean.

    Raises:
        ConfigError: If it is neither a number nor 'mean'.
    """
    if nodata is None or nodata == 'mean':
        return None
    if isinstance(nodata, bool) or not isinstance(nodata, numbers.Real):
        raise ConfigError(f"nodata must be a number, what missing pixels become, or 'mean'; got {nodata!r}.")
    return float(nodata)


def holds(dtype: np.dtype, value: float) -> bool:
    """Whether a type can hold a value."""
    if dtype.kind == 'f':
        return True
    low, high = (0, 1) if dtype.kind == 'b' else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return bool(np.isfinite(value)) and value == int(value) and low <= value <= high


def equals(array: np.ndarray, value: float) -> np.ndarray:
    """Where an array has a value that means "missing", bool.

    A finite value beyond :data:`UNPHYSICAL` stands for all beyond it on its side: files round the largest number of their type in several
    ways.
    """
    if not holds(array.dtype, value):
        return np.zeros(array.shape, bool)
    if np.isnan(value):
        return np.isnan(array)
    if np.isfinite(value) and abs(value) >= UNPHYSICAL:
        return (array <= -UNPHYSICAL if value < 0 else array >= UNPHYSICAL) & np.isfinite(array)
    return array == array.dtype.type(value if array.dtype.kind == 'f' else int(value))


def join(missing: np.ndarray | None, more: np.ndarray) -> np.ndarray | None:
    """Where either says that a value is missing; None where nothing is."""
    if not more.any():
        return missing
    return more if missing is None else missing | more


def check_measurements(image: np.ndarray, name: str, bands: Sequence | None = None, source=None, missing: np.ndarray | None = None) -> None:
    """Refuse values that are no measurements: NaN, infinity, and what lies beyond :data:`UNPHYSICAL`, unless they are known to be missing.

    One such pixel makes a whole prediction or feature NaN. To be called wherever arrays enter.

    Args:
        image (ndarray): ``(H, W, C)``; a masked array says itself what is missing. Integers pass.
        name (str): The modality.
        bands (Sequence[str], optional): Names of the channels, for the message.
        source: Where it comes from (a file), for the message.
        missing (ndarray, optional): ``(H, W, C)`` bool, True where a value is known to be missing.

    Raises:
        DataError: Names source, modality, band, number of pixels, the first of them, and what to do.
    """
    image, masked = split(image)
    if image.dtype.kind != 'f':
        return
    with np.errstate(invalid='ignore'):
        bad = ~(np.abs(image) < UNPHYSICAL)
    for known in (masked, missing):
        bad = bad if known is None else bad & ~known
    counts = bad.sum(axis=(0, 1))
    if not counts.any():
        return
    band = int(np.argmax(counts > 0))
    row, column = np.argwhere(bad[..., band])[0].tolist()
    value = float(image[row, column, band])
    title = f'{source}: ' if source is not None else ''
    others = f' (and {np.count_nonzero(counts) - 1} more bands)' if np.count_nonzero(counts) > 1 else ''
    told = f'band {bands[band]!r}' if bands is not None and band < len(bands) else f'channel {band}'
    written = f"float('{value}')" if not np.isfinite(value) else f'{value:g}'
    cure = (f'reader=dict(type=..., missing={written}) (they become the mean, or what nodata=VALUE says)' if source is not None else
            'numpy.ma.masked_invalid(image) (they become the mean)')
    raise DataError(f'{title}modality {name!r}: {told}{others} has {counts[band]} of {bad[..., band].size} pixels that are no measurement, '
                    f'the first {value:g} at row {row}, column {column}. If they are missing, say so: {cure}.')


def likely_missing(image: np.ndarray) -> tuple | None:
    """The lowest value of an image and how often it occurs, if it is one of :data:`SENTINELS` and far from all others: probably missing.

    Args:
        image (ndarray): ``(H, W, C)`` without missing pixels.

    Returns:
        tuple | None: Value and number of pixels; None where there is no such value.
    """
    if image.dtype.kind == 'u' or not image.size:
        return None
    lowest = image.min()
    if not np.isfinite(lowest):
        image = image[np.isfinite(image)]
        lowest = image.min(initial=np.inf)
    if lowest not in SENTINELS:
        return None
    same = image == lowest
    rest = image[~same]
    # Far: as far from the least of the others as these are from each other.
    if not rest.size or rest.min() - float(lowest) <= float(rest.max()) - float(rest.min()):
        return None
    return float(lowest), int(same.sum())

"""What all readers share: sources, the table of types, missing pixels, the fill, and a limit on what a file may claim."""
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError, DataWarning

from . import missing as missing_pixels
from .types import check_dtype, convert

#: Names the environment variable that raises the limit on the memory that one image may take, in GiB.
LIMIT_VARIABLE = 'DECUR_MAX_IMAGE_GIB'
#: What the limit is without it, GiB.
DEFAULT_LIMIT = 2.


class NamedArray:
    """An image in memory as a source, with what messages call it.

    Args:
        array (ndarray): ``(H, W, C)``; a masked array says what is missing.
        name (str): For messages: where it comes from.
    """

    def __init__(self, array: np.ndarray, name: str):
        self.array, self.name = array, name

    def __str__(self) -> str:
        return self.name


def split_source(source) -> tuple:
    """Path and window ``(row, column, height, width)`` of a source; the window is None for a whole file.

    Args:
        source (str | Path | dict): A path, or ``dict(path=..., window=(row, column, height, width))`` in pixels; ``size=(height, width)``
            beside them is what the whole file must have, and ``bands=(1, 2)`` which of its ``num_bands`` bands are read
            (:class:`RasterioReader` checks both).
    """
    if isinstance(source, Mapping):
        if 'path' not in source:
            raise DataError(f'{source_name(source)} is no file of its own, but the entry names a reader of files: leave reader out '
                            "(or reader=dict(type='AutoReader', ...)).")
        return Path(source['path']), source.get('window')
    return Path(source), None


def source_name(source) -> str:
    """What error messages call a source."""
    if isinstance(source, Mapping):
        for key in ('path', 'folder', 'zarr'):
            if key in source:
                return str(source[key])
        holder = source.get('store', source.get('tar'))  # of many samples
        return f'{holder}: {source["key"]}' if holder is not None else str(dict(source))
    return 'an array' if isinstance(source, np.ndarray) else str(source)


def check_file(path: Path) -> None:
    """Refuse what is not a file.

    Raises:
        DataError: If there is nothing of that name, or a folder.
    """
    if path.is_dir():
        raise DataError(f'{path} is a folder, expected a file. Check files=dict(folder=..., suffix=...) of the modality.')
    if not path.is_file():
        raise DataError(f'{path} does not exist.')


def check_window(path, size: Sequence, window: Sequence | None) -> None:
    """Refuse a window that leaves the image.

    Raises:
        DataError: Names the file, the window and the size.
    """
    if window is None:
        return
    row, column, height, width = window
    if min(row, column) < 0 or min(height, width) < 1 or row + height > size[0] or column + width > size[1]:
        raise DataError(f'{path}: window {tuple(window)} leaves the image of {size[0]}x{size[1]} pixels.')


def check_memory(name, *counts: int) -> None:
    """Refuse an image whose claimed size takes more memory than the limit, before any is taken.

    Args:
        name (str | Path): The file.
        *counts (int): Factors of its bytes: height, width, bands, bytes per value.

    Raises:
        DataError: Names the claim, the limit and how to raise it.
    """
    text = os.environ.get(LIMIT_VARIABLE, '')
    try:
        limit = float(text) if text else DEFAULT_LIMIT
    except ValueError:
        raise ConfigError(f'{LIMIT_VARIABLE} must be a number of GiB, got {text!r}.') from None
    needed = math.prod(int(count) for count in counts)
    if needed > limit * 2**30:
        raise DataError(f'{name} claims {"x".join(str(c) for c in counts[:-1])} values of {counts[-1]} byte(s), {needed / 2**30:.1f} GiB; '
                        f'more than {limit:g} GiB are not read at once. If the file is right, read windows of it (tile=...), fewer bands, '
                        f'or raise the limit with the environment variable {LIMIT_VARIABLE}.')


class Reader:
    """A source to an image ``(H, W, C)`` of a type of :mod:`decur.readers.types`, its missing pixels marked.

    A subclass implements :meth:`decode`.

    Args:
        missing (float | Sequence[float], optional): Values that mean "missing" beside what the file itself says (nodata tags by band,
            mask bands, a transparent alpha), for example -9999 or ``[0, float('nan')]``. Defaults to none.
        nodata (float | str, optional): What missing pixels become, in the units of the file; 'mean' leaves them to
            :class:`~decur.transforms.LoadModalities`, which gives them the modality's ``mean``. Defaults to 'mean'.
        dtype (str, optional): 'uint8', 'int16', 'uint16', 'int32' or 'float32'. Defaults to that of the table of types.
    """

    def __init__(self, missing: float | Sequence | None = None, nodata: float | str | None = None, dtype: str | None = None):
        self.missing = missing_pixels.check_values(missing)
        self.nodata = missing_pixels.check_fill(nodata)
        self.dtype = check_dtype(dtype)
        self._told: set = set()

    def decode(self, source) -> tuple:
        """Read the values as the file has them, and what is missing by the file's own words or by :meth:`mark`.

        Returns:
            tuple: ``(H, W, C)`` of any type, and ``(H, W, C)`` bool, True where a value is missing, or None.

        Raises:
            DataError: If the source is absent, damaged or of another kind, claims too much memory, or has not the bands, the window or
                the size that are asked for.
        """
        raise NotImplementedError

    def mark(self, values: np.ndarray, missing: np.ndarray | None) -> np.ndarray | None:
        """Add to ``missing`` where the values are those of the option ``missing``."""
        for value in self.missing:
            missing = missing_pixels.join(missing, missing_pixels.equals(values, value))
        return missing

    def warn(self, kind: str, text: str) -> None:
        """Warn of something odd about a file that is read nevertheless, once for each kind."""
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(text, DataWarning, stacklevel=2)

    def read(self, source) -> np.ndarray:
        """Read a source, its missing pixels marked even where they have a fill.

        Returns:
            ndarray: ``(H, W, C)``; a :class:`numpy.ma.MaskedArray` where something is missing, with ``nodata`` (or 0) below the mask.

        Raises:
            DataError: If the file is absent, damaged, or holds what is no image of real numbers (:mod:`decur.readers.types`), or if the
                type cannot hold ``nodata``.
        """
        values, missing = self.decode(source)
        if missing is not None and not missing.any():
            missing = None
        if missing is None and 'sentinel' not in self._told:
            found = missing_pixels.likely_missing(values)
            if found:
                self.warn('sentinel', f'{source_name(source)}: {found[1]} values are {found[0]:g}, far below all others, and no tag says '
                          f'that they are missing. If they are, say so in the entry: reader=dict(type=..., missing={found[0]:g}).')
        values = convert(values, source_name(source), self.dtype, missing)
        if missing is None:
            return values
        if self.nodata is not None:
            values = np.where(missing, self._fill(values.dtype, source), values)
        return missing_pixels.mask(values, missing)

    def _fill(self, dtype: np.dtype, source):
        limits = np.iinfo(dtype) if dtype.kind in 'iu' else None
        if limits and not (self.nodata == np.rint(self.nodata) and limits.min <= self.nodata <= limits.max):
            raise DataError(f"{source_name(source)}: nodata={self.nodata:g} does not fit {dtype.name}. Add dtype='float32' to the reader, "
                            'or choose another fill.')
        return dtype.type(self.nodata)

    def __call__(self, source) -> np.ndarray:
        """As :meth:`read`; with a number as ``nodata`` a plain array, whose missing pixels have that value."""
        image = self.read(source)
        return image if self.nodata is None else missing_pixels.split(image)[0]

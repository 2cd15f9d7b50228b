"""Arrays: ``.npy`` files, and images that are in memory already."""
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.registry import READERS

from . import missing as missing_pixels
from .base import NamedArray, Reader, check_file, check_memory, check_window, split_source
from .types import check_real


@READERS.register_module()
class ArrayReader(Reader):
    """A source that is the array itself, ``(H, W, C)``, or a :class:`NamedArray`; a masked array says what is missing."""

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        if isinstance(source, NamedArray):
            source = source.array
        if not isinstance(source, np.ndarray) or source.ndim != 3:
            shape = f' of shape {source.shape}' if isinstance(source, np.ndarray) else ''
            raise DataError(f'ArrayReader takes an array (H, W, C), got {type(source).__name__}{shape}.')
        values, missing = missing_pixels.split(source)
        return values, self.mark(values, missing)


@READERS.register_module()
class NpyReader(Reader):
    """Read a ``.npy`` file, ``(H, W)`` or ``(H, W, C)`` (or ``(C, H, W)`` with ``channels_first``), memory-mapped; pickles are refused.

    Args:
        channels_first (bool): The file is ``(C, H, W)``. Defaults to False.
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.
    """

    def __init__(self, channels_first: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.channels_first = channels_first

    def open(self, path: Path) -> np.ndarray:
        """The file as ``(H, W, C)``, memory-mapped.

        Raises:
            DataError: If it is absent, truncated, of another kind, or holds no real numbers.
        """
        check_file(path)
        with open(path, 'rb') as file:
            if file.read(6)[:2] not in (b'\x93N', b'PK'):  # NumPy would take it for a pickle, and advise to allow that
                raise DataError(f'{path} cannot be read as .npy: it is another kind of file. Write it with numpy.save.')
        try:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        except Exception as error:  # the header is parsed as Python, so nearly any error can come
            raise DataError(f'{path} cannot be read as .npy ({error}). Is it complete, and made by numpy.save?') from error
        if not isinstance(array, np.ndarray):
            array.close()
            raise DataError(f'{path} is an archive of arrays (.npz): save the one array with numpy.save.')
        check_real(array.dtype, str(path))
        if array.ndim == 3 and self.channels_first:
            array = array.transpose(1, 2, 0)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.size == 0:
            raise DataError(f'{path} has shape {array.shape}, expected (H, W) or (H, W, C) with pixels.')
        return array

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        path, window = split_source(source)
        array = self.open(path)
        check_window(path, array.shape, window)
        if window is not None:
            array = array[window[0]:window[0] + window[2], window[1]:window[1] + window[3]]
        check_memory(path, *array.shape, array.dtype.itemsize)
        array = np.array(array)  # out of the file
        return array, self.mark(array, None)

"""Files that stay in memory once they are decoded, for data sets that fit into it."""
from collections.abc import Mapping
from pathlib import Path

from .base import Reader, check_window, source_name

#: What sources may say that name a file, a folder of bands, or a sample in the compact store or in a zarr archive.
_KEPT = {'path', 'size', 'bands', 'num_bands', 'folder', 'pattern', 'store', 'key', 'zarr', 'sample', 'time'}


class InMemoryReader(Reader):
    """Another reader that decodes every file once; windows are cut from what is in memory.

    Every worker process keeps its own copies, so this is for small data sets and few workers. A file that changes while it is in memory is
    not read again.

    Args:
        reader (Reader): The reader.
    """

    def __init__(self, reader: Reader):
        super().__init__()
        self.reader = reader
        self.missing, self.nodata, self.dtype = reader.missing, reader.nodata, reader.dtype
        self._decoded: dict = {}

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`; a copy, which may be changed. Members of tar shards and arrays are not kept."""
        if isinstance(source, str | Path):
            source = dict(path=source)
        whole = {key: value for key, value in source.items() if key != 'window'} if isinstance(source, Mapping) else None
        if whole is None or not set(whole) <= _KEPT:
            return self.reader.decode(source)
        key, window = tuple(sorted((name, str(value)) for name, value in whole.items())), source.get('window')
        if key not in self._decoded:
            self._decoded[key] = self.reader.decode(whole)
        values, missing = self._decoded[key]
        if window is not None:
            check_window(source_name(source), values.shape[:2], window)
            row, column, height, width = window
            part = slice(row, row + height), slice(column, column + width)
            values, missing = values[part], None if missing is None else missing[part]
        return values.copy(order='K'), None if missing is None else missing.copy()

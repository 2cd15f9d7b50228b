"""Files that stay in memory once they are decoded, for data sets that fit into it."""
from collections.abc import Mapping
from pathlib import Path

from .base import Reader, check_window, split_source

#: What a source of a file may say.
_OF_FILES = {'path', 'window', 'bands', 'num_bands'}


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
        """See :class:`~decur.readers.base.Reader`; a copy, which may be changed. Sources other than files and windows are not kept."""
        if not isinstance(source, str | Path | Mapping) or isinstance(source, Mapping) and not set(source) <= _OF_FILES:
            return self.reader.decode(source)
        path, window = split_source(source)
        whole = {key: value for key, value in source.items() if key != 'window'} if isinstance(source, Mapping) else path
        key = str(path), source.get('bands') if isinstance(source, Mapping) else None
        if key not in self._decoded:
            self._decoded[key] = self.reader.decode(whole)
        values, missing = self._decoded[key]
        if window is not None:
            check_window(path, values.shape[:2], window)
            row, column, height, width = window
            part = slice(row, row + height), slice(column, column + width)
            values, missing = values[part], None if missing is None else missing[part]
        return values.copy(order='K'), None if missing is None else missing.copy()

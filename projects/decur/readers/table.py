"""Tables in one file, read in a fraction of a second: the index of hundreds of thousands of samples."""
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError

FORMAT = 'decur-table-2'


class Table:
    """Columns of one length: numbers, or strings as fixed-width bytes (NumPy ``S``), so that nothing is parsed when it is read.

    On disk it is a safetensors file; the attributes and the names of the string columns are JSON in its metadata. The same table gives
    the same bytes.

    Args:
        columns (dict[str, ndarray | Sequence[str]]): ``(N, ...)`` each; lists of strings become bytes (UTF-8), and lists of lists of
            strings ``(N, longest list)``, filled up with empty ones.
        attributes (dict, optional): JSON values.

    Raises:
        DataError: If the columns differ in length.
    """

    def __init__(self, columns: Mapping, attributes: Mapping | None = None):
        self.columns = {name: self._column(values) for name, values in columns.items()}
        self.attributes = dict(attributes or {})
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f'the columns of a table differ in length: {lengths}.')

    @staticmethod
    def _column(values) -> np.ndarray:
        if isinstance(values, np.ndarray):
            return values
        ragged = len(values) > 0 and not isinstance(values[0], str)
        width = max(1, *map(len, values)) if ragged else 1
        array = np.array([value.encode() for row in values for value in ([*row, *[''] * (width - len(row))] if ragged else [row])],
                         dtype=None if len(values) else 'S1')
        array = array if array.dtype.itemsize else array.astype('S1')
        return array.reshape(len(values), width) if ragged else array

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def save(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            OSError: If it cannot be written; nothing half-written stays.
        """
        from safetensors.numpy import save

        from decur.writing import write_bytes
        strings = [name for name, values in self.columns.items() if values.dtype.kind == 'S']
        raw = {name: np.ascontiguousarray(v) for name, v in self.columns.items()}
        raw.update({name: raw[name].view(np.uint8).reshape(*raw[name].shape, raw[name].dtype.itemsize) for name in strings})
        # One entry: safetensors writes several in no order.
        write_bytes(path, save(raw, dict(table=json.dumps(dict(format=FORMAT, strings=strings, attributes=self.attributes)))))

    @classmethod
    def load(cls, path: str | Path) -> 'Table':
        """Read the file.

        Raises:
            DataError: If it is missing, damaged or something else.
        """
        from safetensors import SafetensorError, safe_open
        if not Path(path).is_file():
            raise DataError(f'{path} does not exist.')
        try:
            with safe_open(str(path), 'np') as file:
                metadata = json.loads((file.metadata() or {}).get('table', '{}'))
                if metadata.get('format') != FORMAT:
                    raise DataError(f'{path} is no table of this version (format {metadata.get("format")!r}).')
                columns = {name: file.get_tensor(name) for name in file.keys()}
            for name in metadata['strings']:
                columns[name] = np.ascontiguousarray(columns[name]).view(f'S{columns[name].shape[-1]}')[..., 0]
            return cls(columns, metadata['attributes'])
        except DataError:
            raise
        except (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise DataError(f'{path} is damaged ({error!r}).') from error


class LazySamples(Sequence):
    """A list of samples that are made when they are asked for, so that starting does not depend on how many there are.

    Args:
        make (Callable): Row number to the sample's dict.
        rows (ndarray): ``(N,)`` int, the rows in the order of the list.
    """

    def __init__(self, make: Callable, rows: np.ndarray):
        self.make, self.rows = make, np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        """A sample, or for a slice a shorter list."""
        return LazySamples(self.make, self.rows[index]) if isinstance(index, slice) else self.make(int(self.rows[index]))

    def take(self, indices: Sequence) -> 'LazySamples':
        """The samples at ``indices``."""
        return LazySamples(self.make, self.rows[np.asarray(indices, np.int64)])

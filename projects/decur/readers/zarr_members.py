"""A sample in a zarr archive that is in memory: a member of the tar shards of SSL4EO-S12 v1.1 and TerraMesh (zarr format 2, consolidated).

Such an archive has ``bands`` ``(time, band, y, x)`` and the names of the bands, ``band``. There are millions of them, each read once, so
they are not opened with zarr, which takes milliseconds for each, but by the few lines of its format that they use: ZIP (whose checksum of
every part is verified), a JSON description, and chunks that numcodecs decodes. Of several dates only the chunks of the one that is asked
for are decoded.
"""
import json
import os
import zipfile
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import NamedTuple, NoReturn

import numpy as np

from decur.errors import DataError
from decur.sensors import band_name

from .base import check_memory
from .zarr_archives import LARGEST_CHUNK

#: Compressors that numcodecs decodes without running anything of the file's choice; the releases use blosc.
CODECS = ('blosc', 'zstd', 'lz4')
#: Bytes of the largest description that is parsed.
_LARGEST_TEXT = 1 << 20


class ShardError(DataError):
    """A shard, or a member of it, that is cut short, damaged, missing or out of reach; ``shard`` is its name if all of it is so."""

    def __init__(self, message: str, shard: str | None = None):
        super().__init__(message)
        self.shard = shard


class _Array(NamedTuple):
    """What an array's ``.zarray`` says."""

    shape: tuple
    chunks: tuple
    dtype: np.dtype
    order: str
    separator: str
    codec: object
    filters: tuple


class PartialFile:
    """What tarfile and zipfile read from: something that is read by offsets.

    Args:
        size (int): Its bytes.
        read (Callable): ``read(position, size) -> bytes``.
    """

    def __init__(self, size: int, read: Callable):
        self._size, self._read, self._position = size, read, 0
        #: What ``read`` raised, which zipfile would take for a damaged archive.
        self.problem: Exception | None = None

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """As that of files."""
        self._position = position + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """As that of files."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """As that of files."""
        left = max(self._size - self._position, 0)
        size = left if size is None or size < 0 else min(size, left)
        try:
            data = self._read(self._position, size) if size else b''
        except Exception as error:
            self.problem = error
            raise
        self._position += len(data)
        return data


class ZarrMember:
    """An archive of one sample.

    Args:
        file (PartialFile): The archive. Of its arrays only what is asked for is read.
        name (str): What error messages call it.

    Raises:
        DataError: If it is no zarr archive of format 2 with ``bands`` ``(time, band, y, x)``, or claims more than any release has.
    """

    def __init__(self, file: PartialFile, name: str):
        self.name, self._file = name, file
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as error:  # zipfile's errors on damaged files have no common base
            self._fail(error)
        self._array = self._describe('bands')
        if len(self._array.shape) != 4 or 0 in self._array.shape:
            raise DataError(f'{name}: bands has shape {self._array.shape}, expected (time, band, y, x).')
        if self._array.dtype.kind not in 'iuf' or self._array.filters:
            raise DataError(f'{name}: bands is {self._array.dtype} with filters {list(self._array.filters)}, expected plain numbers.')

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what reading the file raised, if it did, and else that the archive is damaged."""
        problem, self._file.problem = self._file.problem, None
        if problem is not None:
            raise problem
        raise ShardError(f'{self.name} cannot be read as a zarr archive ({error!r}). Is its shard downloaded whole?') from error

    @property
    def dates(self) -> int:
        """Number of dates."""
        return self._array.shape[0]

    def names(self) -> tuple:
        """Names of the bands; ``('1', '2', ...)`` where the archive has none.

        Raises:
            DataError: If they are damaged, or as many as there are not.
        """
        count = self._array.shape[1]
        infos = self._zip.NameToInfo
        if 'band/.zarray' not in infos or 'band/0' not in infos:
            return tuple(str(i + 1) for i in range(count))
        # The same in millions of members: parsed once for each pair of checksums.
        key = tuple((infos[part].CRC, infos[part].file_size) for part in ('band/.zarray', 'band/0'))
        if key not in _names:
            _names[key] = self._text(self._describe('band'))
        if len(_names[key]) != count:
            raise DataError(f'{self.name}: bands has shape {self._array.shape} and {len(_names[key])} names of bands.')
        return _names[key]

    def read(self, time: int) -> np.ndarray:
        """One date, ``(band, y, x)``, in the type of the archive.

        Raises:
            DataError: If a chunk is damaged or missing (zarr would give zeros).
        """
        array = self._array
        check_memory(self.name, *array.shape[1:], array.dtype.itemsize)
        first = time // array.chunks[0]
        if array.chunks == (1, *array.shape[1:]) and array.order == 'C':  # as released: a date is a chunk
            date = self._chunk(array, 'bands', (first, 0, 0, 0))[0]
            return date if date.flags.writeable else date.copy()
        out = np.empty(array.shape[1:], array.dtype)
        counts = [-(-size // chunk) for size, chunk in zip(array.shape[1:], array.chunks[1:])]
        for place in product(*map(range, counts)):
            chunk = self._chunk(array, 'bands', (first, *place))[time - first * array.chunks[0]]
            where = tuple(slice(i * size, (i + 1) * size) for i, size in zip(place, array.chunks[1:]))
            target = out[where]
            target[...] = chunk[tuple(slice(n) for n in target.shape)]
        return out

    def _part(self, part: str, limit: int) -> bytes:
        """A file of the archive, its checksum verified."""
        info = self._zip.NameToInfo.get(part)
        if info is None:
            raise ShardError(f'{self.name} lacks {part}. Is its shard downloaded whole, and a zarr archive of format 2?')
        if info.file_size > limit:
            raise DataError(f'{self.name}: {part} claims {info.file_size} bytes, more than any released archive has.')
        try:
            return self._zip.read(info)
        except Exception as error:
            self._fail(error)

    def _describe(self, array: str) -> _Array:
        text = self._part(f'{array}/.zarray', _LARGEST_TEXT)
        try:
            return _parse(text)
        except DataError as error:
            raise DataError(f'{self.name}: {array} {error}') from error
        except Exception as error:  # JSON of any shape
            self._fail(error)

    def _chunk(self, array: _Array, name: str, place: tuple) -> np.ndarray:
        part = f'{name}/{array.separator.join(map(str, place)) or "0"}'
        data = self._part(part, LARGEST_CHUNK)
        try:
            if array.codec is not None:
                data = _decode(array, data)
            return np.frombuffer(data, array.dtype).reshape(array.chunks, order=array.order)
        except Exception as error:  # numcodecs' errors have no common base
            raise ShardError(f'{self.name}: {part} cannot be decoded ({error!r}). Is its shard downloaded whole?') from error

    def _text(self, array: _Array) -> tuple:
        """The names in ``band``: fixed-width or variable-length strings."""
        if array.dtype.kind == 'O' and array.filters == ('vlen-utf8', ):
            from numcodecs import VLenUTF8
            data = self._part('band/0', _LARGEST_TEXT)
            try:
                values = VLenUTF8().decode(data if array.codec is None else array.codec.decode(data))
            except Exception as error:
                self._fail(error)
        elif array.dtype.kind in 'US' and not array.filters:
            values = self._chunk(array, 'band', (0, ) * len(array.shape)).reshape(-1)
        else:
            raise DataError(f'{self.name}: band is {array.dtype} with filters {list(array.filters)}, expected strings.')
        count = int(np.prod(array.shape))
        return tuple(band_name(value.decode() if isinstance(value, bytes) else value) for value in values[:count].tolist())


_names: dict = {}


def _decode(array: _Array, data: bytes):
    """A chunk's bytes; what it claims to become is compared with what it must be before memory is taken."""
    size = array.dtype.itemsize * int(np.prod(array.chunks))
    if array.codec.codec_id == 'blosc':
        claimed, length = (int.from_bytes(data[place:place + 4], 'little') for place in (4, 12))  # its header
        if claimed != size or length > len(data):
            raise ValueError(f'it claims {claimed} bytes out of {length}, a chunk has {size} out of {len(data)}')
        return array.codec.decode(data, np.empty(size, np.uint8))
    decoded = array.codec.decode(data)
    if len(memoryview(decoded).cast('B')) != size:
        raise ValueError(f'it has {len(decoded)} bytes, a chunk has {size}')
    return decoded


@lru_cache(maxsize=256)
def _parse(text: bytes) -> _Array:
    """A ``.zarray``, which is the same in most members."""
    from numcodecs import blosc, get_codec
    blosc.use_threads = False  # its threads do not survive a fork, and every worker has a core of its own
    about = json.loads(text)
    if about['zarr_format'] != 2:
        raise DataError(f'is of zarr format {about["zarr_format"]}, expected 2.')
    filters = tuple(str(entry['id']) for entry in about.get('filters') or ())
    codec = about.get('compressor')
    if 'pickle' in (*filters, (codec or {}).get('id')):
        raise DataError('is pickled. Pickles run code when they are read, so they are refused.')
    if codec is not None and codec['id'] not in CODECS:
        raise DataError(f'is compressed with {codec["id"]!r}; known are {CODECS}.')
    dtype = np.dtype(about['dtype'])
    shape, chunks = tuple(map(int, about['shape'])), tuple(map(int, about['chunks']))
    if len(shape) != len(chunks) or min((*shape, *chunks, 1)) < 1 or about['order'] not in ('C', 'F'):
        raise DataError(f'has shape {shape} in chunks of {chunks}, order {about["order"]!r}.')
    size = dtype.itemsize
    for count in chunks:
        size *= count
    if size > LARGEST_CHUNK:
        raise DataError(f'claims chunks of {"x".join(map(str, chunks))} values, more than any released archive has.')
    return _Array(shape, chunks, dtype, about['order'], about.get('dimension_separator', '.'), None if codec is None else get_codec(codec),
                  filters)

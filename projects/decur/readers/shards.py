"""Tar shards of zarr archives, as SSL4EO-S12 v1.1 and TerraMesh are shipped (WebDataset): where the members lie, and reading one of them.

A shard ``{split}/{product}/{name}.tar`` holds a member ``{key}.zarr.zip`` for each sample. Nothing is extracted: the headers say at which
byte a member begins, and a read takes just its bytes, in any order and by any number of processes.
"""
import os
import tarfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from decur.errors import DataError

from .zarr_members import PartialFile, ShardError, ZarrMember

#: Suffix of the members.
MEMBER = '.zarr.zip'
#: Bytes of the largest member that is read; those of the releases have at most about 8 MB.
LARGEST_MEMBER = 256 << 20
#: Shards that a process keeps open.
KEPT = 64
#: Members that a process keeps, for the next date of the same.
MEMBERS = 4
#: Seconds without a read after which a process closes a shard that the cache has taken away: while it is open, it takes disk space. One
#: that is read goes on being read, also where another run needs its place.
IDLE = 10.
_BLOCK = 512
_looked = 0.
_open: OrderedDict = OrderedDict()
_members: OrderedDict = OrderedDict()


def scan_shard(name: str, size: int, read: Callable) -> tuple:
    """Where the members of a shard lie, from its headers alone.

    Args:
        name (str): What error messages call the shard.
        size (int): Its bytes.
        read (Callable): ``read(offset, size) -> bytes``, fewer only at the end.

    Returns:
        tuple[list, list, list]: Keys, offsets of the first byte and sizes, in the order of the shard.

    Raises:
        ShardError: If it is cut short or damaged.
        DataError: If it holds a file that is no zarr archive, or a key twice.
    """
    keys, offsets, sizes = [], [], []
    position, zeros = 0, bytes(_BLOCK)
    while True:
        header = read(position, _BLOCK)
        if header == zeros:
            if read(position + _BLOCK, _BLOCK) != zeros:
                raise ShardError(f'{name} is damaged: its end mark at byte {position} is half of one. Download it again.', name)
            break
        if len(header) < _BLOCK:
            raise ShardError(f'{name} is cut short: it ends at byte {size} without an end mark, after {len(keys)} members'
                             f'{f" (the last is {keys[-1]})" if keys else ""}. Download it again.', name)
        member = _parse_header(header, name, position)
        if member is None:  # long names: rare, and read by the library that knows them all
            return _scan_slowly(name, size, read)
        path, length, regular = member
        position += _BLOCK
        if position + length > size:
            raise ShardError(f'{name} is cut short: {path} reaches to byte {position + length}, the shard has {size}. Download it again.',
                             name)
        if regular:
            _add(name, path, position, length, keys, offsets, sizes)
        position += -(-length // _BLOCK) * _BLOCK
    return _checked(name, keys, offsets, sizes)


def _parse_header(header: bytes, name: str, position: int) -> tuple | None:
    """Path, size and whether it is a file, of a header; None for one of a kind that needs others beside it (long names, attributes)."""
    try:
        stated = int(header[148:156].strip(b'\0 ') or b'0', 8)
        # The checksum field itself counts as eight spaces.
        if stated != sum(header) - sum(header[148:156]) + 256:
            raise ValueError('its checksum does not fit')
        kind = header[156:157]
        if kind not in (b'0', b'\0', b'5') or header[124] & 128:
            return None
        path = header[:100].partition(b'\0')[0]
        prefix = header[345:500].partition(b'\0')[0] if header[257:263] == b'ustar\0' else b''
        path = (prefix + b'/' + path if prefix else path).decode()
        return path, int(header[124:136].strip(b'\0 ') or b'0', 8), kind != b'5'
    except ValueError as error:
        raise ShardError(f'{name} is damaged: the header at byte {position} cannot be read ({error}). Download it again.', name) from error


def _scan_slowly(name: str, size: int, read: Callable) -> tuple:
    """The same by :mod:`tarfile`."""
    keys, offsets, sizes = [], [], []
    try:
        with tarfile.TarFile(fileobj=PartialFile(size, read)) as archive:
            for member in archive:
                if member.issparse() or member.offset_data + member.size > size:
                    raise tarfile.ReadError(f'{member.name} is sparse, or reaches behind the end')
                if member.isreg():
                    _add(name, member.name, member.offset_data, member.size, keys, offsets, sizes)
            if read(archive.offset, _BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError('it has no end mark')
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise ShardError(f'{name} is damaged or cut short after {len(keys)} members ({error}). Download it again.', name) from error
    return _checked(name, keys, offsets, sizes)


def _add(name: str, path: str, offset: int, size: int, keys: list, offsets: list, sizes: list) -> None:
    if not path.endswith(MEMBER):
        raise DataError(f'{name} holds {path!r}, which is no zarr archive (KEY{MEMBER}): it is no shard of SSL4EO-S12 v1.1 or TerraMesh.')
    if size > LARGEST_MEMBER:
        raise DataError(f'{name}: {path} has {size} bytes, more than any released sample.')
    keys.append(path.removeprefix('./').removesuffix(MEMBER))
    offsets.append(offset)
    sizes.append(size)


def _checked(name: str, keys: list, offsets: list, sizes: list) -> tuple:
    if not keys:
        raise DataError(f'{name} is a shard without samples.')
    if len(set(keys)) < len(keys):
        raise DataError(f'{name} holds {next(key for key in keys if keys.count(key) > 1)!r} twice.')
    return keys, offsets, sizes


def scan_file(path: str) -> tuple:
    """:func:`scan_shard` of a local file, and the number of dates of its samples, as the first of them has them.

    Returns:
        tuple: Keys, offsets, sizes and number of dates.

    Raises:
        ShardError, DataError: As :func:`scan_shard`; or if it cannot be opened, or its first member is no zarr archive.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ShardError(f'{path} cannot be opened ({error.strerror}).', path) from error
    try:
        keys, offsets, sizes = scan_shard(path, os.fstat(handle).st_size, partial(_pread, handle))
        return keys, offsets, sizes, dates_of(path, keys[0], partial(_pread, handle), offsets[0], sizes[0])
    except OSError as error:
        raise ShardError(f'{path} cannot be read ({error.strerror}).', path) from error
    finally:
        os.close(handle)


def _pread(handle: int, offset: int, size: int) -> bytes:
    return os.pread(handle, size, offset)


def dates_of(shard: str, key: str, read: Callable, offset: int, size: int) -> int:
    """Number of dates of a member."""
    data = read(offset, size)  # at once: a request for each part of it would take longer
    return ZarrMember(PartialFile(len(data), lambda position, count: data[position:position + count]), f'{shard}: {key}').dates


def read_member(source: Mapping) -> dict:
    """A date of a sample, ``{band: (h, w)}``, in the type of the archive; arguments and errors as :func:`read_date`."""
    return dict(zip(_member(source).names(), read_date(source)))


def read_date(source: Mapping) -> np.ndarray:
    """A date of a sample, ``(band, y, x)``, in the type of the archive.

    Args:
        source (dict): ``tar``, ``key``, ``offset``, ``size``, ``time`` (which date) and ``dates`` (how many there are). ``tar`` is a path,
            or an address with ``cache``, a :class:`~decur.readers.shard_cache.ShardCache`, and ``bytes``, the size of the shard.

    Raises:
        ShardError: If the shard is gone, out of reach or shorter than when it was indexed.
        DataError: If the member is no zarr archive, is damaged, or has another number of dates than the shard's first.
    """
    return _member(source).read(source['time'])


def _member(source: Mapping) -> ZarrMember:
    name, place = f'{source["tar"]}: {source["key"]}', (source['tar'], source['offset'])
    if place not in _members:  # views of several dates come one after the other
        member = ZarrMember(PartialFile(source['size'], partial(_read, source)), name)
        while len(_members) >= MEMBERS:
            _members.popitem(last=False)
        _members[place] = member
    member = _members[place]
    if member.dates != source['dates']:
        raise DataError(f'{name} has {member.dates} dates, the first sample of its shard has {source["dates"]}. A shard must hold samples '
                        'of one number of dates.')
    return member


def _read(source: Mapping, position: int, size: int) -> bytes:
    """Bytes of a member. Shards stay open: their number is small, and a process reads from each again and again."""
    path, data, cache = source['tar'], None, source.get('cache')
    if cache and time.monotonic() >= _looked + IDLE / 10:
        close_removed(IDLE)
    for _ in range(3):
        if path not in _open:
            try:
                handle = cache.open(path, source['bytes'], close_removed) if cache else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except DataError:  # a full disk is an OSError too
                raise
            except OSError as error:
                raise ShardError(f'{path} cannot be opened ({error.strerror}).', path) from error
            _open[path] = _Open(handle)
            while len(_open) > KEPT:
                os.close(_open.popitem(last=False)[1].handle)
        _open.move_to_end(path)
        _open[path].used = time.monotonic()
        try:
            data = _pread(_open[path].handle, source['offset'] + position, size)
            break
        except OSError as error:  # a stale handle of a network file system: open it again
            os.close(_open.pop(path).handle)
            problem = error
    if data is None:
        raise ShardError(f'{path} cannot be read ({problem.strerror}).', path) from problem
    if len(data) < size:
        raise ShardError(f'{path}: {source["key"]} is cut short: the shard changed after it was indexed. Start again, which indexes it '
                         'again.')
    return data


class _Open:
    """A shard that is open: its file descriptor, and when it was read."""

    def __init__(self, handle: int):
        self.handle, self.used = handle, time.monotonic()


def close_removed(idle: float = 0.) -> None:
    """Close shards that are open here, are no longer in their folder, and have not been read for so many seconds."""
    global _looked
    _looked = time.monotonic()
    for path, entry in list(_open.items()):
        if _looked - entry.used >= idle and not os.fstat(entry.handle).st_nlink:
            os.close(_open.pop(path).handle)


def close_shards() -> None:
    """Close what this process holds open. A data set does so when it has its index: a shard may have been replaced since."""
    _members.clear()
    while _open:
        os.close(_open.popitem()[1].handle)

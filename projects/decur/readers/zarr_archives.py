"""Images in zarr archives (``.zarr.zip``, zarr format 2): SSL4EO-S12 v1.1.

An archive has ``bands`` ``(sample, time, band, y, x)``, the band names ``band``, the ids ``sample`` and the scene names ``file_id``
``(sample, time)``. Archives are opened once per process, the last few are kept open.
"""
import math
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.sensors import band_name

#: Archives that a process keeps open.
KEPT = 32
#: Bytes of the largest chunk, decoded; the released ones have at most 30 MB.
LARGEST_CHUNK = 512 << 20
#: The last bytes of a zip file: a mark and the number of its members.
_END = struct.Struct('<4s6xH10x')
_open: OrderedDict = OrderedDict()


def open_archive(path: str | Path):
    """The archive's group and its band names.

    Raises:
        DataError: If it is missing, damaged or laid out otherwise, or zarr is not installed.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise DataError(f'{path} cannot be opened ({error.strerror}).' if Path(path).exists() else f'{path} does not exist.') from error
    key = os.getpid(), str(path), stat.st_size, stat.st_mtime_ns  # never across a fork, nor what was there before
    if key in _open:
        _open.move_to_end(key)
        return _open[key][1:]
    try:
        import zarr
    except ImportError as error:
        raise DataError("SSL4EO-S12 v1.1 needs zarr: pip install 'decur[data]'.") from error
    store = None
    try:
        store = zarr.storage.ZipStore(path, mode='r')
        group = zarr.open_group(store, mode='r')
        for name in ('bands', 'band', 'sample', 'file_id'):
            if name in group:
                _check_array(group[name], f'{path}: {name}')
        bands, names = group['bands'], [band_name(name) for name in group['band'][:]]
        there = bands.nchunks_initialized
    except DataError:
        store.close()
        raise
    except Exception as error:  # zipfile's, zarr's and numcodecs' errors have no common base
        if store is not None:
            with suppress(Exception):  # it may not have been opened
                store.close()
        raise DataError(f'{path} cannot be read as a zarr archive of SSL4EO-S12 v1.1 ({error!r}). Is it downloaded whole?') from error
    if bands.ndim != 5 or bands.shape[2] != len(names):
        raise DataError(f'{path}: bands has shape {bands.shape} and {len(names)} names, expected (sample, time, band, y, x).')
    if there != bands.nchunks:  # zarr would read zeros there
        store.close()
        raise DataError(f'{path} lacks {bands.nchunks - there} of the {bands.nchunks} chunks of its bands. Is it downloaded whole?')
    _open[key] = store, bands, names, group
    while len(_open) > KEPT:
        _open.popitem(last=False)[1][0].close()
    return _open[key][1:]


def _check_array(array, name: str) -> None:
    """Refuse codecs that run code, and chunks that claim more than a season of any release has, before anything is decoded.

    Raises:
        DataError: If there are such.
    """
    codecs = [*(array.metadata.filters or ()), array.metadata.compressor]
    if any(getattr(codec, 'codec_id', '') == 'pickle' for codec in codecs):
        raise DataError(f'{name} is pickled. Pickles run code when they are read, so they are refused.')
    if math.prod(int(count) for count in (array.dtype.itemsize, *array.chunks)) > LARGEST_CHUNK:
        raise DataError(f'{name} claims chunks of {"x".join(map(str, array.chunks))} values, more than any released archive has.')


def _check_directory(path: str | Path, arrays: Mapping) -> None:
    """Compare the directory of an archive with the number of members that its end gives, with their own headers, and with all chunks of
    arrays.

    The contents have checksums, the directory has none: with one bit changed there, a length may swallow the entries after it, or a name be
    another; an array would not be found, or its fill value be read.

    Raises:
        DataError: If something differs, or a chunk is not in the archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                archive.open(member).close()  # which compares the names
            names = set(archive.namelist())
            archive.fp.seek(-_END.size, os.SEEK_END)
            mark, count = _END.unpack(archive.fp.read(_END.size))
        if mark == b'PK\5\6' and count != min(len(names), 0xffff):  # elsewhere if the archive has a comment, which zarr never writes
            raise zipfile.BadZipFile(f'its directory lists {len(names)} members, its end says {count}')
    except Exception as error:
        raise DataError(f'{path} is damaged ({error!r}). Download it again.') from error
    for name, array in arrays.items():
        counts = [-(-length // chunk) for length, chunk in zip(array.shape, array.chunks)]
        keys = (f'{name}/{array.metadata.encode_chunk_key(place)}' for place in np.ndindex(*counts))
        lacking = next((key for key in keys if key not in names), None)  # ends soon, whatever the shape claims
        if lacking:
            raise DataError(f'{path} lacks {lacking!r}, a chunk of its {name}. Is it downloaded whole?')


def read_entries(path: str | Path) -> tuple:
    """What is in an archive: the ids, and by id the scene names of its seasons (empty strings where the archive has none).

    Raises:
        DataError: As :func:`open_archive`, or if its directory is damaged.
    """
    bands, _, group = open_archive(path)
    _check_directory(path, {name: group[name] for name in ('band', 'sample', 'file_id') if name in group})
    try:
        ids = [str(name) for name in group['sample'][:]]
        scenes = group['file_id'][:] if 'file_id' in group else np.full(bands.shape[:2], '')
    except Exception as error:
        raise DataError(f'{path}: the ids of its samples cannot be read ({error!r}). Is it downloaded whole?') from error
    if len(ids) != bands.shape[0] or scenes.shape != bands.shape[:2]:
        raise DataError(f'{path}: {len(ids)} ids and scene names {scenes.shape} do not fit bands {bands.shape}.')
    return ids, [[str(scene) for scene in row] for row in scenes]


def read_bands(path: str | Path, sample: int, time: int) -> dict:
    """One season of a sample, ``{band: (h, w)}``, in the type of the archive (int16, or float16).

    Raises:
        DataError: As :func:`open_archive`, or if a chunk is damaged.
    """
    bands, names, _ = open_archive(path)
    try:
        image = bands[sample, time]
    except Exception as error:
        raise DataError(f'{path}: sample {sample}, season {time} cannot be read ({error!r}). Is it downloaded whole?') from error
    return dict(zip(names, image))

"""Reading the compact store: an LMDB with one record for what is read together, values at native resolution, and a JSON manifest.

``FOLDER/data.mdb`` holds the records, each ``{name: array}`` in safetensors format followed by a checksum. ``FOLDER/manifest.json`` says
what they are: format and version, the data set, and the records' keys, either listed or by the columns of ``FOLDER/index.safetensors``
(:class:`~decur.readers.table.Table`), which holds the index of data sets with too many samples for JSON. Each module of ``decur.prepare``
describes the keys of its data set. While a store is being written (:mod:`decur.prepare.store_writer`) it has ``unfinished.json``.
Nothing is ever unpickled. The environment is opened once per process, when the first record is read.
"""
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.registry import READERS
from decur.writing import read_json

from .base import Reader, check_window
from .missing import equals
from .table import Table

FORMAT, VERSION = 'decur-store', 2
MANIFEST = 'manifest.json'
INDEX = 'index.safetensors'
UNFINISHED = 'unfinished.json'
#: Side of the blocks that large rasters are cut into, pixels: the tile of GeoNRW.
BLOCK = 250
#: A manifest that claims a raster with a longer side, in pixels, is damaged.
MAX_SIDE = 100_000
#: What a pattern of keys may hold besides text: the value of the column, and the sample's id.
_FIELD = re.compile(r'\{(?:id)?\}')
_open: dict = {}


def import_lmdb():
    """The lmdb module.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise DataError("the compact store needs lmdb: pip install 'decur[data]'.") from error
    return lmdb


def read_manifest(folder: str | Path) -> dict:
    """The manifest of a store.

    Raises:
        DataError: If there is none, it is damaged, of another version, or the folder is a pickled LMDB of the published code.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        if (Path(folder) / UNFINISHED).is_file():
            raise DataError(f'{folder} has no {MANIFEST}: its preparation was not finished. Run the same command again; it goes on.')
        if (Path(folder) / 'data.mdb').is_file() or Path(folder).suffix == '.lmdb':
            raise DataError(f'{folder} is an LMDB without {MANIFEST}, as the published code writes them. Its records are pickles, which '
                            'run code when they are read, so they are refused: convert the data by making a store from the original '
                            'files, tools/prepare_dataset.py {ssl4eo,bigearthnet,geonrw} SRC OUT.')
        raise DataError(f'{folder} is no store: it has no {MANIFEST}. Make one with tools/prepare_dataset.py.')
    repair = f'Run the command that prepared {folder} again with --repair: it keeps the records that are whole.'
    manifest = read_json(path, repair)
    if manifest.get('checksum', checksum(manifest)) != checksum(manifest):
        raise DataError(f'{path} is damaged (its checksum does not fit). {repair}')
    if manifest.get('format') != FORMAT or manifest.get('version') != VERSION:
        raise DataError(f'{path}: format {manifest.get("format")!r} version {manifest.get("version")!r}, this version reads {FORMAT!r} '
                        f'{VERSION}. Prepare the store again, in a new folder.')
    problem = check_keys(manifest)
    if problem:
        raise DataError(f'{path} is damaged ({problem}). {repair}')
    return manifest


def checksum(manifest: Mapping) -> int:
    """CRC-32 of a manifest without its own ``checksum`` (stores of earlier versions have none)."""
    rest = {key: value for key, value in manifest.items() if key != 'checksum'}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def check_keys(manifest: Mapping) -> str:
    """What is wrong with the keys that a manifest names, or an empty string; nothing is built from them before."""
    rasters, columns = manifest.get('rasters', {}), manifest.get('key_columns', {})
    if not isinstance(rasters, dict) or not isinstance(columns, dict):
        return 'rasters and key_columns must be objects'
    for key, size in rasters.items():
        whole = isinstance(size, list) and len(size) in (2, 3) and all(type(n) is int and 0 < n <= MAX_SIDE for n in size)
        if not whole:
            return f'raster {key!r} has size {size!r}'
    for column, patterns in columns.items():
        texts = isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns)
        if not texts or any(set('{}') & set(_FIELD.sub('', pattern)) for pattern in patterns):
            return f'column {column!r} has key patterns {patterns!r}'
    return ''


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store (of any version, unfinished, or one of the published code, which reading then explains)."""
    return any((Path(folder) / name).is_file() for name in (MANIFEST, UNFINISHED, 'data.mdb'))


def open_environment(folder: str | Path, **kwargs):
    """The LMDB of a store, for reading.

    Args:
        folder (str | Path): The store.
        **kwargs: More arguments of ``lmdb.open``.

    Raises:
        DataError: If it is missing, cannot be opened, or is shorter than its header says (reading beyond the end of a memory-mapped file
            kills the process).
    """
    lmdb, path = import_lmdb(), Path(folder) / 'data.mdb'
    if not path.is_file():
        raise DataError(f'{path} does not exist: {folder} is no store, or not copied whole. Copy it again, or make one with '
                        'tools/prepare_dataset.py.')
    try:
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, **kwargs)
    except lmdb.Error as error:
        raise DataError(f'{path} is damaged ({error}). Copy it again, or run the command that prepared {folder} again with --repair, which '
                        'makes it anew.') from error
    size, needed = path.stat().st_size, used_bytes(environment)
    if size < needed:
        environment.close()
        raise DataError(f'{path} is truncated: it has {size} bytes, its records need {needed}. Copy it again, or run the '
                        f'command that prepared {folder} again with --repair, which makes it anew.')
    return environment


def used_bytes(environment) -> int:
    """Bytes that the pages of an environment take in its file."""
    return (environment.info()['last_pgno'] + 1) * environment.stat()['psize']


def close_environment(folder: str | Path) -> None:
    """Close the environment that this process opened to read ``folder``, if any: LMDB opens an environment once per process."""
    pid, environment = _open.pop(str(folder), (None, None))
    if pid == os.getpid():
        environment.close()


def read_record(folder: str, key: str) -> dict:
    """One record, ``{name: array}``, after its checksum was compared.

    Raises:
        DataError: If there is no such record, or it is damaged.
    """
    pid, environment = _open.get(folder, (None, None))
    if pid != os.getpid():  # never across a fork
        if environment is not None:  # that of the parent: LMDB refuses a second one of the same folder
            environment.close()
        read_manifest(folder)
        environment = open_environment(folder, meminit=False, max_readers=512)
        _open[folder] = os.getpid(), environment
    try:
        with environment.begin(buffers=False) as transaction:
            data = transaction.get(key.encode())
    except import_lmdb().Error as error:
        raise DataError(f'{folder}: record {key!r} cannot be read ({error}). Copy the store again, or prepare it again.') from error
    if data is None:
        raise DataError(f'{folder} has no record {key!r}.')
    return decode(data, f'{folder}: record {key!r}')


def decode(data: bytes, name: str) -> dict:
    """The bytes of a record to ``{name: array}``.

    Args:
        data (bytes): safetensors, then the CRC-32 of these bytes as four bytes, little endian.
        name (str): What error messages call it.

    Raises:
        DataError: If the checksum does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load
    if zlib.crc32(data[:-4]).to_bytes(4, 'little') != data[-4:]:
        raise DataError(f'{name} is damaged: its checksum does not fit. Run tools/prepare_dataset.py again with --repair.')
    try:
        return load(bytes(data[:-4]))
    except (SafetensorError, ValueError) as error:
        raise DataError(f'{name} is damaged ({error}). Run tools/prepare_dataset.py again with --repair.') from error


def read_index(folder: str | Path) -> Table:
    """The index of a store that has one, after its checksum was compared.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = Path(folder) / INDEX
    expected = read_manifest(folder).get('index_crc32')  # stores of earlier versions have none
    try:
        if path.is_file() and expected is not None and zlib.crc32(path.read_bytes()) != expected:
            raise DataError(f'{path} is damaged (its checksum does not fit).')
        return Table.load(path)
    except DataError as error:
        raise DataError(f'{error} Run the command that prepared {folder} again.') from error


def record_keys(folder: str | Path) -> list:
    """Every key that a store names.

    A manifest names them as ``rasters`` (``{key: [height, width]}``, cut into blocks: :func:`block_keys`), or as ``key_columns``
    (``{column: [format, ...]}``: keys for each value of the index's column that is not empty, and ``{id}`` for the column ``id``).

    Raises:
        DataError: If the manifest or the index is missing or damaged.
    """
    manifest = read_manifest(folder)
    keys = []
    for key, size in manifest.get('rasters', {}).items():
        keys += [key, *(block for row in block_keys(key, size) for block in row)]
    columns = manifest.get('key_columns', {})
    index = read_index(folder) if columns else None
    absent = [name for name in (*columns, 'id') if columns and name not in index.columns]
    if absent:
        raise DataError(f'{Path(folder) / INDEX} has no column {absent}, which {MANIFEST} names. Run the command that prepared {folder} '
                        'again.')
    try:
        for column, patterns in columns.items():
            rows = list(zip(index['id'].tolist(), index[column].reshape(len(index), -1).tolist()))
            keys += [pattern.format(value.decode(), id=name.decode()) for pattern in patterns for name, values in rows for value in values
                     if value]
    except (AttributeError, UnicodeDecodeError) as error:
        raise DataError(f'{Path(folder) / INDEX} is damaged ({error}). Run the command that prepared {folder} again.') from error
    return keys


def block_keys(key: str, size: Sequence) -> list:
    """Keys of the blocks of a raster of ``size`` (height, width), row by row: ``{key}/{row}_{column}``, :data:`BLOCK` pixels a side."""
    return [[f'{key}/{row}_{column}' for column in range(-(-size[1] // BLOCK))] for row in range(-(-size[0] // BLOCK))]


@READERS.register_module()
class StoreReader(Reader):
    """Read a raster, or a window of one, from the blocks that a store keeps it in; only those that the window touches are read.

    A source is ``dict(store=folder, key=key, size=(height, width))``, with ``window=(row, column, height, width)`` for a part. A block
    that has ``nodata`` beside ``image`` says by it which value means "missing" in each band, as the files' tags did.

    Args:
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.
    """

    def decode(self, source: Mapping) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        keys = block_keys(source['key'], source['size'])
        window = source.get('window') or (0, 0, *source['size'][:2])
        check_window(f'{source["store"]}: {source["key"]}', source['size'], window)
        row, column, height, width = window
        first, last = row // BLOCK, (row + height - 1) // BLOCK
        left, right = column // BLOCK, (column + width - 1) // BLOCK
        records = [[read_record(source['store'], key) for key in row_of_keys[left:right + 1]] for row_of_keys in keys[first:last + 1]]
        image = np.concatenate([np.concatenate([record['image'] for record in row_of_records], axis=1) for row_of_records in records])
        row, column = row - first * BLOCK, column - left * BLOCK
        part = image[row:row + height, column:column + width]
        if part.shape[:2] != (height, width):
            raise DataError(f'{source["store"]}: the blocks of {source["key"]!r} are smaller than its size {tuple(source["size"])} in '
                            f'{MANIFEST}. Run tools/prepare_dataset.py again with --repair.')
        part = np.ascontiguousarray(part)
        missing = None
        if 'nodata' in records[0][0]:
            tags = records[0][0]['nodata']
            missing = np.stack([equals(part[..., band], float(tag)) for band, tag in enumerate(tags)], axis=-1)
        return part, self.mark(part, missing)

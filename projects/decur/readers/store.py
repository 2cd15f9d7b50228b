"""The compact store: LMDB, one record for what is read together, values at native resolution, and a JSON manifest.

``FOLDER/data.mdb`` holds safetensors records (``{name: array}``), ``FOLDER/manifest.json`` says what they are: format and version, data
set, and the records' keys, either listed or by the columns of ``FOLDER/index.safetensors`` (:class:`~decur.readers.table.Table`), which
is there where there are too many samples to parse. Each data set's module under ``decur.prepare`` describes its keys. A store
that is being written has ``unfinished.json``. Nothing is ever unpickled. Reading opens the environment once per process, when the first
record is read.
"""
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.registry import READERS
from decur.writing import write_bytes, write_json

from .table import Table

FORMAT, VERSION = 'decur-store', 2
MANIFEST = 'manifest.json'
INDEX = 'index.safetensors'
UNFINISHED = 'unfinished.json'
#: Side of the blocks that large rasters are cut into, pixels: the tile of GeoNRW.
BLOCK = 250
_open: dict = {}


def _lmdb():
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
    try:
        manifest = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DataError(f'{path} is damaged ({error}). Run the command that prepared {folder} again with --repair: it keeps the records '
                        'that are whole.') from error
    if manifest.get('format') != FORMAT or manifest.get('version') != VERSION:
        raise DataError(f'{path}: format {manifest.get("format")!r} version {manifest.get("version")!r}, this version reads {FORMAT!r} '
                        f'{VERSION}. Prepare the store again, in a new folder.')
    return manifest


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store (of any version, unfinished, or one of the published code, which reading then explains)."""
    return any((Path(folder) / name).is_file() for name in (MANIFEST, UNFINISHED, 'data.mdb'))


def _open_environment(folder: str | Path, **kwargs):
    """The LMDB of a store, for reading.

    Raises:
        DataError: If it is missing, cannot be opened, or is shorter than it says (who reads beyond a file's end is ended).
    """
    lmdb, path = _lmdb(), Path(folder) / 'data.mdb'
    if not path.is_file():
        raise DataError(f'{path} does not exist: {folder} is no store, or not copied whole. Copy it again, or make one with '
                        'tools/prepare_dataset.py.')
    try:
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, **kwargs)
    except lmdb.Error as error:
        raise DataError(f'{path} cannot be opened ({error}). Copy it again, or delete {folder} and prepare the store again.') from error
    size, needed = path.stat().st_size, _size(environment)
    if size < needed:
        environment.close()
        raise DataError(f'{path} is cut short: it has {size} bytes, its records need {needed}. Copy it again, or delete {folder} and '
                        'prepare the store again.')
    return environment


def _size(environment) -> int:
    """Bytes that the pages of an environment take in its file."""
    return (environment.info()['last_pgno'] + 1) * environment.stat()['psize']


def _close_reader(folder: str | Path) -> None:
    """LMDB opens an environment once per process: close the one that was opened for reading."""
    pid, environment = _open.pop(str(folder), (None, None))
    if pid == os.getpid():
        environment.close()


def read_record(folder: str, key: str) -> dict:
    """One record, ``{name: array}``.

    Raises:
        DataError: If there is no such record, or it is damaged.
    """
    pid, environment = _open.get(folder, (None, None))
    if pid != os.getpid():  # never across a fork
        read_manifest(folder)
        environment = _open_environment(folder, meminit=False, max_readers=512)
        _open[folder] = os.getpid(), environment
    with environment.begin(buffers=False) as transaction:
        data = transaction.get(key.encode())
    if data is None:
        raise DataError(f'{folder} has no record {key!r}.')
    return decode(data, f'{folder}: record {key!r}')


def encode(bands: Mapping) -> bytes:
    """``{name: array}`` to a record: safetensors with a checksum after it."""
    import zlib

    from safetensors.numpy import save
    data = save({name: np.ascontiguousarray(band) for name, band in bands.items()})
    return data + zlib.crc32(data).to_bytes(4, 'little')


def decode(data: bytes, name: str, check: bool = False) -> dict:
    """The inverse; ``check`` compares the checksum too (verification, not every read).

    Raises:
        DataError: If the record is damaged.
    """
    import zlib

    from safetensors import SafetensorError
    from safetensors.numpy import load
    if check and zlib.crc32(data[:-4]).to_bytes(4, 'little') != data[-4:]:
        raise DataError(f'{name} is damaged: its checksum does not fit. Run tools/prepare_dataset.py again with --repair.')
    try:
        return load(bytes(data[:-4]))
    except (SafetensorError, ValueError) as error:
        raise DataError(f'{name} is damaged ({error}). Run tools/prepare_dataset.py again with --repair.') from error


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


class StoreWriter:
    """Write a store: whole records only, a map that grows, a manifest at the end.

    Args:
        folder (str | Path): Made if need be.
        dataset (str): The id of the data set.
        batch (int): Records per transaction; a killed run loses at most the last ones. Defaults to 64.
        repair (bool): Take a damaged manifest for that of an unfinished store; it is written anew. Defaults to False.

    Raises:
        DataError: If the folder holds a store of another data set or version, or another LMDB, or cannot be written.
    """

    def __init__(self, folder: str | Path, dataset: str, batch: int = 64, repair: bool = False):
        self._error = _lmdb().Error
        self._full = _lmdb().MapFullError
        self.folder, self.batch = Path(folder), batch
        _close_reader(folder)
        self.dataset = dataset
        if (self.folder / MANIFEST).is_file() and not (self.folder / UNFINISHED).is_file():
            _open_environment(self.folder).close()  # whole, or an error: only a finished store is known to fill its file
        self._claim(repair)
        used = (self.folder / 'data.mdb').stat().st_size if (self.folder / 'data.mdb').exists() else 0
        try:
            self.environment = _lmdb().open(str(self.folder), map_size=used + (64 << 20), readahead=False)
        except self._error as error:
            raise DataError(f'{self.folder} cannot be opened for writing ({error}). Is the disk full, or the file damaged?') from error
        self._pending: dict = {}

    def _claim(self, repair: bool) -> None:
        """Say whose the folder is before anything is written there."""
        marker, manifest = self.folder / UNFINISHED, self.folder / MANIFEST
        try:
            if marker.is_file():
                found = json.loads(marker.read_text(encoding='utf-8'))
            elif is_store(self.folder) and not (repair and manifest.is_file() and not _is_json(manifest)):
                found = read_manifest(self.folder)
            else:
                found = dict(format=FORMAT, version=VERSION, dataset=self.dataset)
            if (found.get('format'), found.get('version')) != (FORMAT, VERSION):
                raise DataError(f'{self.folder} was begun in format {found.get("format")!r} {found.get("version")!r}, this version writes '
                                f'{FORMAT!r} {VERSION}. Choose a new folder.')
            if found.get('dataset') != self.dataset:
                raise DataError(f'{self.folder} holds another data set, {found.get("dataset")!r}; choose another folder for '
                                f'{self.dataset!r}.')
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(marker, dict(format=FORMAT, version=VERSION, dataset=self.dataset))
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f'{self.folder} cannot be written ({error}).') from error

    def __contains__(self, key: str) -> bool:
        if key in self._pending:
            return True
        with self.environment.begin() as transaction, transaction.cursor() as cursor:
            return cursor.set_key(key.encode())

    def get(self, key: str) -> bytes:
        """A record that is in the store."""
        with self.environment.begin() as transaction:
            return self._pending.get(key) or transaction.get(key.encode())

    def keys(self) -> list:
        """All keys that were committed, sorted."""
        with self.environment.begin() as transaction, transaction.cursor() as cursor:
            return [key.decode() for key in cursor.iternext(keys=True, values=False)]

    def put(self, key: str, data: bytes) -> None:
        """Add or replace a record."""
        self._pending[key] = data
        if len(self._pending) >= self.batch:
            self.commit()

    def commit(self) -> None:
        """Write what is pending.

        Raises:
            DataError: If the disk is full or fails; what was committed before stays whole.
        """
        while self._pending:
            try:
                with self.environment.begin(write=True) as transaction:
                    for key, data in self._pending.items():
                        transaction.put(key.encode(), data)
                self._pending = {}
            except self._full:
                size = self.environment.info()['map_size']
                self.environment.set_mapsize(size + max(64 << 20, size // 4))
            except self._error as error:
                raise DataError(f'{self.folder} cannot be written ({error}), first record {next(iter(self._pending))!r}. Is the disk full? '
                                'What was written before is whole; free some space and run the same command again.') from error

    def finish(self, manifest: Mapping, index: Table | None = None) -> None:
        """Commit, write the index and the manifest, each at once, and close.

        Raises:
            DataError: If the disk is full or fails.
        """
        self.commit()
        try:
            self.environment.sync(True)
            data, needed = self.folder / 'data.mdb', _size(self.environment)
            if data.stat().st_size < needed:  # pages that were taken and given back are not always written
                os.truncate(data, needed)
            if index is not None:
                index.save(self.folder / INDEX)
            manifest = dict(format=FORMAT, version=VERSION, dataset=self.dataset, **manifest)
            write_bytes(self.folder / MANIFEST, json.dumps(manifest).encode())
            (self.folder / UNFINISHED).unlink()
        except (OSError, self._error) as error:
            raise DataError(f'{self.folder} cannot be written ({error}). Is the disk full? All records are whole; free some space and run '
                            'the same command again.') from error
        self.close()

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()


def verify_store(folder: str | Path) -> list:
    """Keys that the manifest names and whose records are missing or damaged.

    Raises:
        DataError: If the folder is no finished store, or its LMDB is cut short.
    """
    bad: list = []
    keys = record_keys(folder)
    _close_reader(folder)
    environment = _open_environment(folder)
    try:
        with environment.begin() as transaction:
            for key in keys:
                data = transaction.get(key.encode())
                try:
                    if data is None:
                        raise DataError(f'no record {key!r}')
                    decode(data, key, check=True)
                except DataError:
                    bad.append(key)
    finally:
        environment.close()
    return bad


def read_index(folder: str | Path) -> Table:
    """The index of a store that has one.

    Raises:
        DataError: If it is missing or damaged.
    """
    try:
        return Table.load(Path(folder) / INDEX)
    except DataError as error:
        raise DataError(f'{error} Run the command that prepared {folder} again.') from error


def record_keys(folder: str | Path) -> list:
    """Every key that a store names.

    A manifest names them as ``rasters`` (``{key: [height, width]}``, cut into blocks: :func:`block_keys`), or as ``key_columns``
    (``{column: [format, ...]}``: keys for each value of the index's column that is not empty, and ``{id}`` for the column ``id``).
    """
    manifest = read_manifest(folder)
    keys = []
    for key, size in manifest.get('rasters', {}).items():
        keys += [key, *(block for row in block_keys(key, size) for block in row)]
    columns = manifest.get('key_columns', {})
    index = read_index(folder) if columns else None
    for column, patterns in columns.items():
        rows = list(zip(index['id'].tolist(), index[column].reshape(len(index), -1).tolist()))
        keys += [pattern.format(value.decode(), id=name.decode()) for pattern in patterns for name, values in rows for value in values
                 if value]
    return keys


def block_keys(key: str, size: Sequence) -> list:
    """Keys of the blocks of a raster of ``size`` (height, width), row by row: ``{key}/{row}_{column}``, :data:`BLOCK` pixels a side."""
    return [[f'{key}/{row}_{column}' for column in range(-(-size[1] // BLOCK))] for row in range(-(-size[0] // BLOCK))]


@READERS.register_module()
class StoreReader:
    """Read a raster, or a window of one, from the blocks that a store keeps it in; only those that the window touches are read.

    A source is ``dict(store=folder, key=key, size=(height, width))``, with ``window=(row, column, height, width)`` for a part.
    """

    def __call__(self, source: Mapping) -> np.ndarray:
        """Read a source as ``(H, W, C)``.

        Raises:
            DataError: If the window leaves the raster, or a block is missing or damaged.
        """
        keys = block_keys(source['key'], source['size'])
        row, column, height, width = source.get('window') or (0, 0, *source['size'])
        if row < 0 or column < 0 or row + height > source['size'][0] or column + width > source['size'][1]:
            raise DataError(f'{source["store"]}: window {(row, column, height, width)} leaves {source["key"]!r} of '
                            f'{source["size"][0]}x{source["size"][1]} pixels.')
        first, last = row // BLOCK, (row + height - 1) // BLOCK
        left, right = column // BLOCK, (column + width - 1) // BLOCK
        rows = []
        for keys_of_row in keys[first:last + 1]:
            blocks = [read_record(source['store'], key)['image'] for key in keys_of_row[left:right + 1]]
            rows.append(blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1))
        image = rows[0] if len(rows) == 1 else np.concatenate(rows)
        row, column = row - first * BLOCK, column - left * BLOCK
        return np.ascontiguousarray(image[row:row + height, column:column + width])

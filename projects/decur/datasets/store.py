"""The compact store: LMDB, one record per location, modality and season, bands at native resolution, and a JSON manifest.

``FOLDER/data.mdb`` holds safetensors records (``{band: (h, w)}``) under keys ``{location}/{modality}/{season}``; ``FOLDER/manifest.json``
says what they are: format and version, data set, scenes of every location with their time stamps. Nothing is ever unpickled. Reading
opens the environment once per process, when the first record is read.
"""
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decur.errors import DataError

FORMAT, VERSION = 'decur-store', 1
MANIFEST = 'manifest.json'
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
        if (Path(folder) / 'data.mdb').is_file() or Path(folder).suffix == '.lmdb':
            raise DataError(f'{folder} is an LMDB without {MANIFEST}, as the published code writes them. Its records are pickles, which '
                            'run code when they are read, so they are refused: make a store from the original files with '
                            'tools/prepare_dataset.py.')
        raise DataError(f'{folder} is no store: it has no {MANIFEST}. Make one with tools/prepare_dataset.py.')
    try:
        manifest = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DataError(f'{path} is damaged ({error}). Prepare the store again.') from error
    if manifest.get('format') != FORMAT or manifest.get('version') != VERSION:
        raise DataError(f'{path}: format {manifest.get("format")!r} version {manifest.get("version")!r}, this version reads {FORMAT!r} '
                        f'{VERSION}. Prepare the store again.')
    return manifest


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store (of any version, or one of the published code, which reading then explains)."""
    return (Path(folder) / MANIFEST).is_file() or (Path(folder) / 'data.mdb').is_file()


def read_record(folder: str, key: str) -> dict:
    """One record, ``{band: (h, w) array}``, checked.

    Raises:
        DataError: If there is no such record, or it is damaged.
    """
    pid, environment = _open.get(folder, (None, None))
    if pid != os.getpid():  # never across a fork
        lmdb = _lmdb()
        read_manifest(folder)
        try:
            environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False, max_readers=512)
        except lmdb.Error as error:
            raise DataError(f'{folder} cannot be opened ({error}). Prepare the store again.') from error
        _open[folder] = os.getpid(), environment
    with environment.begin(buffers=False) as transaction:
        data = transaction.get(key.encode())
    if data is None:
        raise DataError(f'{folder} has no record {key!r}.')
    return decode(data, f'{folder}: record {key!r}')


def encode(bands: Mapping) -> bytes:
    """``{band: (h, w) array}`` to a record: safetensors with a checksum after it."""
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


class StoreWriter:
    """Write a store: whole records only, a map that grows, a manifest at the end.

    Args:
        folder (str | Path): Made if need be.
        batch (int): Records per transaction; a killed run loses at most the last ones. Defaults to 64.
    """

    def __init__(self, folder: str | Path, batch: int = 64):
        self._error = _lmdb().Error
        self._full = _lmdb().MapFullError
        self.folder, self.batch = Path(folder), batch
        self.folder.mkdir(parents=True, exist_ok=True)
        used = (self.folder / 'data.mdb').stat().st_size if (self.folder / 'data.mdb').exists() else 0
        self.environment = _lmdb().open(str(self.folder), map_size=used + (64 << 20), readahead=False)
        self._pending: dict = {}

    def __contains__(self, key: str) -> bool:
        if key in self._pending:
            return True
        with self.environment.begin() as transaction, transaction.cursor() as cursor:
            return cursor.set_key(key.encode())

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

    def finish(self, manifest: Mapping) -> None:
        """Commit, write the manifest at once and close."""
        self.commit()
        self.environment.sync(True)
        path = self.folder / MANIFEST
        temporary = path.with_suffix('.json.tmp')
        temporary.write_text(json.dumps(dict(format=FORMAT, version=VERSION, **manifest)), encoding='utf-8')
        os.replace(temporary, path)
        self.close()

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()


def verify_store(folder: str | Path) -> list:
    """Keys of records that are missing or damaged, by the manifest's ``keys``."""
    manifest, bad = read_manifest(folder), []
    environment = _lmdb().open(str(folder), readonly=True, lock=False, readahead=False)
    try:
        with environment.begin() as transaction:
            for key in manifest['keys']:
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

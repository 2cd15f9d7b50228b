"""Writing and verifying the compact store; :mod:`decur.readers.store` says what is in it, and reads it."""
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.parallel import isolated
from decur.readers.store import (
    FORMAT,
    INDEX,
    MANIFEST,
    UNFINISHED,
    VERSION,
    check_keys,
    checksum,
    close_environment,
    decode,
    import_lmdb,
    is_store,
    open_environment,
    read_manifest,
    record_keys,
    used_bytes,
)
from decur.readers.table import Table
from decur.writing import output_folder, read_json, write_bytes, write_json


def encode(bands: Mapping) -> bytes:
    """``{name: array}`` to a record: safetensors with a checksum after it."""
    from safetensors.numpy import save
    data = save({name: np.ascontiguousarray(band) for name, band in bands.items()})
    return data + zlib.crc32(data).to_bytes(4, 'little')


def _is_whole(path: Path) -> bool:
    """Whether a manifest is as it was written, of whatever version."""
    try:
        manifest = read_json(path)
    except DataError:
        return False
    return not check_keys(manifest) and manifest.get('checksum', checksum(manifest)) == checksum(manifest)


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
        self._error = import_lmdb().Error
        self._full = import_lmdb().MapFullError
        self.folder, self.batch = Path(folder), batch
        close_environment(folder)
        self.dataset = dataset
        began = (self.folder / UNFINISHED).is_file()
        damage = ''
        if (self.folder / MANIFEST).is_file() and not began:
            try:
                open_environment(self.folder).close()  # only a finished store is known to fill its file
            except DataError as error:
                if not repair:
                    raise
                damage = str(error)
        self._claim(repair)
        try:
            self.environment = self._open(damage, begin_anew=began or repair)
        except self._error as error:
            raise DataError(f'{self.folder} cannot be opened for writing ({error}). Is the disk full, or the file damaged?') from error
        self._longest_key = self.environment.max_key_size()
        self._pending: dict = {}

    def _open(self, damage: str, begin_anew: bool):
        """The LMDB for writing. One that cannot be opened, say with a first page that is half-written, is begun anew if that is allowed."""
        lmdb, data = import_lmdb(), self.folder / 'data.mdb'
        used = data.stat().st_size if data.exists() else 0
        if not damage:
            try:
                return lmdb.open(str(self.folder), map_size=used + (64 << 20), readahead=False)
            except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
                if not begin_anew:
                    raise
                damage = f'{data} is damaged ({error}).'
        print(f'{damage} All its records are made again.', flush=True)
        for path in (data, self.folder / 'lock.mdb'):
            path.unlink(missing_ok=True)
        return lmdb.open(str(self.folder), map_size=64 << 20, readahead=False)

    def _claim(self, repair: bool) -> None:
        """Mark the folder as one of this data set before anything else is written there."""
        marker, manifest = self.folder / UNFINISHED, self.folder / MANIFEST
        own = found = dict(format=FORMAT, version=VERSION, dataset=self.dataset)
        try:
            if marker.is_file():
                try:
                    found = read_json(marker, f'If {self.folder} is a store of {self.dataset!r}, run the same command with --repair, '
                                      'which checks its records; else choose another folder.')
                except DataError:
                    if not repair:
                        raise
            elif is_store(self.folder) and not (repair and manifest.is_file() and not _is_whole(manifest)):
                found = read_manifest(self.folder)
            if (found.get('format'), found.get('version')) != (FORMAT, VERSION):
                raise DataError(f'{self.folder} was begun in format {found.get("format")!r} {found.get("version")!r}, this version writes '
                                f'{FORMAT!r} {VERSION}. Choose a new folder.')
            if found.get('dataset') != self.dataset:
                raise DataError(f'{self.folder} holds another data set, {found.get("dataset")!r}; choose another folder for '
                                f'{self.dataset!r}.')
            output_folder(self.folder)
            write_json(marker, own)
        except OSError as error:
            raise error if isinstance(error, DataError) else DataError(f'{self.folder} cannot be read ({error.strerror}).') from error

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

    def is_empty(self) -> bool:
        """Whether no record was committed."""
        return self.environment.stat()['entries'] == 0

    def put(self, key: str, data: bytes) -> None:
        """Add or replace a record.

        Raises:
            DataError: If the key is too long, or the records that are pending cannot be written.
        """
        if len(key.encode()) > self._longest_key:
            raise DataError(f'{self.folder}: a record cannot be called {key[:80]!r}..., names have at most {self._longest_key} bytes.')
        self._pending[key] = data
        if len(self._pending) >= self.batch:
            self.commit()

    def delete(self, keys: Iterable) -> None:
        """Delete records.

        Raises:
            DataError: If the disk is full or fails.
        """
        self.commit()
        try:
            with self.environment.begin(write=True) as transaction:
                for key in keys:
                    transaction.delete(key.encode())
        except self._error as error:
            raise DataError(f'{self.folder} cannot be written ({error}). Free some space and run the same command again.') from error

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
        """Commit, write the index and the manifest, each atomically, and close.

        Raises:
            DataError: If the disk is full or fails.
        """
        self.commit()
        try:
            self.environment.sync(True)
            data, needed = self.folder / 'data.mdb', used_bytes(self.environment)
            if data.stat().st_size < needed:  # pages that were taken and given back are not always written
                os.truncate(data, needed)
            manifest = dict(format=FORMAT, version=VERSION, dataset=self.dataset, **manifest)
            if index is not None:
                index.save(self.folder / INDEX)
                manifest['index_crc32'] = zlib.crc32((self.folder / INDEX).read_bytes())
            manifest = json.loads(json.dumps(manifest))
            manifest['checksum'] = checksum(manifest)
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
    """Keys of records that the manifest names and that are missing or damaged. Manifest and index are compared with their checksums too.

    Raises:
        DataError: If the folder is no finished store, or manifest, index or LMDB are damaged as a whole.
    """
    keys = record_keys(folder)
    close_environment(folder)
    return isolated(lambda: _bad_records(folder, keys), str(Path(folder) / 'data.mdb'))


def unreadable_records(folder: str | Path) -> list:
    """Keys of the records in a store, finished or not, whose checksum does not fit.

    Raises:
        DataError: If the LMDB is damaged as a whole.
    """
    close_environment(folder)
    return isolated(lambda: _bad_records(folder, None), str(Path(folder) / 'data.mdb'))


def _bad_records(folder: str | Path, keys: Sequence | None) -> list:
    """Of the named records, or of all that are there. A page of LMDB that is damaged may end the process."""
    bad, error_of_lmdb = [], import_lmdb().Error
    environment = open_environment(folder)
    try:
        with environment.begin() as transaction:
            if keys is None:
                keys = [key.decode() for key in transaction.cursor().iternext(keys=True, values=False)]
            for key in keys:
                try:
                    data = transaction.get(key.encode())
                    if data is None:
                        raise DataError(f'no record {key!r}')
                    decode(data, key)
                except (DataError, error_of_lmdb):
                    bad.append(key)
    finally:
        environment.close()
    return bad

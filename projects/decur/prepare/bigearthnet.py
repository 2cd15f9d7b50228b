"""BigEarthNet-MM v1 and v2 (reBEN) to the compact store.

The store keeps every band at its native resolution in its own type. A record is a patch of a sensor, ``s2/{patch}`` or ``s1/{patch}``:
``{band: (h, w)}``; v1 has the patch's metadata file beside it, ``labels/{patch}``: ``{json: (bytes,)}``. Labels, pairs and splits are in
the store's index, the same table that the dataset class makes of the extracted folders.
"""
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from decur.datasets.bigearthnet import (
    METADATA,
    ROOTS,
    index_of_patches,
    labels_of,
    list_patches,
    patch_folder,
    read_parquet,
    version_of,
)
from decur.datasets.finding import is_hidden
from decur.errors import DataError
from decur.readers.store import decode, record_keys
from decur.sensors import BIGEARTHNET_BANDS
from decur.writing import write_bytes

from . import engine
from .archives import find_archives
from .rasters import read_bands
from .release import FileGroup, Release, Unit
from .store_writer import StoreWriter, encode

_LABELS = 'labels'


class BigEarthNetRelease(Release):
    """BigEarthNet-MM v1 or v2, extracted or as archives, to the compact store.

    v1: ``BigEarthNet-v1.0`` and ``BigEarthNet-S1-v1.0``, folders or archives of these names. v2: ``BigEarthNet-S2`` and
    ``BigEarthNet-S1``, folders or archives (gzip or zstd), and ``metadata.parquet``. Lists of patches (CSV files) that lie in SRC are
    copied to the store, so that ``split='train.csv'`` names the same list there.
    """

    command = 'bigearthnet'
    title = 'BigEarthNet-MM v1 or v2 to the compact store'

    def __init__(self, src):
        super().__init__(src)
        self.version = version_of(self.src) or self._version_of_archives()
        self.dataset = f'bigearthnet-{self.version}'
        #: v2: rows of the metadata, and which S2 patch each S1 patch belongs to.
        self.rows = read_parquet(self.src) if self.version == 'v2' else None
        self._partner = {row['s1']: row['id'] for row in self.rows or ()}
        self._suffixes = {sensor: {**{band: f'_{band}.tif' for band in bands}, **({_LABELS: METADATA} if self.version == 'v1' else {})}
                          for sensor, bands in BIGEARTHNET_BANDS.items()}
        self._known = {row[sensor] for row in self.rows or () for sensor in ('s1', 's2')}

    def _archives(self) -> list:
        """``[(version, parts of the archive)]``."""
        return [('v1' if 'v1' in parts[0].name else 'v2', parts) for parts in find_archives(self.src, 'BigEarthNet-')]

    def _version_of_archives(self) -> str:
        versions = {version for version, _ in self._archives()}
        if len(versions) != 1:
            raise DataError(f'{self.src} holds neither folders {ROOTS["v1"]} or {ROOTS["v2"]} nor archives of these names of one version; '
                            f'archives found: {[parts[0].name for _, parts in self._archives()]}.')
        return versions.pop()

    def _sample(self, sensor: str, patch: str) -> str:
        return patch if sensor == 's2' else self._partner.get(patch, patch)

    def units(self, samples):
        """Patches of both sensors that the metadata name (v2) or whose folders are there (v1)."""
        root, units = self.src, []
        if not any((root / folder).is_dir() for folder in ROOTS[self.version]):
            return None
        if self.version == 'v2':
            patches = [(sensor, row[sensor]) for row in self.rows for sensor in ('s2', 's1')]
        else:
            patches = [(sensor, patch) for sensor, names in list_patches(root, 'v1').items() for patch in names]
        for sensor, patch in patches:
            folder = patch_folder(root, sensor, patch, self.version)
            files = FileGroup(f'{folder}/{patch}', self._suffixes[sensor])
            if self.version == 'v1':
                if samples and sensor == 's1' and files[_LABELS].is_file():
                    self._note_partner(patch, files[_LABELS].read_bytes())
            elif not os.path.isdir(folder):
                self.unpaired[patch] = f'no folder {folder}'
                continue
            known = samples or sensor == 's2' or self.version == 'v2'
            units.append(Unit(f'{sensor}/{patch}', self._sample(sensor, patch) if known else '', files))
        return units

    def listed(self, name):
        """In v1 only the metadata file of an S1 patch says which S2 patch it belongs to."""
        return name == _LABELS

    def sample_of(self, unit):
        """Remembers the partner."""
        sensor, patch = unit.key.split('/')
        if sensor == 's1' and unit.files.get(_LABELS):
            self._note_partner(patch, unit.files[_LABELS])
        return self._sample(sensor, patch)

    def _note_partner(self, patch: str, text: bytes) -> None:
        with suppress(DataError):  # a damaged file is reported when the patch is encoded
            self._partner[patch] = labels_of(text, patch, 's1', patch)[0]

    def archives(self):
        """Of both sensors; one of them may be missing (it is told by the figures)."""
        return [parts for version, parts in self._archives() if version == self.version]

    def member(self, archive, pieces):
        """``.../{patch}/{patch}_{band}.tif`` and v1's metadata files; the names tell the sensor."""
        if len(pieces) < 2 or not pieces[-1].startswith(f'{pieces[-2]}_'):
            return None
        patch, name = pieces[-2], pieces[-1]
        sensor = 's1' if patch.startswith('S1') else 's2'
        if self.version == 'v2' and patch not in self._known:
            return None  # snow and clouds, which the metadata leave out
        if name == f'{patch}{METADATA}':
            name = _LABELS
        elif name.endswith('.tif'):
            name = name[len(patch) + 1:-4]
        else:
            return None
        if name not in self.needed(f'{sensor}/{patch}'):
            return None
        return f'{sensor}/{patch}', self._sample(sensor, patch), name

    def needed(self, key):
        """All bands, and for v1 the metadata file."""
        return frozenset(BIGEARTHNET_BANDS[key[:2]]) | ({_LABELS} if self.version == 'v1' else set())

    def encode(self, key: str, files: Mapping) -> list:
        """The metadata (v1) and the bands."""
        sensor, patch = key.split('/')
        records = []
        bands = encode(read_bands(key, files, BIGEARTHNET_BANDS[sensor]))
        if _LABELS in files:
            labels_of(files[_LABELS], f'{key}{METADATA}', sensor, patch)  # an error here leaves the patch out
            records.append((f'{_LABELS}/{patch}', encode(dict(json=np.frombuffer(files[_LABELS], np.uint8)))))
        return [*records, (key, bands)]

    def unit_of(self, key):
        """The metadata belong to their patch."""
        kind, patch = key.split('/')
        return key if kind != _LABELS else f'{"s1" if patch.startswith("S1") else "s2"}/{patch}'

    def finish(self, writer: StoreWriter, units, skipped: Mapping) -> int:
        """The index of the patches that are in the store."""
        present: dict = dict(s1=set(), s2=set(), labels=set())
        for key in writer.keys():
            kind, patch = key.split('/')
            present[kind].add(patch)
        if self.version == 'v2':
            rows = [{**row, **{sensor: row[sensor] if row[sensor] in present[sensor] else None for sensor in ('s1', 's2')}}
                    for row in self.rows if row['s1'] in present['s1'] or row['s2'] in present['s2']]
        else:
            found: dict = {}
            for sensor in ('s2', 's1'):
                for patch in sorted(present[sensor]):
                    text = decode(writer.get(f'{_LABELS}/{patch}'), patch)['json'].tobytes()
                    sample, labels = labels_of(text, patch, sensor, patch)
                    found.setdefault(sample, dict(id=sample, labels=labels))[sensor] = patch
            rows = list(found.values())
        for path in sorted(path for path in self.src.glob('*.csv') if not is_hidden(path.name)):
            write_bytes(writer.folder / path.name, path.read_bytes())
        index = index_of_patches(rows, self.version)
        kinds = (['labels/{}'] if self.version == 'v1' else [])
        counts = {f'without_{sensor}': sum(row.get(sensor) is None for row in rows) for sensor in ('s1', 's2')}
        if any(counts.values()):
            print(json.dumps(dict(patches=len(rows), **counts)))
        keys = dict(s1=['s1/{}', *kinds], s2=['s2/{}', *kinds])
        writer.finish(dict(values='raw', patches=len(rows), key_columns=keys, **counts, skipped=skipped), index)
        return len(record_keys(writer.folder))


def prepare(src: str | Path, out: str | Path, **kwargs) -> dict:
    """Write the store; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(BigEarthNetRelease(src), out, **kwargs)

"""BigEarthNet-MM v1 (Sumbul et al., arXiv 2105.07921) and v2 (reBEN, Clasen et al., arXiv 2407.03653): multi-label scenes, S1 with S2."""
import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError

from .base import MultimodalDataset

#: The 19 classes, in the order of their authors.
CLASSES_19 = (
    'Urban fabric', 'Industrial or commercial units', 'Arable land', 'Permanent crops', 'Pastures', 'Complex cultivation patterns',
    'Land principally occupied by agriculture, with significant areas of natural vegetation', 'Agro-forestry areas', 'Broad-leaved forest',
    'Coniferous forest', 'Mixed forest', 'Natural grassland and sparsely vegetated areas', 'Moors, heathland and sclerophyllous vegetation',
    'Transitional woodland, shrub', 'Beach, dunes, sands', 'Inland wetlands', 'Coastal wetlands', 'Inland waters', 'Marine waters')
#: The 43 CORINE classes of v1 and what they become among the 19; None is dropped.
TO_19 = {
    'Continuous urban fabric': 'Urban fabric',
    'Discontinuous urban fabric': 'Urban fabric',
    'Industrial or commercial units': 'Industrial or commercial units',
    'Road and rail networks and associated land': None,
    'Port areas': None,
    'Airports': None,
    'Mineral extraction sites': None,
    'Dump sites': None,
    'Construction sites': None,
    'Green urban areas': None,
    'Sport and leisure facilities': None,
    'Non-irrigated arable land': 'Arable land',
    'Permanently irrigated land': 'Arable land',
    'Rice fields': 'Arable land',
    'Vineyards': 'Permanent crops',
    'Fruit trees and berry plantations': 'Permanent crops',
    'Olive groves': 'Permanent crops',
    'Pastures': 'Pastures',
    'Annual crops associated with permanent crops': 'Permanent crops',
    'Complex cultivation patterns': 'Complex cultivation patterns',
    'Land principally occupied by agriculture, with significant areas of natural vegetation':
        'Land principally occupied by agriculture, with significant areas of natural vegetation',
    'Agro-forestry areas': 'Agro-forestry areas',
    'Broad-leaved forest': 'Broad-leaved forest',
    'Coniferous forest': 'Coniferous forest',
    'Mixed forest': 'Mixed forest',
    'Natural grassland': 'Natural grassland and sparsely vegetated areas',
    'Moors and heathland': 'Moors, heathland and sclerophyllous vegetation',
    'Sclerophyllous vegetation': 'Moors, heathland and sclerophyllous vegetation',
    'Transitional woodland/shrub': 'Transitional woodland, shrub',
    'Beaches, dunes, sands': 'Beach, dunes, sands',
    'Bare rock': None,
    'Sparsely vegetated areas': 'Natural grassland and sparsely vegetated areas',
    'Burnt areas': None,
    'Inland marshes': 'Inland wetlands',
    'Peatbogs': 'Inland wetlands',
    'Salt marshes': 'Coastal wetlands',
    'Salines': 'Coastal wetlands',
    'Intertidal flats': None,
    'Water courses': 'Inland waters',
    'Water bodies': 'Inland waters',
    'Coastal lagoons': 'Marine waters',
    'Estuaries': 'Marine waters',
    'Sea and ocean': 'Marine waters',
}
CLASSES_43 = tuple(TO_19)

S1_BANDS = ('VV', 'VH')
S2_BANDS = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11', 'B12')
#: Where the two versions keep their patches.
_ROOTS = dict(v1=('BigEarthNet-v1.0', 'BigEarthNet-S1-v1.0'), v2=('BigEarthNet-S2', 'BigEarthNet-S1'))
_METADATA = '_labels_metadata.json'


def to_classes(labels: Sequence, classes: Sequence, name: str = '') -> np.ndarray:
    """Label names to a 0/1 vector over the 43 or the 19 classes.

    Labels of v1 (43 names) become those of the 19 or are dropped; both spellings of transitional woodland are known.

    Raises:
        DataError: If a label is neither.
    """
    vector = np.zeros(len(classes), np.float32)
    for label in labels:
        if label in classes:
            vector[classes.index(label)] = 1
        elif label not in TO_19:
            raise DataError(f'{name}: unknown label {label!r}.')
        elif TO_19[label] is not None:
            if TO_19[label] not in classes:
                raise DataError(f'{name}: label {label!r} is not among the {len(classes)} classes.')
            vector[classes.index(TO_19[label])] = 1
    return vector


@DATASETS.register_module()
class BigEarthNetDataset(MultimodalDataset):
    """A sample is a patch of 1.2 km with its labels; v1 and v2 are told by their folders.

    A modality's entry names its sensor, ``files=dict(sensor='s1')`` (VV, VH) or ``'s2'`` (12 bands of L2A), and reads with
    ``reader=dict(type='BandReader', bands=..., size=120)``. Patches of v1 without any of the chosen classes are left out and counted.

    The first start lists the patches and reads their metadata, then writes ``decur_index_<version>.json`` next to them (or to
    ``index_file``); later starts read only that.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder that holds ``BigEarthNet-v1.0`` and ``BigEarthNet-S1-v1.0``, or ``BigEarthNet-S2``,
            ``BigEarthNet-S1`` and ``metadata.parquet``.
        split (str, optional): v2: ``'train'``, ``'validation'`` or ``'test'``. v1: a CSV or text file of S2 patch names (first column;
            official and SeCo/DeCUR splits both come as such files), relative to ``data_root``. Defaults to all patches.
        exclude (Sequence[str]): CSV or text files of patches to leave out (snow; cloud and shadow). v2's metadata hold only clear patches.
        num_classes (int): 19 or, for v1, 43. Defaults to 19.
        index_file (str, optional): Where the index is kept.
        missing (str): What to do with an S2 patch without S1 (or the reverse): ``'error'``, ``'skip'`` or ``'keep'``.
        **kwargs: As :class:`MultimodalDataset`.
    """

    METAINFO = dict(classes=CLASSES_19)

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 split: str | None = None,
                 exclude: Sequence = (),
                 num_classes: int = 19,
                 index_file: str | None = None,
                 missing: str = 'error',
                 **kwargs):
        if missing not in ('error', 'skip', 'keep'):
            raise ConfigError(f"missing must be 'error', 'skip' or 'keep', got {missing!r}.")
        if num_classes not in (19, 43):
            raise ConfigError(f'num_classes must be 19 or 43, got {num_classes!r}.')
        self.split, self.exclude, self.index_file, self.missing = split, list(exclude), index_file, missing
        self.label_names = CLASSES_19 if num_classes == 19 else CLASSES_43
        #: Patches left out, with the reason.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    @property
    def metainfo(self) -> dict:
        """The 19 or the 43 classes."""
        return dict(super().metainfo, classes=self.label_names)

    @property
    def version(self) -> str:
        """``'v1'`` or ``'v2'``, by the folders.

        Raises:
            DataError: If ``data_root`` is neither.
        """
        for version, roots in _ROOTS.items():
            if any((Path(self.data_root) / root).is_dir() for root in roots):
                return version
        raise DataError(f'{self.data_root!r} holds neither {_ROOTS["v1"]} nor {_ROOTS["v2"]}. Set data_root to the folder above them.')

    def load_data_list(self) -> list:
        """Patches of the split, from the index."""
        version = self.version
        sensors = {name: (entry.get('files') or {}).get('sensor') for name, entry in self.modalities.items()}
        wrong = {name: sensor for name, sensor in sensors.items() if sensor not in ('s1', 's2')}
        if wrong:
            raise ConfigError(f"modality {list(wrong)}: files=dict(sensor=...) must be 's1' or 's2', got {list(wrong.values())}.")
        if version == 'v2' and len(self.label_names) == 43:
            raise ConfigError('BigEarthNet v2 has 19 classes: set num_classes=19.')
        index = {record['id']: record for record in self._index(version)}
        names = self._chosen(version, index)
        samples = []
        for name in names:
            record = index[name]
            sources = {m: self._source(record.get(sensor), sensor, version) for m, sensor in sensors.items()}
            absent = [sensors[m] for m, source in sources.items() if source is None]
            if absent and self.missing == 'error':
                raise DataError(f'patch {name!r} has no {absent[0].upper()} patch under {self.data_root!r}. Complete the data, or set '
                                'missing="skip".')
            if absent and (self.missing == 'skip' or len(absent) == len(sources)):
                self.skipped[name] = f'no {absent[0]}'
                continue
            label = to_classes(record['labels'], self.label_names, name)
            if not label.any():
                self.skipped[name] = 'none of the classes'
                continue
            samples.append(dict(sample_id=name, sources=sources, gt_label=label.tolist()))
        if self.skipped:
            reasons = {reason: sum(r == reason for r in self.skipped.values()) for reason in set(self.skipped.values())}
            print_log(f'BigEarthNetDataset: left out {len(self.skipped)} of {len(names)} patches: {reasons}', logger='current')
        return samples

    def _source(self, patch: str | None, sensor: str, version: str) -> dict | None:
        if patch is None:
            return None
        root = Path(self.data_root) / _ROOTS[version][0 if sensor == 's2' else 1]
        if version == 'v2':
            # The folder above: a tile (S2) or a scene (S1), the patch's name without its place in it.
            root /= patch.rsplit('_', 2 if sensor == 's2' else 3)[0]
        return dict(folder=str(root / patch), pattern=f'{patch}_{{band}}.tif')

    def _names(self, file: str) -> list:
        path = Path(self.data_root) / file
        if not path.is_file():
            raise DataError(f'{path} does not exist; it should list patches, one a line.')
        with open(path, newline='', encoding='utf-8') as lines:
            return [row[0].strip() for row in csv.reader(lines) if row and row[0].strip() and not row[0].startswith('#')]

    def _chosen(self, version: str, index: Mapping) -> list:
        names = list(index)
        if self.split is not None and version == 'v2' and self.split in ('train', 'validation', 'test'):
            names = [name for name in names if index[name]['split'] == self.split]
        elif self.split is not None:
            names = self._names(self.split)
            unknown = [name for name in names if name not in index]
            if unknown:
                raise DataError(f'split {self.split!r} names {len(unknown)} patches that are not under {self.data_root!r}, the first '
                                f'{unknown[0]!r}. If patches were added, delete {self._index_path(version)}.')
        left_out = {name for file in self.exclude for name in self._names(file)}
        return [name for name in names if name not in left_out]

    def _index_path(self, version: str) -> Path:
        return Path(self.index_file) if self.index_file else Path(self.data_root) / f'decur_index_{version}.json'

    def _index(self, version: str) -> list:
        path = self._index_path(version)
        if path.is_file():
            try:
                index = json.loads(path.read_text(encoding='utf-8'))
                if index.get('format') == 1:
                    return index['patches']
            except ValueError:
                pass  # cut short: made again
            print_log(f'{path} is damaged or old and is made again', logger='current')
        patches = self._list_v1() if version == 'v1' else self._list_v2()
        temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
        try:
            temporary.write_text(json.dumps(dict(format=1, patches=patches)), encoding='utf-8')
            os.replace(temporary, path)
        except OSError as error:
            print_log(f'the index cannot be kept at {path} ({error}): every start will list all patches. Set index_file.', logger='current')
        return patches

    def _list_v1(self) -> list:
        """Patches by S2 name; S1 names theirs in ``corresponding_s2_patch``."""
        root = Path(self.data_root)
        patches = {}
        for sensor, folder in zip(('s2', 's1'), _ROOTS['v1']):
            if not (root / folder).is_dir():
                continue
            with os.scandir(root / folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir())
            for name in names:
                path = root / folder / name / f'{name}{_METADATA}'
                try:
                    metadata = json.loads(path.read_text(encoding='utf-8'))
                    key = name if sensor == 's2' else metadata['corresponding_s2_patch']
                    labels = metadata['labels']
                except (OSError, ValueError, KeyError) as error:
                    raise DataError(f'{path} cannot be read ({error!r}). Is the archive extracted whole?') from error
                patches.setdefault(key, dict(id=key, labels=labels))[sensor] = name
        return list(patches.values())

    def _list_v2(self) -> list:
        """Patches of ``metadata.parquet``."""
        path = Path(self.data_root) / 'metadata.parquet'
        if not path.is_file():
            raise DataError(f'{path} does not exist: v2 keeps labels and splits there. Download it with the data.')
        try:
            import pandas
            table = pandas.read_parquet(path, columns=['patch_id', 'labels', 'split', 's1_name'])
        except ImportError as error:
            raise DataError("reading metadata.parquet needs pandas and pyarrow: pip install 'decur[data]'.") from error
        except Exception as error:  # pyarrow's errors have no common base
            raise DataError(f'{path} cannot be read ({error}). Download it again.') from error
        return [
            dict(id=row.patch_id, s2=row.patch_id, s1=row.s1_name, labels=list(row.labels), split=row.split)
            for row in table.itertuples(index=False)
        ]

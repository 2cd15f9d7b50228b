"""BigEarthNet-MM v1 (Sumbul et al., arXiv 2105.07921) and v2 (reBEN, Clasen et al., arXiv 2407.03653): multi-label scenes, S1 with S2."""
import csv
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers.bands import BandReader
from decur.readers.store import is_store, read_index, read_manifest
from decur.readers.table import LazySamples, Table
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS, S2A_BANDS

from .base import MISSING, MultimodalDataset
from .finding import folder_names, read_list
from .kept_index import keep, load_kept
from .layouts import Layout, Part, train_command

S2_BANDS = BIGEARTHNET_BANDS['s2']  # an earlier name

#: The 19 classes, in the order of their authors.
CLASSES_19 = (
    'Urban fabric', 'Industrial or commercial units', 'Arable land', 'Permanent crops', 'Pastures', 'Complex cultivation patterns',
    'Land principally occupied by agriculture, with significant areas of natural vegetation', 'Agro-forestry areas', 'Broad-leaved forest',
    'Coniferous forest', 'Mixed forest', 'Natural grassland and sparsely vegetated areas', 'Moors, heathland and sclerophyllous vegetation',
    'Transitional woodland, shrub', 'Beaches, dunes, sands', 'Inland wetlands', 'Coastal wetlands', 'Inland waters', 'Marine waters')
#: The 43 CORINE classes of v1, in the order of their codes.
CLASSES_43 = (
    'Continuous urban fabric', 'Discontinuous urban fabric', 'Industrial or commercial units', 'Road and rail networks and associated land',
    'Port areas', 'Airports', 'Mineral extraction sites', 'Dump sites', 'Construction sites', 'Green urban areas',
    'Sport and leisure facilities', 'Non-irrigated arable land', 'Permanently irrigated land', 'Rice fields', 'Vineyards',
    'Fruit trees and berry plantations', 'Olive groves', 'Pastures', 'Annual crops associated with permanent crops',
    'Complex cultivation patterns', 'Land principally occupied by agriculture, with significant areas of natural vegetation',
    'Agro-forestry areas', 'Broad-leaved forest', 'Coniferous forest', 'Mixed forest', 'Natural grassland', 'Moors and heathland',
    'Sclerophyllous vegetation', 'Transitional woodland/shrub', 'Beaches, dunes, sands', 'Bare rock', 'Sparsely vegetated areas',
    'Burnt areas', 'Inland marshes', 'Peatbogs', 'Salt marshes', 'Salines', 'Intertidal flats', 'Water courses', 'Water bodies',
    'Coastal lagoons', 'Estuaries', 'Sea and ocean')
#: Those of the 19 classes whose names are not among the 43, with what they are made of.
_MADE_OF = {
    'Urban fabric': ('Continuous urban fabric', 'Discontinuous urban fabric'),
    'Arable land': ('Non-irrigated arable land', 'Permanently irrigated land', 'Rice fields'),
    'Permanent crops': ('Vineyards', 'Fruit trees and berry plantations', 'Olive groves', 'Annual crops associated with permanent crops'),
    'Natural grassland and sparsely vegetated areas': ('Natural grassland', 'Sparsely vegetated areas'),
    'Moors, heathland and sclerophyllous vegetation': ('Moors and heathland', 'Sclerophyllous vegetation'),
    'Transitional woodland, shrub': ('Transitional woodland/shrub', ),
    'Inland wetlands': ('Inland marshes', 'Peatbogs'),
    'Coastal wetlands': ('Salt marshes', 'Salines'),
    'Inland waters': ('Water courses', 'Water bodies'),
    'Marine waters': ('Coastal lagoons', 'Estuaries', 'Sea and ocean'),
}
#: What each of the 43 classes becomes among the 19; None is dropped.
TO_19 = {old: next((new for new, parts in _MADE_OF.items() if old in parts), old if old in CLASSES_19 else None) for old in CLASSES_43}
#: Every label name of both versions; an index keeps a bit for each.
LABELS = (*CLASSES_43, *(name for name in CLASSES_19 if name not in CLASSES_43))

#: Where the two versions keep their patches.
ROOTS = dict(v1=('BigEarthNet-v1.0', 'BigEarthNet-S1-v1.0'), v2=('BigEarthNet-S2', 'BigEarthNet-S1'))
METADATA = '_labels_metadata.json'


def to_classes(labels: Sequence, classes: Sequence, name: str = '') -> np.ndarray:
    """Label names to a 0/1 vector over the 43 or the 19 classes.

    Labels of v1 (43 names) become those of the 19 or are dropped; both spellings of transitional woodland are known.

    Raises:
        DataError: If a label is neither.
    """
    vector = np.zeros(len(classes), np.float32)
    for label in labels:
        if label not in classes and label not in TO_19:
            raise DataError(f'{name}: unknown label {label!r}.')
        target = label if label in classes else TO_19[label]
        if target is None:
            continue
        if target not in classes:
            raise DataError(f'{name}: label {label!r} is not among the {len(classes)} classes.')
        vector[classes.index(target)] = 1
    return vector


def version_of(root: str | Path) -> str | None:
    """``'v1'`` or ``'v2'``, by the folders; None if it is neither."""
    return next((version for version, roots in ROOTS.items() if any((Path(root) / folder).is_dir() for folder in roots)), None)


def stored_version(root: str | Path) -> str | None:
    """``'v1'`` or ``'v2'``, by the manifest of a store; None if it is of another data set."""
    name, _, version = str(read_manifest(root).get('dataset')).partition('-')
    return version if name == 'bigearthnet' and version in ROOTS else None


def patch_folder(root: str | Path, sensor: str, patch: str, version: str) -> str:
    """The folder of a patch of ``'s1'`` or ``'s2'``."""
    root = Path(root) / ROOTS[version][0 if sensor == 's2' else 1]
    if version == 'v2':
        # The folder above: a tile (S2) or a scene (S1), the patch's name without its place in it.
        root /= patch.rsplit('_', 2 if sensor == 's2' else 3)[0]
    return str(root / patch)


def patch_source(root: str | Path, version: str, stored: bool, sensor: str, patch: str) -> dict:
    """The source of a patch, in the released folders or in a store."""
    if stored:
        return dict(store=str(root), key=f'{sensor}/{patch}')
    return dict(folder=patch_folder(root, sensor, patch, version), pattern=f'{patch}_{{band}}.tif')


def list_patches(root: Path, version: str) -> dict:
    """Names of the patches whose folders are there, sorted, by sensor."""
    found = {}
    for sensor, name in zip(('s2', 's1'), ROOTS[version]):
        folder = root / name
        found[sensor] = folder_names(folder) if version == 'v1' else [patch for tile in folder_names(folder)
                                                                      for patch in folder_names(folder / tile)]
    return found


def labels_of(text: bytes | str, name: str, sensor: str, patch: str) -> tuple:
    """The S2 patch and the labels that a patch's metadata file of v1 names.

    Raises:
        DataError: If it is no such file.
    """
    try:
        metadata = json.loads(text)
        return (patch if sensor == 's2' else metadata['corresponding_s2_patch']), metadata['labels']
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f'{name} cannot be read ({error!r}). Is the archive extracted whole?') from error


def list_v1(root: str | Path, known: Mapping | None = None) -> list:
    """Rows of v1's folders: ``dict(id, labels)`` with ``s2`` and ``s1`` where there are such; S1 patches name their S2 patch.

    Args:
        root (str | Path): The folder above those of the sensors.
        known (dict[str, tuple], optional): S2 patch and labels by patch, of those whose metadata need not be read.

    Raises:
        DataError: If a patch's metadata file cannot be read.
    """
    rows: dict = {}
    for sensor, patches in list_patches(Path(root), 'v1').items():
        for name in patches:
            if known and name in known:
                key, labels = known[name]
            else:
                path = Path(patch_folder(root, sensor, name, 'v1'), f'{name}{METADATA}')
                try:
                    text = path.read_bytes()
                except OSError as error:
                    raise DataError(f'{path} cannot be read ({error}). Is the archive extracted whole?') from error
                key, labels = labels_of(text, str(path), sensor, name)
            rows.setdefault(key, dict(id=key, labels=labels))[sensor] = name
    return list(rows.values())


def read_parquet(root: str | Path) -> list:
    """Rows of v2's ``metadata.parquet``: ``dict(id, s2, s1, labels, split)``.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = Path(root) / 'metadata.parquet'
    if not path.is_file():
        raise DataError(f'{path} does not exist: v2 keeps labels and splits there. Download it with the data.')
    try:
        import pandas
        table = pandas.read_parquet(path, columns=['patch_id', 'labels', 'split', 's1_name'])
    except ImportError as error:
        raise DataError("reading metadata.parquet needs pandas and pyarrow: pip install 'decur[data]'.") from error
    except Exception as error:  # pyarrow's errors have no common base
        raise DataError(f'{path} cannot be read ({error}). Download it again.') from error
    return [dict(id=row.patch_id, s2=row.patch_id, s1=row.s1_name, labels=list(row.labels), split=row.split)
            for row in table.itertuples(index=False)]


def list_v2(root: str | Path) -> list:
    """As :func:`read_parquet`, without the patches whose folders are not there (the download may be a part)."""
    rows, there = read_parquet(root), {sensor: set(patches) for sensor, patches in list_patches(Path(root), 'v2').items()}
    for row in rows:
        row.update({sensor: '' for sensor, patches in there.items() if row[sensor] not in patches})
    return rows


def folder_state(root: str | Path, version: str) -> dict:
    """What changes when patches are added or taken away: times of change of the folders (of v2 also of the table), by name."""
    root = Path(root)
    paths = [root / folder for folder in ROOTS[version]]
    if version == 'v2':
        paths += [root / 'metadata.parquet', *(folder / tile for folder in paths for tile in folder_names(folder))]
    return {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in paths if path.exists()}


def index_of_patches(rows: Sequence, version: str, state: Mapping | None = None) -> Table:
    """The table of all patches: ``id``, ``s2``, ``s1`` (patch names, empty where there is none), ``split`` and ``labels`` (bits of LABELS).

    Args:
        rows (Sequence[dict]): ``id``, ``labels``, and where there are such ``s1``, ``s2`` and ``split``.
        version (str): ``'v1'`` or ``'v2'``.
        state (dict, optional): :func:`folder_state` before the rows were listed.

    Raises:
        DataError: If a label is unknown, or a name leads out of its folder.
    """
    place = {name: np.uint64(1 << i) for i, name in enumerate(LABELS)}
    bits = np.zeros(len(rows), np.uint64)
    for i, row in enumerate(rows):
        for label in row['labels']:
            if label not in place:
                raise DataError(f'{row["id"]}: unknown label {label!r}.')
            bits[i] |= place[label]
    columns = {name: [row.get(name) or '' for row in rows] for name in ('id', 's2', 's1', 'split')}
    table = Table(dict(columns, labels=bits), dict(version=version, labels=LABELS, **({'state': dict(state)} if state else {})))
    check_patch_names(table, version)
    return table


def check_patch_names(index: Table, where: str | Path) -> None:
    """Refuse an index whose patches lead out of their folder.

    Raises:
        DataError: Names the patch.
    """
    for name in (name for column in ('s1', 's2') for name in index[column].tolist()):
        if b'/' in name or b'\\' in name or name == b'..':
            raise DataError(f'{where}: patch {name.decode(errors="replace")!r} leads outside the folder of the data.')


def class_matrix(bits: np.ndarray, names: Sequence, classes: Sequence) -> np.ndarray:
    """``labels`` of an index to 0/1 over the 43 or the 19 classes, ``(N, len(classes))`` uint8; :func:`to_classes` for many patches.

    Raises:
        DataError: If a patch has a label that is neither among the classes nor becomes one of them.
    """
    matrix = np.zeros((len(bits), len(classes)), np.uint8)
    for i, name in enumerate(names):
        has = (bits >> np.uint64(i) & np.uint64(1)).astype(np.uint8)
        if has.any():
            matrix |= has[:, None] & to_classes([name], classes, name).astype(np.uint8)
    return matrix


def _parts(root: Path, version: str, stored: bool) -> dict:
    """What inspection looks at."""
    if stored:
        index, names = read_index(root), ('id', 's1', 's2')
        rows = [dict(zip(names, map(bytes.decode, row))) for row in zip(*(index[name].tolist() for name in names))]
    elif version == 'v1':
        rows = list_v1(root)
    elif (root / 'metadata.parquet').is_file():
        rows = list_v2(root)
    else:  # without the table patches cannot be paired or labelled, but their files can be looked at
        rows = [{'id': patch, sensor: patch} for sensor, patches in list_patches(root, 'v2').items() for patch in patches]
    parts = {}
    for sensor, bands in (('s1', S1_BANDS), ('s2', S2A_BANDS)):  # the released B01 is B1 in the statistics
        patches = {row['id']: row[sensor] for row in rows if row.get(sensor)}
        if patches:
            parts[sensor] = Part(bands, list(patches), lambda name, sensor=sensor, patches=patches: patch_source(
                root, version, stored, sensor, patches[name]), BandReader(BIGEARTHNET_BANDS[sensor], 1), dict(sensor=sensor))
    return parts


@DATASETS.register_module()
class BigEarthNetDataset(MultimodalDataset):
    """A sample is a patch of 1.2 km with its labels; the folders tell v1 from v2.

    A modality's entry names its sensor, ``files=dict(sensor='s1')`` (VV, VH) or ``'s2'`` (12 bands of L2A), and reads with
    ``reader=dict(type='BandReader', bands=..., size=120)``. Patches of v1 without any of the chosen classes are left out and counted.

    The first start lists the patches and reads their metadata, then writes ``decur_index_<version>.safetensors`` next to them (or to
    ``index_file``); later starts read only that, as long as the folders were not changed after it (patches added or taken away, another
    ``metadata.parquet``; not what is inside a patch's folder). A store has its index. Samples are made of its rows when they are asked for.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder that holds ``BigEarthNet-v1.0`` and ``BigEarthNet-S1-v1.0``, or ``BigEarthNet-S2``,
            ``BigEarthNet-S1`` and ``metadata.parquet``, or the store that ``tools/prepare_dataset.py bigearthnet`` made of either; all give
            the same arrays.
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
        self.missing = check_choice('missing', missing, MISSING)
        self.split, self.exclude, self.index_file = split, list(exclude), index_file
        self.label_names = self.own_labels(check_choice('num_classes', num_classes, (19, 43)))[0]
        #: Patches left out, with the reason.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, label_options=dict(num_classes=num_classes), **kwargs)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """The folders of either version, or a store that was made of them."""
        stored = is_store(root)
        version = stored_version(root) if stored else version_of(root)
        if version is None:
            return None
        title = dict(v1='BigEarthNet-MM v1, as released', v2='BigEarthNet v2 (reBEN), as released')[version]
        name, split = f'bigearthnet-{version}', dict(v1='train.csv', v2='train')[version]
        return Layout(name, f'compact store of {name}' if stored else title,
                      train_command('configs/classification/bigearthnet_s1-s2_r50_frozen.py', split=split),
                      partial(_parts, root, version, stored), stored)

    @classmethod
    def own_labels(cls, num_classes: int = 19, **options) -> tuple:
        """The 19 or the 43 classes."""
        return (CLASSES_19 if num_classes == 19 else CLASSES_43), None

    @property
    def version(self) -> str:
        """``'v1'`` or ``'v2'``, by the store's manifest or the folders.

        Raises:
            DataError: If ``data_root`` is neither.
        """
        if is_store(self.data_root):
            version = stored_version(self.data_root)
            if version is None:
                raise DataError(f'{self.data_root} is a store of {read_manifest(self.data_root).get("dataset")!r}, not of BigEarthNet.')
            return version
        version = version_of(self.data_root)
        if version is None:
            raise DataError(f'{self.data_root!r} holds neither {ROOTS["v1"]} nor {ROOTS["v2"]}. Set data_root to the folder above them.')
        return version

    def load_data_list(self) -> list:
        """Patches of the split, from the index."""
        version, sensors = self.version, self.chosen_files('sensor', ('s1', 's2'))
        if version == 'v2' and len(self.label_names) == 43:
            raise ConfigError('BigEarthNet v2 has 19 classes: set num_classes=19.')
        index = self._index(version)
        rows = self._chosen(version, index)
        present = {sensor.upper(): index[sensor][rows] != b'' for sensor in sorted(set(sensors.values()))}
        rows = rows[self.complete(index['id'][rows], present, 'patch {sample!r} has no {lacking} patch')]
        labels = self._chosen_classes(class_matrix(index['labels'][rows], index.attributes['labels'], self.label_names))
        empty = ~labels.any(axis=1)
        self.skipped.update(dict.fromkeys((name.decode() for name in index['id'][rows[empty]].tolist()), 'none of the classes'))
        if empty.any():
            print_log(f'BigEarthNetDataset: left out {empty.sum()} of {len(rows)} patches that have none of the classes', logger='current')
        rows, labels = rows[~empty], labels[~empty]
        self._columns = dict({name: index[name][rows] for name in ('id', 's1', 's2')}, labels=labels)
        self._layout = sensors, version, is_store(self.data_root)
        self.serialize_data = False  # the arrays are shared by the workers as they are
        return LazySamples(self._sample, np.arange(len(rows)))

    def _chosen_classes(self, labels: np.ndarray) -> np.ndarray:
        """``(N, own classes)`` to ``(N, classes)``: those that the config chooses or merges (one of a group is enough)."""
        chosen = np.zeros((len(labels), len(self.label_table.classes)), np.uint8)
        for own, index in self.label_table.index.items():
            if index != self.label_table.ignore_index:
                chosen[:, index] |= labels[:, own]
        return chosen

    def _sample(self, row: int) -> dict:
        sensors, version, stored = self._layout
        patches = {sensor: self._columns[sensor][row].decode() for sensor in set(sensors.values())}
        sources = {name: patch_source(self.data_root, version, stored, sensor, patches[sensor]) if patches[sensor] else None
                   for name, sensor in sensors.items()}
        return dict(sample_id=self._columns['id'][row].decode(), sources=sources,
                    gt_label=self._columns['labels'][row].astype(float).tolist())

    def _names(self, file: str) -> list:
        return [row[0].strip() for row in csv.reader(read_list(Path(self.data_root) / file)) if row and row[0].strip()]

    def _chosen(self, version: str, index: Table) -> np.ndarray:
        """Rows of the index, in the order of the split's list where there is one."""
        rows = np.arange(len(index))
        if self.split is not None and version == 'v2' and self.split in ('train', 'validation', 'test'):
            rows = rows[index['split'] == self.split.encode()]
        elif self.split is not None:
            names = self._names(self.split)
            place = {name: i for i, name in enumerate(index['id'].tolist())}
            found = [place.get(name.encode(), -1) for name in names]
            unknown = [name for name, i in zip(names, found) if i < 0]
            if unknown:
                again = 'prepare the store again' if is_store(self.data_root) else f'delete {self._index_path(version)}'
                raise DataError(f'split {self.split!r} names {len(unknown)} patches that are not under {self.data_root!r}, the first '
                                f'{unknown[0]!r}. If patches were added, {again}.')
            rows = np.array(found, np.int64)
        left_out = [name.encode() for file in self.exclude for name in self._names(file)]
        return rows[~np.isin(index['id'][rows], left_out)] if left_out else rows

    def _index_path(self, version: str) -> Path:
        return Path(self.index_file) if self.index_file else Path(self.data_root) / f'decur_index_{version}.safetensors'

    def _index(self, version: str) -> Table:
        """The index: kept beside the data, and made again, or brought up to date, when the folders are newer than it."""
        if is_store(self.data_root):
            return read_index(self.data_root)
        path, state = self._index_path(version), folder_state(self.data_root, version)
        old = load_kept(path)
        if old is not None and old.attributes.get('version') != version:
            print_log(f'{path} is of another data set and is made again', logger='current')
            old = None
        if old is not None and old.attributes.get('state') == state:
            check_patch_names(old, path)
            return old
        rows = list_v1(self.data_root, self._known(old) if old else None) if version == 'v1' else list_v2(self.data_root)
        index = index_of_patches(rows, version, state)
        if old is not None and any(not np.array_equal(old[name], index[name]) for name in ('id', 's1', 's2', 'labels', 'split')):
            print_log(f'{path} was older than its folder: it listed {len(old)} patches, there are {len(index)}. It is brought up to date.',
                      logger='current')
        keep(index, path, 'index_file')
        return index

    @staticmethod
    def _known(index: Table) -> dict:
        """What an index says of each patch, for :func:`list_v1`."""
        names = index.attributes['labels']
        sets = {bits: [name for i, name in enumerate(names) if bits >> i & 1] for bits in np.unique(index['labels']).tolist()}
        known = {}
        for key, s1, s2, bits in zip(*(index[name].tolist() for name in ('id', 's1', 's2', 'labels'))):
            known.update({patch.decode(): (key.decode(), sets[bits]) for patch in (s1, s2) if patch})
        return known

"""SSL4EO-S12: v1.0 (Wang et al., arXiv 2211.07044), from the released folders, and v1.1 (Blumenstiel et al., arXiv 2503.00168), from its
zarr archives; or either from the compact store."""
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers.bands import BandReader
from decur.readers.store import is_store, read_index, read_manifest, read_record
from decur.readers.table import LazySamples, Table
from decur.readers.zarr_archives import open_archive, read_entries
from decur.sensors import SSL4EO_BANDS

from .base import MISSING, MultimodalDataset
from .finding import file_names, folder_names, split_folder
from .kept_index import update_index
from .layouts import Layout, Part, train_command

#: Where v1.1 keeps the products; only it has ``rgb``.
V11_FOLDERS = dict(s1='S1GRD', s2a='S2L2A', s2c='S2L1C', rgb='S2RGB')
#: Folders of the splits of v1.1.
V11_SPLITS = ('train', 'val')
#: Pixels of a patch at 10 m.
PATCH = 264
_STAMP = re.compile(r'(?:^|_)(\d{8}T\d{6})(?=_|$)')


def scene_time(scene: str) -> str:
    """The time stamp ``YYYYMMDDTHHMMSS`` in a scene's name (Sentinel-1 and Sentinel-2).

    Raises:
        DataError: If there is none.
    """
    found = _STAMP.search(scene)
    if not found:
        raise DataError(f'{scene!r} is no scene of SSL4EO-S12: it has no time stamp such as 20200604T054639. Take the folder away, or '
                        'check that the archive was extracted whole.')
    return found.group(1)


def by_date(scenes: Iterable) -> list:
    """Scene names ordered by their time stamps; where one has none, by name (:func:`v11_scene` begins with the place in the archive)."""
    scenes = list(scenes)
    return sorted(scenes, key=scene_time if all(_STAMP.search(scene) for scene in scenes) else None)


def list_scenes(root: str | Path, product: str, location: str) -> list:
    """Names of the scene folders of a location of v1.0, ordered by date.

    Raises:
        DataError: If one is no scene.
    """
    folder = f'{root}/{product}/{location}'
    try:
        return sorted(folder_names(folder), key=scene_time)
    except DataError as error:
        raise DataError(f'{folder}: {error}') from error


def archive_folder(root: str | Path, split: str | None = None) -> Path | None:
    """The folder of v1.1's products: ``root``, or that of a split below it. None where the folders are not those of v1.1.

    Raises:
        ConfigError: If the split is not there, or there are several to choose from.
    """
    return split_folder(root, split, V11_SPLITS, V11_FOLDERS.values(), 'SSL4EO-S12 v1.1')


def list_archives(folder: Path) -> list:
    """Names of the archives of a product of v1.1.

    Raises:
        DataError: If the folder is not there or has none.
    """
    if not folder.is_dir():
        raise DataError(f'{folder} is not a folder: download {folder.name} of SSL4EO-S12 v1.1.')
    files = file_names(folder)
    names = [name for name in files if name.endswith('.zarr.zip')]
    if not names and any(name.endswith('.tar') for name in files):
        raise DataError(f'{folder} has tar shards, which need no preparation and are read by type="ShardDataset": train with '
                        'configs/decur/ssl4eo-v11-shards_s1-s2_r50_decur.py (TerraMesh: terramesh_s1-s2-dem_r50_decur.py).')
    if not names:
        raise DataError(f'{folder} has no zarr archives (ssl4eos12_{{train,val}}_seasonal_data_NNNNNN.zarr.zip).')
    return names


def v11_scene(time: int, scene: str) -> str:
    """A name for a season of v1.1: its place in the archive and, where it has one, its scene."""
    return f'{time}_{scene}' if scene else str(time)


def read_archive(path: Path) -> Iterator[tuple]:
    """``(location, sample, scenes)`` of what is in an archive: the place, and :func:`v11_scene` of the seasons ordered by date.

    Raises:
        DataError: If it is damaged.
    """
    locations, scenes = read_entries(path)
    for sample, location in enumerate(locations):
        yield location, sample, by_date(v11_scene(time, scene) for time, scene in enumerate(scenes[sample]))


def _with_scenes(locations: np.ndarray, scenes: np.ndarray) -> Table:
    """The locations that have a scene; ``scenes`` are ``(N, seasons)`` names, empty ones at the end."""
    scenes = scenes.reshape(len(locations), -1) if len(locations) else scenes.reshape(0, 1)
    has = scenes[:, 0] != b''
    return Table(dict(location=locations[has], scenes=scenes[has]))


# What inspection looks at.
def _first_scene(root: Path, product: str, location: str) -> dict:
    scenes = list_scenes(root, product, location)
    if not scenes:
        raise DataError(f'{root / product / location} holds no scene')
    return dict(folder=f'{root}/{product}/{location}/{scenes[0]}')


def _folder_parts(root: Path) -> dict:
    """The first scene stands for its location."""
    return {product: Part(bands, folder_names(root / product), partial(_first_scene, root, product), BandReader(bands, PATCH),
                          dict(product=product))
            for product, bands in SSL4EO_BANDS.items() if (root / product).is_dir()}


def _archive_parts(root: Path) -> dict:
    """The first season of an archive's first sample stands for the archive."""
    archives: dict = {}
    for path in sorted(root.rglob('*.zarr.zip')):
        archives.setdefault(path.parent.name, []).append(str(path.relative_to(root)))
    products, parts = {folder: product for product, folder in V11_FOLDERS.items()}, {}
    for folder, names in archives.items():
        bands = tuple(open_archive(root / names[0])[1])
        parts[folder] = Part(bands, names, lambda name: dict(zarr=root / name, sample=0, time=0), BandReader(bands, PATCH),
                             dict(product=products.get(folder, folder)))
    return parts


def _store_parts(root: Path) -> dict:
    """The first scene stands for its location."""
    index, parts = read_index(root), {}
    for product in sorted(set(index.columns) - {'id'}):
        keys = {name.decode(): f'{name.decode()}/{product}/{row[0].decode()}'
                for name, row in zip(index['id'].tolist(), index[product].tolist()) if row[0]}
        bands = SSL4EO_BANDS.get(product) or tuple(read_record(str(root), next(iter(keys.values()))))
        parts[product] = Part(bands, list(keys), lambda name, keys=keys: dict(store=str(root), key=keys[name]), BandReader(bands, PATCH),
                              dict(product=product))
    return parts


@DATASETS.register_module()
class SSL4EODataset(MultimodalDataset):
    """A sample is a location with up to four seasons of each product; :class:`~decur.transforms.DrawSeasons` chooses among them.

    ``data_root`` is, of v1.0, the folder of ``s1``, ``s2a``, ``s2c``; of v1.1, the folder of ``S1GRD``, ``S2L2A``, ``S2L1C``, ``S2RGB``
    (zarr archives), or, with ``split``, its parent; or a store that ``tools/prepare_dataset.py ssl4eo`` made of either, which gives the
    same arrays. A store has an index, so that it starts in seconds; the folders of v1.0 are listed at every start.

    A modality's entry names its product, ``files=dict(product='s2c')``, and reads with ``reader=dict(type='BandReader', bands=...,
    size=264)``. The four seasons of the products are co-located, neither of the same date nor registered to the pixel.

    The optical values of v1.1 carry an offset of 1000 and have statistics of their own (``ssl4eo_v11_s2c``); with those of v1.0, or the
    reverse, :class:`~decur.transforms.ToEightBit` raises an error. The first start with v1.1 reads the ids and dates of all archives of a
    product and keeps them in ``decur_index_<product>.safetensors`` next to them.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder or the store.
        split (str, optional): v1.1: ``'train'`` or ``'val'``, the folder below ``data_root``, or what the store was made of. v1.0 has none.
        index_folder (str, optional): v1.1: where the indices are kept. Defaults to next to the archives.
        missing (str): What to do with a location that lacks a product: ``'error'``, ``'skip'`` (counted and listed) or ``'keep'``.
        **kwargs: As :class:`MultimodalDataset`; ``fraction`` and ``num_samples`` draw locations without replacement.

    Raises:
        DataError: If the folder, a product or a scene is missing or cannot be told.
    """

    def __init__(self, modalities: Mapping, data_root: str = '', split: str | None = None, index_folder: str | None = None,
                 missing: str = 'error', **kwargs):
        self.missing, self.split, self.index_folder = check_choice('missing', missing, MISSING), split, index_folder
        #: Locations that were left out, with the product they lack.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """The folders of v1.0, the archives of v1.1, or a store that was made of either."""
        use = {'v1.0': train_command('configs/decur/ssl4eo_s1-s2_r50_decur.py'),
               'v1.1': train_command('configs/decur/ssl4eo-v11_s1-s2_r50_decur.py')}
        if is_store(root):
            dataset = str(read_manifest(root).get('dataset'))
            version = next((version for version in use if dataset.startswith(f'ssl4eo-s12-{version}')), None)
            return version and Layout(f'ssl4eo-{version}', f'compact store of {dataset}', use[version], partial(_store_parts, root), True,
                                      has_offset=version == 'v1.1')
        if any(_STAMP.search(scene) for product in SSL4EO_BANDS for location in folder_names(root / product)[:3]
               for scene in folder_names(root / product / location)):
            return Layout('ssl4eo-v1.0', 'SSL4EO-S12 v1.0, as released', use['v1.0'], partial(_folder_parts, root))
        products = [folder / name for folder in (root, *(root / split for split in V11_SPLITS)) for name in V11_FOLDERS.values()]
        if any(next(product.glob('*.zarr.zip'), None) for product in products):
            return Layout('ssl4eo-v1.1', 'SSL4EO-S12 v1.1 (zarr)', use['v1.1'], partial(_archive_parts, root), has_offset=True,
                          same_ids=False)
        return None

    def load_data_list(self) -> list:
        """List the locations and their seasons."""
        root, products = self.existing_root(), self.chosen_files('product', V11_FOLDERS)
        tables = self._tables(root, sorted(set(products.values())))
        locations = np.unique(np.concatenate([table['location'] for table in tables.values()]))
        rows = {}
        for product, table in tables.items():
            place = {location: row for row, location in enumerate(table['location'].tolist())}
            rows[product] = np.array([place.get(location, -1) for location in locations.tolist()], np.int64)
        present = {product: row >= 0 for product, row in rows.items()}
        use = self.complete(locations, present, 'location {sample!r} has no scene of {lacking}')
        self._root, self._products, self._stored = root, products, is_store(root)
        self._locations, self._seasons = locations[use], {product: (rows[product][use], table) for product, table in tables.items()}
        self.serialize_data = False  # the arrays are shared by the workers as they are
        return LazySamples(self._sample, np.arange(len(self._locations)))

    def _sample(self, index: int) -> dict:
        seasons = {name: self._sources(product, index) for name, product in self._products.items()}
        return dict(sample_id=self._locations[index].decode(), seasons=seasons,
                    sources={name: scenes[0] if scenes else None for name, scenes in seasons.items()})

    def _sources(self, product: str, index: int) -> list:
        """The seasons of a location, ordered by date; none where it lacks the product."""
        rows, table = self._seasons[product]
        row, location = rows[index], self._locations[index].decode()
        if row < 0:
            return []
        if 'times' in table.columns:
            archive = f'{table.attributes["folder"]}/{table.attributes["files"][table["file"][row]]}'
            return [dict(zarr=archive, sample=int(table['sample'][row]), time=int(time)) for time in table['times'][row]]
        scenes = [scene.decode() for scene in table['scenes'][row] if scene]
        if self._stored:
            return [dict(store=str(self._root), key=f'{location}/{product}/{scene}') for scene in scenes]
        return [dict(folder=f'{self._root}/{product}/{location}/{scene}') for scene in scenes]

    def _tables(self, root: Path, products: Sequence) -> dict:
        """By product a table of ``location`` and ``scenes``, ``(N, seasons)`` names; of archives that of :meth:`_archive_index`."""
        if is_store(root):
            dataset = str(read_manifest(root).get('dataset'))
            if not dataset.startswith('ssl4eo-s12-'):
                raise DataError(f'{root} is a store of {dataset!r}, not of SSL4EO-S12.')
            if self.split is not None and not dataset.endswith(f'-{self.split}'):
                raise ConfigError(f'split={self.split!r}: {root} is a store of {dataset!r}.')
            index = read_index(root)
            absent = [product for product in products if product not in index.columns]
            if absent:
                raise DataError(f'{root} holds {sorted(set(index.columns) - {"id"})}, not {absent}. Prepare it with --products.')
            return {product: _with_scenes(index['id'], index[product]) for product in products}
        folder, tables = archive_folder(root, self.split), {}
        if folder:
            return {product: self._archive_index(folder / V11_FOLDERS[product]) for product in products}
        for product in products:
            if product not in SSL4EO_BANDS or not (root / product).is_dir():
                raise DataError(f'{root / product} is not a folder: {root} is not laid out as SSL4EO-S12 v1.0 '
                                '({s1,s2a,s2c}/id/scene/band.tif).')
            names = folder_names(root / product)
            table = Table(dict(location=names, scenes=[list_scenes(root, product, name) for name in names]))
            tables[product] = _with_scenes(table['location'], table['scenes'])
        return tables

    def _archive_index(self, folder: Path) -> Table:
        """``location``, ``file`` (number of its archive), ``sample`` (place in it) and ``times`` (the seasons by date) of a product."""
        names = list_archives(folder)
        path = (Path(self.index_folder) if self.index_folder else folder.parent) / f'decur_index_{folder.name}.safetensors'
        stats = {name: (folder / name).stat() for name in names}
        stamps = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}

        def scan(name):
            locations, samples, seasons = zip(*read_archive(folder / name))
            times = [[int(scene.split('_')[0]) for scene in scenes] for scenes in seasons]
            return dict(location=list(locations), sample=np.array(samples, np.int32), times=np.array(times, np.int32)), {}

        index = update_index(path, stamps, scan, ('location', 'sample', 'times'), 'file', str(folder))
        index.attributes['folder'] = str(folder)
        return index

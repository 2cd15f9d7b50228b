"""SSL4EO-S12: v1.0 (Wang et al., arXiv 2211.07044), from the released folders or the compact store, and v1.1 (Blumenstiel et al., arXiv
2503.00168), from its zarr archives."""
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError
from decur.transforms.radiometry import S2A_BANDS, S2C_BANDS

from .base import MultimodalDataset
from .store import is_store, read_manifest
from .table import Table
from .zarr_archives import read_entries

#: Bands by product folder.
PRODUCTS = dict(s1=('VV', 'VH'), s2a=S2A_BANDS, s2c=S2C_BANDS)
#: Where v1.1 keeps the products; only it has ``rgb``.
V11_FOLDERS = dict(s1='S1GRD', s2a='S2L2A', s2c='S2L1C', rgb='S2RGB')
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


def list_scenes(root: str | Path, product: str, location: str) -> list:
    """Scene folders of a location, ordered by date."""
    folder = Path(root) / product / location
    return sorted((scene for scene in folder.iterdir() if scene.is_dir()), key=lambda scene: scene_time(scene.name))


@DATASETS.register_module()
class SSL4EODataset(MultimodalDataset):
    """A sample is a location with up to four seasons of each product; :class:`~decur.transforms.DrawSeasons` chooses among them.

    ``data_root`` is, of v1.0, the folder of ``s1``, ``s2a``, ``s2c``, or a store that ``tools/prepare_dataset.py ssl4eo`` made of it, which
    give the same arrays; of v1.1, the folder of ``S1GRD``, ``S2L2A``, ``S2L1C``, ``S2RGB`` (zarr archives), or, with ``split``, its parent.

    A modality's entry names its product, ``files=dict(product='s2c')``, and reads with ``reader=dict(type='BandReader', bands=...,
    size=264)``. The four seasons of the products are co-located, neither of the same date nor registered to the pixel.

    The optical values of v1.1 carry an offset of 1000 and have statistics of their own (``ssl4eo_v11_s2c``); with those of v1.0, or the
    reverse, :class:`~decur.transforms.ToEightBit` raises an error. The first start with v1.1 reads the ids and dates of all archives of a
    product and keeps them in ``decur_index_<product>.safetensors`` next to them.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder or the store.
        split (str, optional): v1.1: ``'train'`` or ``'val'``, the folder below ``data_root``. v1.0 has none.
        index_folder (str, optional): v1.1: where the indices are kept. Defaults to next to the archives.
        missing (str): What to do with a location that lacks a product: ``'error'``, ``'skip'`` (counted and listed) or ``'keep'``.
        **kwargs: As :class:`MultimodalDataset`; ``fraction`` and ``num_samples`` draw locations without replacement.

    Raises:
        DataError: If the folder, a product or a scene is missing or cannot be told.
    """

    def __init__(self, modalities: Mapping, data_root: str = '', split: str | None = None, index_folder: str | None = None,
                 missing: str = 'error', **kwargs):
        if missing not in ('error', 'skip', 'keep'):
            raise ConfigError(f"missing must be 'error', 'skip' or 'keep', got {missing!r}.")
        self.missing, self.split, self.index_folder = missing, split, index_folder
        #: Locations that were left out, with the product they lack.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    def _products(self) -> dict:
        products = {}
        for name, entry in self.modalities.items():
            product = (entry.get('files') or {}).get('product')
            if product not in V11_FOLDERS:
                raise ConfigError(f'modality {name!r}: files=dict(product=...) must be one of {sorted(V11_FOLDERS)}, got {product!r}.')
            products[name] = product
        return products

    def load_data_list(self) -> list:
        """List the locations and their seasons."""
        root, products = Path(self.data_root), self._products()
        if not root.is_dir():
            raise DataError(f'data_root {str(root)!r} is not a folder. Give the folder that holds s1 and s2c, or a store.')
        if is_store(root):
            found = self._from_store(root, products)
        else:
            archives = self._archives(root)
            found = self._from_archives(archives, products) if archives else self._from_folders(root, products)
        samples = []
        for location in sorted(set().union(*found.values())):
            seasons = {name: found[product].get(location, []) for name, product in products.items()}
            absent = [products[name] for name, scenes in seasons.items() if not scenes]
            if absent and self.missing == 'error':
                raise DataError(f'location {location!r} has no scene of {absent} under {root}. Complete it, or set missing="skip".')
            if absent and self.missing == 'skip':
                self.skipped[location] = absent
                continue
            samples.append(dict(sample_id=location, seasons=seasons,
                                sources={name: scenes[0] if scenes else None for name, scenes in seasons.items()}))
        if self.skipped:
            listed = ', '.join(f'{location} ({"/".join(absent)})' for location, absent in list(self.skipped.items())[:10])
            print_log(f'SSL4EODataset: skipped {len(self.skipped)} locations for want of a product: {listed}', logger='current')
        return samples

    def _archives(self, root: Path) -> Path | None:
        """The folder of v1.1's products, or None where the folders are not those of v1.1."""
        holds = [folder for folder in (root, root / 'train', root / 'val')
                 if any((folder / name).is_dir() for name in V11_FOLDERS.values())]
        if not holds:
            if self.split is not None:
                raise ConfigError(f'split={self.split!r}: {root} has no splits of SSL4EO-S12 v1.1 (train/S1GRD, val/S1GRD, ...).')
            return None
        if self.split is None and root in holds:
            return root
        if self.split is None or root / self.split not in holds:
            raise ConfigError(f'split={self.split!r}: {root} holds the splits {[folder.name for folder in holds if folder != root]} of '
                              'SSL4EO-S12 v1.1; choose one.')
        return root / self.split

    def _from_archives(self, root: Path, products: Mapping) -> dict:
        found: dict = {}
        for product in set(products.values()):
            folder = root / V11_FOLDERS[product]
            if not folder.is_dir():
                raise DataError(f'{folder} is not a folder: download {V11_FOLDERS[product]} of SSL4EO-S12 v1.1.')
            index = self._index(folder)
            files, seasons = index.attributes['files'], {}
            # Rows are ordered by sample and date.
            for location, file, sample, time in zip(index['location'].tolist(), index['file'].tolist(), index['sample'].tolist(),
                                                    index['time'].tolist()):
                seasons.setdefault(location.decode(), []).append(dict(zarr=str(folder / files[file]), sample=sample, time=time))
            found[product] = seasons
        return found

    def _index(self, folder: Path) -> Table:
        """Location, archive, place in it and season of every image of a product, ordered by location and date."""
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith('.zarr.zip'))
        if not names:
            raise DataError(f'{folder} has no zarr archives (ssl4eos12_{{train,val}}_seasonal_data_NNNNNN.zarr.zip).')
        path = (Path(self.index_folder) if self.index_folder else folder.parent) / f'decur_index_{folder.name}.safetensors'
        try:
            index = Table.load(path)
            if index.attributes.get('files') == names:
                return index
            print_log(f'{path} lists other archives than {folder} holds and is made again', logger='current')
        except DataError as error:
            print_log(f'{error} It is made of the {len(names)} archives in {folder}.', logger='current')
        rows = []
        for i, name in enumerate(names):
            locations, scenes = read_entries(folder / name)
            for sample, location in enumerate(locations):
                # By the time stamps of the scenes; where they have none, as stored (spring to winter).
                stamped = [(_STAMP.search(scene), time) for time, scene in enumerate(scenes[sample])]
                whole = all(stamp for stamp, _ in stamped)
                order = sorted(stamped, key=lambda pair: pair[0].group(1) if whole else pair[1])
                rows += [(location, i, sample, time) for _, time in order]
        rows.sort(key=lambda row: row[0])  # stable: the order of the dates stays
        columns = list(zip(*rows))
        index = Table(dict(location=list(columns[0]), file=np.array(columns[1], np.int32), sample=np.array(columns[2], np.int32),
                           time=np.array(columns[3], np.int32)), dict(files=names))
        try:
            index.save(path)
        except OSError as error:
            print_log(f'the index cannot be kept at {path} ({error}): every start will open all archives. Set index_folder.',
                      logger='current')
        return index

    @staticmethod
    def _from_folders(root: Path, products: Mapping) -> dict:
        found = {}
        for product in set(products.values()):
            if not (root / product).is_dir():
                raise DataError(f'{root / product} is not a folder: {root} is not laid out as SSL4EO-S12 v1.0 '
                                '({s1,s2a,s2c}/id/scene/band.tif).')
            found[product] = {}
            for folder in (root / product).iterdir():
                if folder.is_dir():
                    found[product][folder.name] = [dict(folder=str(scene)) for scene in list_scenes(root, product, folder.name)]
        return found

    @staticmethod
    def _from_store(root: Path, products: Mapping) -> dict:
        manifest = read_manifest(root)
        if manifest.get('dataset') != 'ssl4eo-s12-v1.0':
            raise DataError(f'{root} is a store of {manifest.get("dataset")!r}, not of SSL4EO-S12 v1.0.')
        found = {}
        for product in set(products.values()):
            if product not in manifest['scenes']:
                raise DataError(f'{root} holds {sorted(manifest["scenes"])}, not {product!r}. Prepare it with --products.')
            found[product] = {
                location: [dict(store=str(root), key=f'{location}/{product}/{scene}') for scene in scenes]
                for location, scenes in manifest['scenes'][product].items()
            }
        return found

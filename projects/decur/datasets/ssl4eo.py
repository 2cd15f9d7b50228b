"""SSL4EO-S12 v1.0 (Wang et al., arXiv 2211.07044), from the released folders or from the compact store."""
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError
from decur.transforms.radiometry import S2A_BANDS, S2C_BANDS

from .base import MultimodalDataset
from .store import is_store, read_manifest

#: Bands by product folder.
PRODUCTS = dict(s1=('VV', 'VH'), s2a=S2A_BANDS, s2c=S2C_BANDS)
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

    ``data_root`` is the folder of ``s1``, ``s2a``, ``s2c``, or a store that ``tools/prepare_dataset.py ssl4eo`` made of it; both give the
    same arrays. A modality's entry names its product, ``files=dict(product='s2c')``, and reads with
    ``reader=dict(type='BandReader', bands=..., size=264)``. The four seasons of the products are co-located, neither of the same date nor
    registered to the pixel. (v1.1, whose values carry an offset of 1000, needs ``RemoveOffset`` first; reading with the statistics of
    v1.0 is an error.)

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder or the store.
        missing (str): What to do with a location that lacks a product: ``'error'``, ``'skip'`` (counted and listed) or ``'keep'``.
        **kwargs: As :class:`MultimodalDataset`; ``fraction`` and ``num_samples`` draw locations without replacement.

    Raises:
        DataError: If the folder, a product or a scene is missing or cannot be told.
    """

    def __init__(self, modalities: Mapping, data_root: str = '', missing: str = 'error', **kwargs):
        if missing not in ('error', 'skip', 'keep'):
            raise ConfigError(f"missing must be 'error', 'skip' or 'keep', got {missing!r}.")
        self.missing = missing
        #: Locations that were left out, with the product they lack.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    def _products(self) -> dict:
        products = {}
        for name, entry in self.modalities.items():
            product = (entry.get('files') or {}).get('product')
            if product not in PRODUCTS:
                raise ConfigError(f'modality {name!r}: files=dict(product=...) must be one of {sorted(PRODUCTS)}, got {product!r}.')
            products[name] = product
        return products

    def load_data_list(self) -> list:
        """List the locations and their seasons."""
        root, products = Path(self.data_root), self._products()
        if not root.is_dir():
            raise DataError(f'data_root {str(root)!r} is not a folder. Give the folder that holds s1 and s2c, or a store.')
        found = self._from_store(root, products) if is_store(root) else self._from_folders(root, products)
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
                location: [dict(store=str(root), key=f'{location}/{product}/{season}') for season in range(len(scenes))]
                for location, scenes in manifest['scenes'][product].items()
            }
        return found

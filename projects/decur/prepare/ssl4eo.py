"""SSL4EO-S12 v1.0 or v1.1 to the compact store.

The store keeps every band at its native resolution in its own type, so reading it gives the arrays that the files give. A record is a
season, ``{location}/{product}/{scene}``: ``{band: (h, w)}``. The index has a row for each location: ``id``, and for each product the scenes
ordered by date, ``(N, seasons)`` with empty ones at the end.
"""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from decur.datasets.finding import folder_names
from decur.datasets.ssl4eo import (
    V11_FOLDERS,
    V11_SPLITS,
    archive_folder,
    by_date,
    list_archives,
    list_scenes,
    read_archive,
    scene_time,
)
from decur.errors import ConfigError, DataError
from decur.readers.store import record_keys
from decur.readers.table import Table
from decur.readers.zarr_archives import read_bands
from decur.sensors import SSL4EO_BANDS

from . import engine
from .archives import find_archives
from .rasters import read_bands as read_rasters
from .release import FileGroup, Release, Unit
from .store_writer import StoreWriter, encode

#: What the archives of a product are called: as in the first release, and as in later copies of it.
_ARCHIVES = dict(s1='s1(_grd)?', s2a='s2(a|_l2a)', s2c='s2(c|_l1c)')
_IMAGE = 'image'


class SSL4EORelease(Release):
    """SSL4EO-S12 v1.0, ``{s1,s2a,s2c}/{id}/{scene}/{band}.tif`` or its archives, to the compact store.

    Args:
        src (str | Path): The folder of ``s1``, ``s2a``, ``s2c``, or of their archives.
        products (Sequence[str]): Which of them.
    """

    command = 'ssl4eo'
    title = 'SSL4EO-S12 v1.0 or v1.1 to the compact store'
    dataset = 'ssl4eo-s12-v1.0'

    #: Bands by product.
    products_of_version: Mapping = SSL4EO_BANDS

    def __init__(self, src, products: Sequence = ('s1', 's2c')):
        super().__init__(src)
        unknown = [product for product in products if product not in self.products_of_version]
        if unknown:
            raise ConfigError(f'unknown product {unknown}: choose from {sorted(self.products_of_version)}.')
        self.products = tuple(products)

    @classmethod
    def from_options(cls, src, **options) -> 'SSL4EORelease':
        """Of the version that ``src`` holds."""
        return build(src, **options)

    def paired(self, places: Mapping) -> list:
        """Locations that are in all products (``{product: locations}``), sorted; the others are noted as unpaired."""
        for location in sorted(set().union(*places.values())):
            lacking = [product for product in self.products if location not in places[product]]
            if lacking:
                self.unpaired[location] = f'no {", ".join(lacking)}'
        return sorted(set(places[self.products[0]]).intersection(*places.values()))

    def units(self, samples):
        """Scenes of the locations that have all products."""
        if not all((self.src / product).is_dir() for product in self.products):
            return None
        places = {product: set(folder_names(self.src / product)) for product in self.products}
        suffixes = {product: {band: f'/{band}.tif' for band in SSL4EO_BANDS[product]} for product in self.products}
        return [Unit(f'{location}/{product}/{scene}', location,
                     FileGroup(f'{self.src}/{product}/{location}/{scene}', suffixes[product]))
                for location in self.paired(places) for product in self.products for scene in list_scenes(self.src, product, location)]

    def archives(self):
        """Of every product.

        Raises:
            DataError: If one has none.
        """
        found = {product: find_archives(self.src, rf'{_ARCHIVES[product]}(?![a-z0-9])') for product in self.products}
        lacking = [product for product in self.products if not found[product]]
        if lacking:
            raise DataError(f'{self.src} has neither a folder nor an archive (NAME.tar.gz, or NAME.tar.gz.partaa, ...) of {lacking}.')
        self._product = {parts[0].name: product for product, groups in found.items() for parts in groups}
        return [parts for groups in found.values() for parts in groups]

    def member(self, archive, pieces):
        """``.../{location}/{scene}/{band}.tif``."""
        if len(pieces) < 3 or not pieces[-1].endswith('.tif'):
            return None
        try:
            scene_time(pieces[-2])
        except DataError as error:
            raise DataError(f'{self.src / archive}: {"/".join(pieces)}: {error}') from error
        return f'{pieces[-3]}/{self._product[archive]}/{pieces[-2]}', pieces[-3], pieces[-1][:-4]

    def needed(self, key):
        """All bands of the product."""
        return frozenset(SSL4EO_BANDS[key.split('/')[1]])

    def encode(self, key: str, files: Mapping) -> list:
        """One record."""
        return [(key, encode(read_rasters(key, files, SSL4EO_BANDS[key.split('/')[1]])))]

    def finish(self, writer: StoreWriter, units, skipped: Mapping) -> int:
        """Locations and their scenes, of what is in the store."""
        places: dict = {}
        for key in writer.keys():
            location, product, scene = key.split('/')
            places.setdefault(location, {}).setdefault(product, []).append(scene)
        products = sorted({product for scenes in places.values() for product in scenes})
        index = Table(dict(id=list(places), **{product: [by_date(scenes.get(product, ())) for scenes in places.values()]
                                               for product in products}))
        keys = {product: [f'{{id}}/{product}/{{}}'] for product in products}
        writer.finish(dict(values='raw', locations=len(places), key_columns=keys, skipped=skipped), index)
        return len(record_keys(writer.folder))


class SSL4EOV11Release(SSL4EORelease):
    """SSL4EO-S12 v1.1, a split of ``{train,val}/{S1GRD,S2L1C,S2L2A,S2RGB}/*.zarr.zip``, to the compact store.

    Args:
        src (str | Path): The folder of the split, or that above it.
        products (Sequence[str]): Which of them.
        split (str, optional): Which split, where ``src`` is the folder above.
    """

    products_of_version = {**SSL4EO_BANDS, 'rgb': ()}  # whose bands are what the archives say

    def __init__(self, src, products: Sequence = ('s1', 's2c'), split: str | None = None):
        folder = archive_folder(src, split)
        super().__init__(folder, products)
        self.dataset = f'ssl4eo-s12-v1.1-{folder.name}' if folder.name in V11_SPLITS else 'ssl4eo-s12-v1.1'

    def units(self, samples):
        """Seasons of the locations that have all products. Archives that cannot be read are noted as broken."""
        found: dict = {}
        for product in self.products:
            folder, found[product] = self.src / V11_FOLDERS[product], {}
            for name in list_archives(folder):
                try:
                    found[product].update({location: (folder / name, sample, scenes)
                                           for location, sample, scenes in read_archive(folder / name)})
                except DataError as error:
                    self.broken[f'{folder.name}/{name}'] = str(error)
        units = []
        for location in self.paired(found):
            for product in self.products:
                path, sample, scenes = found[product][location]
                units += [Unit(f'{location}/{product}/{scene}', location, {_IMAGE: (path, sample, int(scene.split('_')[0]))})
                          for scene in scenes]
        return units

    def count_files(self, units: Iterable) -> int:
        """Archives."""
        return len({unit.files[_IMAGE][0] for unit in units})

    def encode(self, key: str, files: Mapping) -> list:
        """One record."""
        return [(key, encode(read_bands(*files[_IMAGE])))]


def build(src: str | Path, products: Sequence = ('s1', 's2c'), split: str | None = None) -> SSL4EORelease:
    """The release of the version that ``src`` holds.

    Raises:
        DataError: If it is no folder.
        ConfigError: If there is no such product or split.
    """
    if archive_folder(src, split):
        return SSL4EOV11Release(src, products, split)
    return SSL4EORelease(src, products)


def prepare(src: str | Path, out: str | Path, products: Sequence = ('s1', 's2c'), split: str | None = None, **kwargs) -> dict:
    """Write the store; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(build(src, products, split), out, **kwargs)

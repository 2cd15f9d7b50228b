"""SSL4EO-S12 v1.0 or v1.1 to the compact store.

The store keeps every band at its native resolution in its own type, so reading it gives the arrays that the files give. A record is a
season, ``{location}/{product}/{scene}``: ``{band: (h, w)}``. The index has a row for each location: ``id``, and for each product the scenes
ordered by date, ``(N, seasons)`` with empty ones at the end.
"""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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
from decur.readers.table import Table
from decur.readers.zarr_archives import read_bands
from decur.sensors import SSL4EO_BANDS

from . import common
from .store_writer import StoreWriter, encode

#: What the archives of a product are called: as in the first release, and as in later copies of it.
_ARCHIVES = dict(s1='s1(_grd)?', s2a='s2(a|_l2a)', s2c='s2(c|_l1c)')


_IMAGE = 'image'


class SSL4EOPreparation(common.Preparation):
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
        places = {product: {p.name for p in (self.src / product).iterdir() if p.is_dir()} for product in self.products}
        suffixes = {product: {band: f'/{band}.tif' for band in SSL4EO_BANDS[product]} for product in self.products}
        return [common.Unit(f'{location}/{product}/{scene}', location,
                            common.FileGroup(f'{self.src}/{product}/{location}/{scene}', suffixes[product]))
                for location in self.paired(places) for product in self.products for scene in list_scenes(self.src, product, location)]

    def archives(self):
        """Of every product.

        Raises:
            DataError: If one has none.
        """
        found = {product: common.find_archives(self.src, rf'{_ARCHIVES[product]}(?![a-z0-9])') for product in self.products}
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

    def size(self, key):
        """Of the native resolutions."""
        product = key.split('/')[1]
        pixels = {'B1': 44, 'B9': 44, 'B10': 44, **{b: 264 for b in ('B2', 'B3', 'B4', 'B8', 'VV', 'VH')}}
        return sum(pixels.get(band, 132)**2 for band in SSL4EO_BANDS[product]) * (4 if product == 's1' else 2)

    @classmethod
    def encode(cls, key: str, files: Mapping) -> list:
        """One record."""
        return [(key, encode(common.read_bands(key, files, SSL4EO_BANDS[key.split('/')[1]])))]

    def finish(self, writer: StoreWriter) -> tuple:
        """Locations and their scenes, of what is in the store."""
        places: dict = {}
        for key in writer.keys():
            location, product, scene = key.split('/')
            places.setdefault(location, {}).setdefault(product, []).append(scene)
        products = sorted({product for scenes in places.values() for product in scenes})
        index = Table(dict(id=list(places), **{product: [by_date(scenes.get(product, ())) for scenes in places.values()]
                                               for product in products}))
        return dict(values='raw', locations=len(places), key_columns={p: [f'{{id}}/{p}/{{}}'] for p in products}), index


class SSL4EOV11Preparation(SSL4EOPreparation):
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
                units += [common.Unit(f'{location}/{product}/{scene}', location, {_IMAGE: (path, sample, int(scene.split('_')[0]))})
                          for scene in scenes]
        return units

    def count_files(self, units: Iterable) -> int:
        """Archives."""
        return len({unit.files[_IMAGE][0] for unit in units})

    def size(self, key):
        """Every band of 264 pixels: 16 bit, or 8 bit for ``rgb``."""
        product = key.split('/')[1]
        return 264**2 * (2 * len(SSL4EO_BANDS[product]) if product in SSL4EO_BANDS else 3)

    @classmethod
    def encode(cls, key: str, files: Mapping) -> list:
        """One record."""
        return [(key, encode(read_bands(*files[_IMAGE])))]


def build(src: str | Path, products: Sequence = ('s1', 's2c'), split: str | None = None) -> SSL4EOPreparation:
    """The preparation of the version that ``src`` holds.

    Raises:
        DataError: If it is no folder.
        ConfigError: If there is no such product or split.
    """
    if archive_folder(src, split):
        return SSL4EOV11Preparation(src, products, split)
    return SSL4EOPreparation(src, products)


def prepare(src: str | Path, out: str | Path, products: Sequence = ('s1', 's2c'), split: str | None = None, **kwargs) -> dict:
    """Write the store; see :func:`decur.prepare.common.prepare`."""
    return common.prepare(build(src, products, split), out, **kwargs)


def _add_options(parser) -> None:
    parser.add_argument('--products', nargs='+', default=['s1', 's2c'], choices=sorted(V11_FOLDERS))
    parser.add_argument('--split', choices=V11_SPLITS, help='v1.1: which folder of SRC')


def add_parser(subparsers) -> None:
    """Add the command ``ssl4eo``."""
    common.add_parser(subparsers, lambda args: build(args.src, args.products, args.split), SSL4EOPreparation, _add_options)

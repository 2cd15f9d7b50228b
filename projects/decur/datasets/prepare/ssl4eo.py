"""SSL4EO-S12 v1.0 to the compact store.

The store keeps every band at its native resolution in its own type, so reading it gives the arrays that the files give. A record is a
scene, ``{location}/{product}/{scene}``: ``{band: (h, w)}``.
"""
from collections.abc import Mapping, Sequence
from pathlib import Path

from decur.errors import ConfigError, DataError

from ..ssl4eo import PRODUCTS, V11_FOLDERS, list_scenes, scene_time
from ..store import StoreWriter, encode
from . import common

#: What the archives of a product are called: as in the first release, and as in later copies of it.
_ARCHIVES = dict(s1='s1(_grd)?', s2a='s2(a|_l2a)', s2c='s2(c|_l1c)')


class SSL4EOPreparation(common.Preparation):
    """SSL4EO-S12 v1.0, ``{s1,s2a,s2c}/{id}/{scene}/{band}.tif`` or its archives, to the compact store.

    Args:
        src (str | Path): The folder of ``s1``, ``s2a``, ``s2c``, or of their archives.
        products (Sequence[str]): Which of them.
    """

    command = 'ssl4eo'
    title = 'SSL4EO-S12 v1.0 to the compact store'
    dataset = 'ssl4eo-s12-v1.0'

    def __init__(self, src, products: Sequence = ('s1', 's2c')):
        super().__init__(src)
        unknown = [product for product in products if product not in PRODUCTS]
        if unknown:
            raise ConfigError(f'unknown product {unknown}: choose from {sorted(PRODUCTS)}.')
        if any((folder / name).is_dir() for folder in (self.src, self.src / 'train') for name in V11_FOLDERS.values()):
            raise ConfigError(f'{src} is SSL4EO-S12 v1.1, whose zarr archives are read as they are: set data_root={src}.')
        self.products = tuple(products)

    def units(self, samples):
        """Scenes of the locations that have all products."""
        if not all((self.src / product).is_dir() for product in self.products):
            return None
        places = {product: {p.name for p in (self.src / product).iterdir() if p.is_dir()} for product in self.products}
        for location in sorted(set.union(*places.values())):
            lacking = [product for product in self.products if location not in places[product]]
            if lacking:
                self.unpaired[location] = f'no {", ".join(lacking)}'
        return [
            common.Unit(f'{location}/{product}/{folder.name}', location, {band: folder / f'{band}.tif' for band in PRODUCTS[product]})
            for location in sorted(set.intersection(*places.values())) for product in self.products
            for folder in list_scenes(self.src, product, location)
        ]

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
        scene_time(pieces[-2])  # an unknown scene name is an error
        return f'{pieces[-3]}/{self._product[archive]}/{pieces[-2]}', pieces[-3], pieces[-1][:-4]

    def needed(self, key):
        """All bands of the product."""
        return frozenset(PRODUCTS[key.split('/')[1]])

    def size(self, key):
        """Of the native resolutions."""
        product = key.split('/')[1]
        pixels = {'B1': 44, 'B9': 44, 'B10': 44, **{b: 264 for b in ('B2', 'B3', 'B4', 'B8', 'VV', 'VH')}}
        return sum(pixels.get(band, 132)**2 for band in PRODUCTS[product]) * (4 if product == 's1' else 2)

    @classmethod
    def encode(cls, key: str, files: Mapping) -> list:
        """One record."""
        return [(key, encode(common.read_bands(key, files, PRODUCTS[key.split('/')[1]])))]

    def finish(self, writer: StoreWriter) -> tuple:
        """``scenes``: ``{product: {location: [scene, ...]}}`` of what is in the store, ordered by date."""
        scenes: dict = {}
        for key in writer.keys():
            location, product, scene = key.split('/')
            scenes.setdefault(product, {}).setdefault(location, []).append(scene)
        return dict(values='raw', scenes={product: {location: sorted(names, key=scene_time) for location, names in places.items()}
                                          for product, places in scenes.items()}), None


def prepare(src: str | Path, out: str | Path, products: Sequence = ('s1', 's2c'), **kwargs) -> dict:
    """Write the store; see :func:`decur.datasets.prepare.common.prepare`."""
    return common.prepare(SSL4EOPreparation(src, products), out, **kwargs)


def add_parser(subparsers) -> None:
    """Add the command ``ssl4eo``."""
    common.add_parser(
        subparsers, lambda args: SSL4EOPreparation(args.src, args.products), SSL4EOPreparation,
        lambda parser: parser.add_argument('--products', nargs='+', default=['s1', 's2c'], choices=sorted(PRODUCTS)))

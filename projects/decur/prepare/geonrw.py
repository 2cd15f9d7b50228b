"""GeoNRW as released to the compact store.

Every raster is cut into blocks of 250 pixels, DeCUR's tiles, in its own type: ``{city}/{image}/{raster}/{row}_{column}``:
``{image: (h, w, C)}``. So a tile is read without the image of 1000 pixels around it, and JPEG 2000 is decoded once, not for every tile of
every epoch. The record under ``{city}/{image}/{raster}`` has the size of the whole: ``{size: (3,)}``.
"""
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decur.datasets.finding import file_names, folder_names
from decur.datasets.geonrw import ENDINGS, FOLDERS, split_name
from decur.errors import ConfigError, DataError
from decur.readers.store import BLOCK, block_keys, decode, record_keys
from decur.readers.types import convert

from . import engine
from .archives import find_archives
from .rasters import read_raster
from .release import Release, Unit
from .store_writer import StoreWriter, encode

_FILE = 'file'
_BANDS = dict(rgb=3, dem=1, seg=1)


class GeoNRWRelease(Release):
    """GeoNRW as released, ``{city}/{e}_{n}_{rgb.jp2,dem.tif,seg.tif}`` or its archive (``nrw_dataset.tar.gz``), to the compact store."""

    command = 'geonrw'
    title = 'GeoNRW to the compact store'
    dataset = 'geonrw'

    def __init__(self, src):
        super().__init__(src)
        if any((self.src / folder).is_dir() for folder in FOLDERS.values()):
            raise ConfigError(f'{src} holds tiles that were cut already ({", ".join(FOLDERS.values())}): set data_root={src}, or give the '
                              'folder of the cities.')

    def units(self, samples):
        """Files of the cities; images that lack a raster are left out and counted."""
        images: dict = {}
        for city in folder_names(self.src):
            for name in file_names(self.src / city):
                found = split_name(name)
                if found:
                    images.setdefault(f'{city}/{found[0]}', {})[found[1]] = self.src / city / name
        if not images:
            return None
        for image, rasters in images.items():
            if len(rasters) < len(ENDINGS):
                self.unpaired[image] = f'no {", ".join(sorted(set(ENDINGS) - set(rasters)))}'
        return [Unit(f'{image}/{raster}', image, {_FILE: path}) for image, rasters in sorted(images.items())
                if image not in self.unpaired for raster, path in rasters.items()]

    def archives(self):
        """Every archive in the folder.

        Raises:
            DataError: If there is none.
        """
        found = find_archives(self.src, '.*nrw')
        if not found:
            raise DataError(f'{self.src} holds neither the folders of the cities nor an archive (nrw_dataset.tar.gz).')
        return found

    def member(self, archive, pieces):
        """``.../{city}/{e}_{n}_{raster}``."""
        found = split_name(pieces[-1]) if len(pieces) > 1 else None
        return found and (f'{pieces[-2]}/{found[0]}/{found[1]}', f'{pieces[-2]}/{found[0]}', _FILE)

    def needed(self, key):
        """One file."""
        return frozenset([_FILE])

    def encode(self, key: str, files: Mapping) -> list:
        """The blocks, then the size."""
        if _FILE not in files:
            raise DataError(f'{key}: the file is gone')
        planes, tags = read_raster(files[_FILE], key, _BANDS[key.rsplit('/', 1)[1]])
        image = convert(planes.transpose(1, 2, 0), key)
        if None in tags and any(tag is not None for tag in tags):
            raise DataError(f'{key}: only some of its bands have a nodata tag')
        tagged = {} if None in tags else dict(nodata=np.array(tags, np.float64))
        records = [(block, encode(dict(image=image[i * BLOCK:(i + 1) * BLOCK, j * BLOCK:(j + 1) * BLOCK], **tagged)))
                   for i, row in enumerate(block_keys(key, image.shape)) for j, block in enumerate(row)]
        return [*records, (key, encode(dict(size=np.array(image.shape))))]

    def unit_of(self, key):
        """Blocks belong to their raster."""
        return '/'.join(key.split('/')[:3])

    def finish(self, writer: StoreWriter, units, skipped: Mapping) -> int:
        """``rasters``: ``{key: [height, width]}`` of the images that are complete."""
        sizes = {key: decode(writer.get(key), key)['size'].tolist() for key in writer.keys() if key.count('/') == 2}
        complete = {key: size[:2] for key, size in sizes.items()
                    if all(f'{key.rsplit("/", 1)[0]}/{raster}' in sizes for raster in ENDINGS)}
        writer.finish(dict(values='raw', block=BLOCK, rasters=complete, skipped=skipped))
        return len(record_keys(writer.folder))


def prepare(src: str | Path, out: str | Path, **kwargs) -> dict:
    """Write the store; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(GeoNRWRelease(src), out, **kwargs)

"""GeoNRW (Baier et al., 2020): aerial RGB, elevation and land cover at 1 m, as released or as DeCUR's tiles of 250 pixels."""
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers.files import AutoReader, read_size
from decur.readers.store import is_store, read_manifest

from .base import MultimodalDataset
from .finding import file_names, folder_names, is_hidden
from .layouts import Layout, Part, train_command

CLASSES = ('forest', 'water', 'agricultural', 'residential,commercial,industrial', 'grassland,swamp,shrubbery', 'railway,trainstation',
           'highway,squares', 'airport,shipyard', 'roads', 'buildings')
PALETTE = [[0, 100, 0], [0, 0, 200], [220, 220, 80], [200, 0, 0], [120, 200, 80], [90, 60, 30], [130, 130, 130], [160, 80, 200],
           [60, 60, 60], [250, 120, 60]]
#: Cities of the test split; all others are for training.
TEST_CITIES = ('duesseldorf', 'herne', 'neuss')
#: Side of a released image, and of the published tiles, 4 x 4 of them, pixels.
SIDE, TILE = 1000, 250
ENDINGS = dict(rgb=('_rgb.jp2', '_rgb.png'), dem=('_dem.tif', ), seg=('_seg.tif', ))
FOLDERS = dict(rgb='img_dir', dem='dem_dir', seg='ann_dir')
BANDS = dict(rgb=('R', 'G', 'B'), dem=('DEM', ), seg=('class', ))

_RELEASED = re.compile(r'\d+_\d+_(rgb\.jp2|dem\.tif|seg\.tif)')


def split_name(name: str) -> tuple | None:
    """Image and raster (``'rgb'``, ``'dem'`` or ``'seg'``) that a file's name tells, or None if it is no file of GeoNRW (or hidden)."""
    if is_hidden(name):
        return None
    return next(((name[:-len(ending)], raster) for raster, endings in ENDINGS.items() for ending in endings if name.endswith(ending)), None)


def _list_files(folders: Iterable) -> dict:
    """``{image: {raster: path}}`` of folders, given with what stands before the names of their images: ``[(folder, prefix)]``."""
    found: dict = {}
    for folder, prefix in folders:
        for file in file_names(folder):
            name = split_name(file)
            if name:
                found.setdefault(f'{prefix}{name[0]}', {})[name[1]] = str(folder / file)
    return found


def _list_stored(root: Path) -> dict:
    """``{image: {raster: source}}`` of a store."""
    found: dict = {}
    for key, size in sorted(read_manifest(root)['rasters'].items()):
        image, raster = key.rsplit('/', 1)
        found.setdefault(image, {})[raster] = dict(store=str(root), key=key, size=tuple(size))
    return found


def _parts(listing: Callable) -> dict:
    """What inspection looks at, from a function that lists ``{image: {raster: source}}``."""
    images, parts = listing(), {}
    for raster, bands in BANDS.items():
        ids = [image for image, rasters in images.items() if raster in rasters]
        if ids:
            parts[raster] = Part(bands, ids, lambda image, raster=raster: images[image][raster], AutoReader(), dict(raster=raster))
    return parts


@DATASETS.register_module()
class GeoNRWDataset(MultimodalDataset):
    """A sample is a tile with RGB and elevation, and its land-cover classes (1 to 10 in the files, 0 background).

    Three layouts, told by their folders: as released, ``{city}/{e}_{n}_{rgb.jp2,dem.tif,seg.tif}``, each image of 1000 x 1000 pixels read
    as 4 x 4 windows of 250 (images of any size whole with ``tile=None``); the compact store that ``tools/prepare_dataset.py geonrw`` makes
    of it, with the same samples; or tiled, ``{img_dir,dem_dir,ann_dir}/{train,test}/{e}_{n}_{k}_{rgb.png,dem.tif,seg.tif}``, k from 1 to
    16 row by row. The windows are those tiles, pixel for pixel.

    A modality's entry names its raster, ``files=dict(raster='rgb')`` or ``'dem'``. Background counts as a class of its own with
    ``background=True``; otherwise it is ignored.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder of the cities, or of ``img_dir`` and so on.
        split (str): ``'train'`` or ``'test'`` (Duesseldorf, Herne, Neuss).
        label (bool): Whether the label raster is needed. Defaults to True.
        background (bool): See above. Defaults to False.
        tile (int, optional): Tile side for the released layout, pixels. Defaults to 250.
        georeference (str): As :class:`MultimodalDataset`. Defaults to ``'warn'``: the release is taken as it is.
        **kwargs: As :class:`MultimodalDataset`.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 split: str = 'train',
                 label: bool = True,
                 background: bool = False,
                 tile: int | None = TILE,
                 georeference: str = 'warn',
                 **kwargs):
        self.split, self.label, self.tile = check_choice('split', split, ('train', 'test')), label, tile
        super().__init__(modalities=modalities, data_root=data_root, reduce_zero_label=not background,
                         georeference=georeference, label_options=dict(background=background), **kwargs)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """The released images, tiles, or a store."""
        use = train_command('configs/decur/geonrw_rgb-dem_r50_decur.py')
        if is_store(root):
            stored = read_manifest(root).get('dataset') == 'geonrw'
            return Layout('geonrw', 'compact store of geonrw', use, partial(_parts, partial(_list_stored, root)), True) if stored else None
        if any((root / folder).is_dir() for folder in FOLDERS.values()):
            folders = [(root / folder / split, '') for folder in FOLDERS.values() for split in folder_names(root / folder)]
            return Layout('geonrw-tiles', "GeoNRW, DeCUR's tiles", use, partial(_parts, partial(_list_files, folders)))
        cities = [(root / city, f'{city}/') for city in folder_names(root)]
        if any(_RELEASED.fullmatch(file) for folder, _ in cities for file in file_names(folder)):
            return Layout('geonrw', 'GeoNRW, as released', use, partial(_parts, partial(_list_files, cities)))
        return None

    @classmethod
    def own_labels(cls, background: bool = False, **options) -> tuple:
        """The ten classes, or eleven with the background first."""
        return (('background', *CLASSES), [[0, 0, 0], *PALETTE]) if background else (CLASSES, PALETTE)

    def load_data_list(self) -> list:
        """List the tiles of the split."""
        root, rasters = self.existing_root(), self.chosen_files('raster', ('rgb', 'dem'))
        stored, tiled = is_store(root), any((root / FOLDERS[raster]).is_dir() for raster in ('rgb', 'dem'))
        if stored:
            if read_manifest(root).get('dataset') != 'geonrw':
                raise DataError(f'{root} is a store of {read_manifest(root).get("dataset")!r}, not of GeoNRW.')
            found = {image: files for image, files in _list_stored(root).items() if self._has(image.split('/')[0])}
        elif tiled:
            folders = (root / folder / self.split for folder in FOLDERS.values())
            found = dict(sorted(_list_files((folder, '') for folder in folders if folder.is_dir()).items()))
        else:
            found = _list_files((root / city, f'{city}/') for city in folder_names(root) if self._has(city))
        windows = [('', None)]
        if self.tile and (stored or not tiled):
            self._check_sizes(found, stored)
            windows = self._windows()
        wanted = {*rasters.values(), *(['seg'] if self.label else [])}
        samples = []
        for stem, files in found.items():
            for raster in sorted(wanted - set(files)):
                raise DataError(f'tile {stem!r} under {root} has no {raster} raster ({" or ".join(ENDINGS[raster])}).')
            for suffix, window in windows:
                sources = {raster: self._cut(files[raster], window) for raster in wanted}
                sample = dict(sample_id=f'{stem}{suffix}', sources={name: sources[raster] for name, raster in rasters.items()})
                samples.append(dict(sample, seg_source=sources['seg']) if self.label else sample)
        return samples

    def _has(self, city: str) -> bool:
        """Whether a city is of the split."""
        return (city in TEST_CITIES) == (self.split == 'test')

    @staticmethod
    def _cut(source, window: Sequence | None):
        """A window of a source; the files' size is compared when they are read."""
        if window is None:
            return source
        return dict(source, window=window) if isinstance(source, Mapping) else dict(path=source, window=window, size=(SIDE, SIDE))

    @staticmethod
    def _check_sizes(found: Mapping, stored: bool) -> None:
        """Of a store all sizes are known; of released images only the first is opened here, since each is checked when it is read."""
        for name, files in found.items():
            for raster, source in files.items():
                height, width = source['size'] if stored else read_size(source)
                if (height, width) != (SIDE, SIDE):
                    raise DataError(f'{name}: the {raster} raster has {height}x{width} pixels; tiles are cut from the released images of '
                                    f'{SIDE}x{SIDE}. Complete the data, or set tile=None to use the images whole.')
            if not stored:
                break

    def _windows(self) -> list:
        if not 0 < self.tile <= SIDE:
            raise ConfigError(f'tile must be 1 to {SIDE} pixels, got {self.tile!r}.')
        count = SIDE // self.tile
        return [(f'_{row * count + column + 1}', (row * self.tile, column * self.tile, self.tile, self.tile))
                for row in range(count) for column in range(count)]

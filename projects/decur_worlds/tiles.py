"""Generated land cover as co-registered GeoTIFF tiles, the way one's own data may lie: a folder for each sensor, the same names in each.

``OUT/{s1,s2,dem,label}/scene<i>_<j>.tif``: VV and VH in dB (float32), thirteen bands of Sentinel-2 L1C (uint16), metres above the sea
(float32), and classes from 0 (uint8, :data:`CLASSES`). Tiles of one scene lie side by side. Writes are atomic; a run that was
stopped goes on with what is missing, and the same seed gives the same files.
"""
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.transform import from_origin

from decur.dataset_record import start_record
from decur.errors import ConfigError
from decur.parallel import run_jobs
from decur.sensors import S1_BANDS, S2C_BANDS
from decur.writing import replacing

from .landcover import COVERS, make_landscape
from .landcover_sensors import object_heights, sense_optical, sense_radar

#: Raised when the same seed gives other files.
VERSION = 1
#: Name, and the covers of :data:`~decur_worlds.landcover.COVERS` that it holds.
CLASSES = {'water': ('water', ), 'forest': ('broadleaf', 'conifer', 'mixed'), 'built': ('residential', 'industrial'),
           'open': ('wetland', 'sand', 'bare', 'heath', 'pasture', 'crops', 'rice', 'vineyard')}
#: Tiles of a scene.
PER_SCENE = 4
#: Where the scenes begin, so that none is shared with the other layouts.
_OFFSET = 5 << 24
_CLASS_OF = np.array([next(i for i, names in enumerate(CLASSES.values()) if cover.name in names) for cover in COVERS], np.uint8)


def _write(path: Path, bands: np.ndarray, names: tuple, transform) -> None:
    with replacing(path) as temporary, rasterio.open(temporary, 'w', driver='GTiff', width=bands.shape[2], height=bands.shape[1],
                                                     count=len(bands), dtype=bands.dtype, crs='EPSG:32632', transform=transform,
                                                     compress='deflate') as file:
        file.write(bands)
        file.descriptions = names


def _write_scene(scene: int, out: Path, size: int, seed: int) -> None:
    folders = ('s1', 's2', 'dem', 'label')
    paths = {(folder, j): out / folder / f'scene{scene}_{j}.tif' for folder in folders for j in range(PER_SCENE)}
    if all(path.exists() for path in paths.values()):
        return
    land = make_landscape(seed, _OFFSET + scene, (size, size * PER_SCENE))
    rng = np.random.default_rng((seed, scene))
    radar, optical = sense_radar(land, 2, rng), sense_optical(land, 2, rng, clouds=.1)['l1c']
    shape = land.cover.shape[::-1]
    rasters = dict(
        s1=(np.stack([radar[band] for band in S1_BANDS]), S1_BANDS),
        s2=(np.stack([cv2.resize(optical[band], shape, interpolation=cv2.INTER_LINEAR) for band in S2C_BANDS]), S2C_BANDS),
        dem=((land.terrain + object_heights(land))[None].astype(np.float32), ('DEM', )), label=(_CLASS_OF[land.cover][None], ('class', )))
    for (folder, j), path in paths.items():
        bands, names = rasters[folder]
        corner = from_origin(600000 + 10. * size * j, 5400000 - 20000. * scene, 10, 10)
        _write(path, np.ascontiguousarray(bands[:, :, j * size:(j + 1) * size]), names, corner)


def write_tiles(out: str | Path, num: int, size: int = 72, seed: int = 0, workers: int = 1) -> None:
    """Write ``num`` scenes of four tiles of ``size`` pixels a side into the folder ``out``.

    Raises:
        ConfigError: Numbers or sizes that cannot be, or a folder that holds something else.
    """
    if num < 1 or size < 18 or size % 6:  # bands of 60 m have a sixth of the pixels
        raise ConfigError(f'at least one scene, and tiles whose side is a multiple of 6 from 18 on, are needed, got {num} and {size}.')
    out = Path(out)
    start_record(out, dict(world='tiles', version=VERSION, seed=int(seed), size=int(size)))
    for folder in ('s1', 's2', 'dem', 'label'):
        (out / folder).mkdir(exist_ok=True)
    run_jobs(partial(_write_scene, out=out, size=size, seed=seed), range(num), workers, f'scenes in {out}')

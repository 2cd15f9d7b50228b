"""Generated land cover in the files of Sen1Floods11: to see PANGAEA run before the download of the real ones.

    python integrations/pangaea/example_data.py PANGAEA/data/sen1floods11_v1.1

Sentinel-1 (VV, VH in dB), Sentinel-2 L1C (13 bands), and a label of water (1; elsewhere 0): 8 training, 2 validation and 4 test images of
128 x 128 pixels, where the real ones have 512.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import rasterio

from decur.errors import ConfigError, exit_on_bad_input
from decur.sensors import S2C_BANDS
from decur_worlds.landcover import INDEX, make_landscape
from decur_worlds.landcover_sensors import sense_optical, sense_radar

SPLITS = dict(train=8, valid=2, test=4)
#: Landscapes of the generator that have both water and land.
MIN_WATER, MAX_WATER = .1, .7


def write_sen1floods11(folder: Path, size: int = 128, seed: int = 0) -> None:
    """Write the images, the lists of the splits and the table of events.

    Args:
        folder (Path): ``.../sen1floods11_v1.1``, new or empty.
        size (int): Side of an image, pixels of 10 m.
        seed (int): Of the landscapes.

    Raises:
        ConfigError: If there are files already.
    """
    root = folder / 'v1.1'
    if root.exists():
        raise ConfigError(f'{root} exists; remove it, or give another folder.')
    data, lists = root / 'data/flood_events/HandLabeled', root / 'splits/flood_handlabeled'
    lists.mkdir(parents=True)
    index = 0
    for split, count in SPLITS.items():
        rows = []
        while len(rows) < count:
            index += 1
            landscape = make_landscape(seed, index, -(-size // 6) * 6)  # bands of 60 m have a sixth of the pixels
            water = landscape.cover[:size, :size] == INDEX['water']
            if not MIN_WATER < water.mean() < MAX_WATER:
                continue
            rng = np.random.default_rng([seed, index])
            radar, optical = sense_radar(landscape, 1, rng), sense_optical(landscape, 1, rng, clouds=0)['l1c']
            name = f'Europe_{index:06d}'
            write(data / f'S1Hand/{name}_S1Hand.tif', np.stack([radar['VV'], radar['VH']])[:, :size, :size])
            write(data / f'S2Hand/{name}_S2Hand.tif', np.stack([enlarge(optical[band], *landscape.cover.shape)[:size, :size]
                                                                 for band in S2C_BANDS]).astype(np.int16))
            write(data / f'LabelHand/{name}_LabelHand.tif', water[None].astype(np.int16))
            rows.append(f'{name}_S1Hand.tif,{name}_LabelHand.tif\n')
        (lists / f'flood_{split}_data.csv').write_text(''.join(rows))
    event = dict(type='Feature', properties=dict(location='Europe', s2_date='2019-06-01'),
                 geometry=dict(type='Point', coordinates=[10., 50.]))
    (root / 'Sen1Floods11_Metadata.geojson').write_text(json.dumps(dict(type='FeatureCollection', features=[event])))


def enlarge(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """A band of 20 or 60 m on the grid of 10 m, by nearest neighbours."""
    return plane.repeat(height // plane.shape[0], 0).repeat(width // plane.shape[1], 1)


def write(path: Path, array: np.ndarray) -> None:
    """A GeoTIFF of ``(C, H, W)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, 'w', driver='GTiff', height=array.shape[1], width=array.shape[2], count=len(array), dtype=array.dtype,
                       crs='EPSG:32632', transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10)) as file:
        file.write(array)


@exit_on_bad_input()
def main():
    """Write the files and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args().folder
    write_sen1floods11(folder)
    print(f'{folder}: {sum(SPLITS.values())} images')


if __name__ == '__main__':
    main()

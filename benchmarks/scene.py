"""A map of a whole scene: seconds, and the most memory that the process takes.

    python benchmarks/scene.py make data/scene [--chips 160] [--size 5000]
    python benchmarks/scene.py measure CONFIG CHECKPOINT data/scene [--out record.json] [-- OPTIONS OF tools/infer.py]

``make`` generates chips to train on and one scene: ``scene_s1.tif`` (VV, VH in dB; 20 m, its corner between pixels of the other) and
``scene_s2.tif`` (four bands at 10 m, with a corner that is missing). ``measure`` runs the command of a user as a process of its own and
reads its peak resident memory from the kernel.
"""
import argparse
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasterio.windows import Window

from decur_worlds.landcover import COVERS, make_landscape
from decur_worlds.landcover_sensors import sense_optical, sense_radar

ROOT = Path(__file__).resolve().parents[1]
BANDS = ('B2', 'B3', 'B4', 'B8')
#: Covers by class of the config benchmarks/scene_model.py.
CLASSES = (('water', ), ('wetland', ), ('sand', 'bare'), ('broadleaf', 'conifer', 'mixed'), ('heath', 'pasture'),
           ('crops', 'rice', 'vineyard'), ('residential', 'industrial'))
CLASS_OF = np.array([next(i for i, names in enumerate(CLASSES) if cover.name in names) for cover in COVERS], np.uint8)
#: Landscapes are made and sensed in squares of this side, pixels; a multiple of the steps of Sentinel-2's bands.
BLOCK = 1020
#: Different landscapes in a scene; the squares repeat them, mirrored.
LANDSCAPES = 4
WEST, NORTH = 600000., 5400000.


def sense(seed: int, index: int, size: int) -> tuple:
    """Radar ``(size, size, 2)`` float32, optical ``(size, size, 4)`` uint16 and classes ``(size, size)`` uint8."""
    landscape = make_landscape(seed, index, (size, size))
    rng = np.random.default_rng((seed, index))
    radar, optical = sense_radar(landscape, 1, rng), sense_optical(landscape, 1, rng, clouds=0.)['l2a']
    return (np.stack([radar[band] for band in ('VV', 'VH')], axis=2), np.stack([optical[band] for band in BANDS], axis=2),
            CLASS_OF[landscape.cover])


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, 'w', driver='GTiff', height=array.shape[0], width=array.shape[1], count=array.shape[2], dtype=array.dtype,
                       crs='EPSG:32632', transform=from_origin(WEST, NORTH, 10, 10)) as raster:
        raster.write(array.transpose(2, 0, 1))


def make(root: Path, chips: int, size: int) -> None:
    """Write chips and the scene."""
    names = []
    for i in range(chips):
        radar, optical, label = sense(1, i, 120)
        # The scene's radar has pixels of 20 m that are resampled to 10: so have the chips.
        small = cv2.resize(radar, (60, 60), interpolation=cv2.INTER_AREA)
        _write(root / 's1' / f'{i:04d}.tif', cv2.resize(small, (120, 120), interpolation=cv2.INTER_LINEAR))
        _write(root / 's2' / f'{i:04d}.tif', optical)
        (root / 'label').mkdir(exist_ok=True)
        Image.fromarray(label).save(root / 'label' / f'{i:04d}.png')
        names.append(f'{i:04d}\n')
    (root / 'train.txt').write_text(''.join(names[:-chips // 5]))
    (root / 'test.txt').write_text(''.join(names[-chips // 5:]))
    profile = dict(driver='GTiff', crs='EPSG:32632', tiled=True, blockxsize=256, blockysize=256, compress='deflate')
    half = -(-size // 2)
    with rasterio.open(root / 'scene_s2.tif', 'w', height=size, width=size, count=4, dtype='uint16', nodata=0,
                       transform=from_origin(WEST, NORTH, 10, 10), **profile) as s2, \
            rasterio.open(root / 'scene_s1.tif', 'w', height=half, width=half, count=2, dtype='float32', nodata=-9999,
                          transform=from_origin(WEST - 4, NORTH + 7, 20, 20), **profile) as s1, \
            rasterio.open(root / 'scene_label.tif', 'w', height=size, width=size, count=1, dtype='uint8', nodata=255,
                          transform=from_origin(WEST, NORTH, 10, 10), **profile) as truth:
        s2.descriptions, s1.descriptions = BANDS, ('VV', 'VH')
        square = functools.cache(functools.partial(sense, 2, size=BLOCK))  # a small scene needs few
        for row in range(0, size, BLOCK):
            for column in range(0, size, BLOCK):
                y, x = row // BLOCK, column // BLOCK
                flips = (1 - 2 * (y // 2 % 2), 1 - 2 * (x // 2 % 2))
                radar, optical, label = (array[::flips[0], ::flips[1]].copy() for array in square(index=(2 * y + x) % LANDSCAPES))
                rows, columns = (np.arange(start, min(start + BLOCK, size)) for start in (row, column))
                optical[(rows[:, None] + columns[None, :] < size // 4).nonzero()] = 0  # beyond the swath
                height, width = len(rows), len(columns)
                window = Window(column, row, width, height)
                s2.write(optical[:height, :width].transpose(2, 0, 1), window=window)
                truth.write(label[None, :height, :width], window=window)
                # Where the pixels of 20 m lie in the landscape: 4 m to the west and 7 m to the north.
                there = np.float32([[1, 0, .4], [0, 1, .7]])
                radar = cv2.warpAffine(radar, there, (BLOCK, BLOCK), borderMode=cv2.BORDER_REPLICATE)
                radar = cv2.resize(radar, (BLOCK // 2, BLOCK // 2), interpolation=cv2.INTER_AREA)
                height, width = (min(BLOCK // 2, half - start // 2) for start in (row, column))
                s1.write(radar[:height, :width].transpose(2, 0, 1), window=Window(column // 2, row // 2, width, height))


def measure(config: str, checkpoint: str, root: Path, options: list) -> dict:
    """Run the command; seconds, and the peak of its resident memory in bytes."""
    command = [sys.executable, 'tools/infer.py', config, checkpoint, f'optical={root / "scene_s2.tif"}', f'sar={root / "scene_s1.tif"}',
               '--resample', 'bilinear', '--out', str(root / 'map.tif'), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode, seconds = os.waitstatus_to_exitcode(status), time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f'{" ".join(command)} exited {process.returncode}')
    with rasterio.open(root / 'map.tif') as raster, rasterio.open(root / 'scene_label.tif') as truth:
        right = known = 0
        for _, window in truth.block_windows(1):
            found, label = raster.read(1, window=window), truth.read(1, window=window)
            known += int((found != 255).sum())
            right += int(((found == label) & (found != 255)).sum())
        return dict(command=' '.join(command[1:]), shape=raster.shape, seconds=seconds, cpu=usage.ru_utime + usage.ru_stime,
                    peak=usage.ru_maxrss * 1024, accuracy=right / known)


def main() -> None:
    """Make, or measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('make', 'measure'))
    parser.add_argument('arguments', nargs='+', metavar='ARGUMENT', help='DATA; or CONFIG CHECKPOINT DATA')
    parser.add_argument('--chips', type=int, default=160, help='chips to train and test on')
    parser.add_argument('--size', type=int, default=5000, help='side of the scene, pixels')
    parser.add_argument('--out', help='JSON file')
    own, rest = (sys.argv[1:], []) if '--' not in sys.argv else (sys.argv[1:sys.argv.index('--')], sys.argv[sys.argv.index('--') + 1:])
    args = parser.parse_args(own)
    root = Path(args.arguments[-1]).resolve()
    if args.what == 'make':
        return make(root, args.chips, args.size)
    record = measure(args.arguments[0], args.arguments[1], root, rest)
    print(f'{record["shape"][0]} x {record["shape"][1]} pixels: {record["seconds"]:.0f} s ({record["cpu"]:.0f} s of CPU), peak memory '
          f'{record["peak"] / 2**20:.0f} MiB, {100 * record["accuracy"]:.1f} % of the pixels are right')
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()

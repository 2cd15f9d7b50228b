"""Small data and models that several tests build."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from decur.binding import bind
from decur.engine import load_config

ROOT = Path(__file__).resolve().parents[1]


def bound_config(path, options=None):
    """A config below ``configs/``, with its modalities given to every part."""
    return bind(load_config(str(ROOT / 'configs' / path), options))


def write_tif(path, array, **profile):
    """Write ``(H, W, C)`` as a GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = array[..., None] if array.ndim == 2 else array
    with rasterio.open(path, 'w', driver='GTiff', height=array.shape[0], width=array.shape[1], count=array.shape[2], dtype=array.dtype,
                       **dict(dict(crs='EPSG:32633', transform=from_origin(0, 0, 10, 10)), **profile)) as file:
        file.write(array.transpose(2, 0, 1))


def write_pairs(root, ids=('a', 'b', 'c', 'd'), size=(32, 40), seed=0):
    """A data set of SAR (2 bands, float32), optical (13 bands, uint16), RGB (PNG) and labels 0..3."""
    rng = np.random.default_rng(seed)
    for name in ids:
        write_tif(root / 's1' / f'{name}.tif', rng.normal(-12, 5, (*size, 2)).astype(np.float32))
        write_tif(root / 's2' / f'{name}.tif', rng.integers(0, 4000, (*size, 13)).astype(np.uint16))
        (root / 'rgb').mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / 'rgb' / f'{name}.png')
        (root / 'label').mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 4, size, dtype=np.uint8)).save(root / 'label' / f'{name}.png')
    return root


def tiny_encoder(**kwargs):
    """Config of a residual network that runs in milliseconds."""
    return dict(type='SmallResNet', stem_channels=8, base_channels=8, strides=(2, 2, 2, 2), **kwargs)


def entries(encoder=True):
    """Modality entries for :func:`write_pairs`."""
    extra = dict(encoder=tiny_encoder()) if encoder else {}
    views = dict(type='ViewAugmentation', size=24)
    return dict(
        sar=dict(channels=2, files=dict(folder='s1', suffix='.tif'), mean=[-12.0, -12.0], std=[5.0, 5.0],
                 augmentation=dict(views, value_range=(-40.0, 10.0)), **extra),
        optical=dict(channels=13, files=dict(folder='s2', suffix='.tif'), mean=[2000.0], std=[1000.0],
                     augmentation=dict(views, value_range=(0.0, 10000.0)), **extra))


def run_tool(*args, check=True, timeout=600, **env):
    """Run ``python tools/...`` (or a shell tool) as a user would, from the root of the checkout."""
    command = [str(a) for a in args]
    if command[0].endswith('.py'):
        command = [sys.executable, *command]
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore',
                       **{k: str(v) for k, v in env.items()})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f'{" ".join(command)} exited {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}')
    return done

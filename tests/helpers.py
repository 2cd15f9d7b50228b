"""Small data and models that several tests build."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
import torch
from forked import run_program
from PIL import Image
from rasterio.transform import from_origin

from decur.binding import bind
from decur.engine import load_config
from decur.weights import load_file

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


def run_tool(*args, check=True, timeout=880, fresh=False, **env):
    """Run a tool of the checkout from its root, as a user would: ``python tools/...`` or a shell tool.

    Python is not started anew for a file of Python, which is run in a fork of a process that has imported the package, unless ``fresh``.
    """
    command = [str(a) for a in args]
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore',
                       **{k: str(v) for k, v in env.items()})
    if command[0].endswith('.py') and not fresh:
        done = run_program(command, ROOT, environment, timeout)
    else:
        command = [sys.executable, *command] if command[0].endswith('.py') else command
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f'{" ".join(command)} exited {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}')
    return done


def run_code(code, timeout=120):
    """Run code as ``python -c`` from the root of the checkout, in a fork as :func:`run_tool` does."""
    return run_program(code, ROOT, dict(os.environ, OMP_NUM_THREADS='1'), timeout)


def counted_figures(predictions, label_of, classes):
    """mIoU and accuracy in percent: pixels of predicted label maps (a folder of PNGs) counted against ``label_of(stem)``, without 255."""
    common, either, pixels = np.zeros(classes), np.zeros(classes), 0
    paths = sorted(Path(predictions).rglob('*.png'))
    assert paths, f'no predictions below {predictions}'
    for path in paths:
        predicted, label = np.asarray(Image.open(path)), label_of(path.stem)
        assert predicted.shape == label.shape
        valid = label != 255
        pixels += valid.sum()
        for c in range(classes):
            common[c] += np.sum(valid & (predicted == c) & (label == c))
            either[c] += np.sum(valid & ((predicted == c) | (label == c)))
    return dict(mIoU=100 * np.mean(common[either > 0] / either[either > 0]), aAcc=100 * common.sum() / pixels)


def without_void(path):
    """A label PNG whose 0 is void: classes from 0, void 255."""
    return np.asarray(Image.open(path)).astype(np.uint8) - np.uint8(1)


def assert_started_from(checkpoint, pretraining, frozen):
    """The encoders of a transfer's checkpoint came from a pretraining: exactly where they were frozen, else nearly.

    Two runs of different seeds are about as far apart as their weights are long (a distance of 1.4 of that length); a few steps of training
    move them by a small part of it.
    """
    own, before = load_file(checkpoint), load_file(pretraining)['state_dict']
    streams = {key: value for key, value in own['state_dict'].items() if key.startswith('backbone.streams.') and '.encoder.' in key}
    assert streams
    started = own['meta']['decur']['started_from']
    assert {name: start['file'] for name, start in started.items()} == dict.fromkeys(own['meta']['decur']['modalities'], str(pretraining))
    assert {start['objective'] for start in started.values()} == {'DeCURHead'}
    for key, value in streams.items():
        if frozen:
            assert torch.equal(value, before[key]), key
        elif key.endswith('weight') and value.ndim == 4:
            assert not torch.equal(value, before[key]), f'{key} was not trained'
            assert (value - before[key]).norm() < 0.5 * before[key].norm(), key


def assert_started_at_random(checkpoint, pretraining):
    """The encoders of a checkpoint are not those of the pretraining."""
    own, before = load_file(checkpoint), load_file(pretraining)['state_dict']
    assert own['meta']['decur']['started_from'] == {}
    for key, value in own['state_dict'].items():
        if key.startswith('backbone.streams.') and value.ndim == 4:
            assert (value - before[key]).norm() > before[key].norm(), key

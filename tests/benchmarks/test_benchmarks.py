"""The benchmarks' command lines at small sizes: that they run, count and compare."""
import importlib.util
import json

import numpy as np
import pytest
import rasterio
from helpers import ROOT, run_tool
from rasterio.warp import Resampling, reproject

from decur.apis import LoadedEncoder
from decur.engine import load_config
from decur.sensors import S2C_BANDS
from decur.weights import save_file
from decur.weights.convert import build_model


@pytest.mark.slow
def test_loss(tmp_path):
    done = run_tool('benchmarks/loss.py', '--shapes', '32x2048', '--worlds', 2, '--traffic-shape', '16x1024', '--repeats', 2,
                    '--out', tmp_path / 'loss.png')
    record = json.loads((tmp_path / 'loss.json').read_text())
    row, traffic = record['forms'][0], record['traffic'][0]
    assert all(row[form]['seconds'] > 0 for form in ('gram', 'matrix', 'published'))
    # Three matrices of 2048 x 2048 floats and what autograd keeps of them, against a few of 32 x 2048.
    assert row['gram']['bytes'] < row['published']['bytes']
    # Four views of 16 x 1024 floats from the other process, and a few numbers about them.
    assert 0 <= traffic['ours'] - 4 * 16 * 1024 * 4 < 1000 and traffic['matrices'] == 3 * 4 * 1024**2
    assert (tmp_path / 'loss.png').stat().st_size > 1000 and 'W = 2' in done.stdout


@pytest.mark.slow
def test_pretraining(tmp_path):
    run_tool('benchmarks/pretraining.py', 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py',
             '--size', 48, '--batch-size', 8, '--steps', 2,
             '--out', tmp_path / 'steps.json')
    record = json.loads((tmp_path / 'steps.json').read_text())['records'][0]
    parts = record['parts']
    assert list(parts) == ['preprocessor', 'encoders', 'projectors', 'objective', 'optimizer', 'rest']
    assert all(value > 0 for value in parts.values()) and record['seconds'] > 0
    outside = parts['preprocessor'] + parts['objective'] + parts['rest']
    assert record['outside'] == pytest.approx(outside / sum(parts.values()))


@pytest.mark.slow
def test_loader(sample_data, tmp_path):
    pytest.importorskip('lmdb')
    done = run_tool('benchmarks/loader.py', sample_data / 'ssl4eo_s12_v1', '--start', '--patches', 5000, '--samples', 16, '--batch-size', 2,
                    '--rounds', 1, '--out', tmp_path / 'loader.json')
    record = json.loads((tmp_path / 'loader.json').read_text())
    assert record['loader']['1']['efficiency'] == 1 and record['loader']['2']['samples_per_second'] > 0 and '(50 samples)' in done.stdout
    rates = {workers: row['samples_per_second'] for workers, row in record['loader'].items()}
    assert record['loader']['2']['efficiency'] == pytest.approx(rates['2'] / (2 * rates['1']))


@pytest.mark.slow
def test_shards(tmp_path):
    pytest.importorskip('zarr')
    run_tool('benchmarks/shards.py', '--samples', 8, '--size', 24, '--batch-size', 2, '--rounds', 1, '--shards', 3, '--per-shard', 2,
             '--folder', tmp_path, '--out', tmp_path / 'shards.json')
    record = json.loads((tmp_path / 'shards.json').read_text())
    assert {'all dates', 'two views'} <= set(record['rates'])
    assert all(value > 0 for rates in record['rates'].values() for value in rates.values())
    assert record['memory']['two views']['private'] > 0 and record['first_batch']['index']['wall'] > 0


@pytest.mark.slow
def test_gradient_caching():
    done = run_tool('benchmarks/gradient_caching.py', 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', '--batch-size', 16,
                    '--micro-batch', 4, '--size', 32, '--width', 32, '--only', 'cached')
    record = json.loads(done.stdout.splitlines()[-1])
    assert record['seconds'] > 0 and record['bytes'] > 1 << 20


@pytest.mark.slow
def test_device_views(tmp_path):
    run_tool('benchmarks/device_views.py', '--batch-size', 4, '--channels', 3, '--size', 32, '--view-size', 24, '--rounds', 1,
             '--out', tmp_path / 'views.json')
    record = json.loads((tmp_path / 'views.json').read_text())
    assert {'in a worker', 'preprocessor on a CPU', 'tensor operations on a CPU'} <= set(record) and all(v > 0 for v in record.values())


@pytest.mark.slow
def test_bands(sample_data, tmp_path):
    encoder = LoadedEncoder(dict(optical=dict(
        channels=13, bands=S2C_BANDS, mean=[1500.], std=[1000.], encoder=dict(type='SmallResNet', stem_channels=8, base_channels=8))))
    folder = encoder.save_pretrained(tmp_path / 'encoder', licence='mit')
    done = run_tool('benchmarks/bands.py', folder, '--data', sample_data / 'sites_s1_s2_dem', '--plot', tmp_path / 'bands.svg')
    assert (tmp_path / 'bands.svg').stat().st_size > 1000
    lines = [line for line in done.stdout.splitlines() if line.startswith('| 1') or '(B4' in line]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    assert len(rows) == 12 and '30 windows of 5 sites' in done.stdout
    assert all(0 < float(row[2]) <= 1 and (row[4] == '') == (row[1] != '`estimate`') for row in rows)
    assert float(rows[0][3]) < float(rows[9][3])  # one band less, ten bands less


def test_scene(tmp_path, monkeypatch):
    """A scene of a few hundred pixels, made and mapped as the large one; what is measured is what the files say."""
    spec = importlib.util.spec_from_file_location('scene_benchmark', ROOT / 'benchmarks' / 'scene.py')
    scene = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scene)
    monkeypatch.setattr(scene, 'BLOCK', 120)
    scene.make(tmp_path, 5, 200)
    assert (tmp_path / 'train.txt').read_text().split() == ['0000', '0001', '0002', '0003'] and (tmp_path / 'label' / '0004.png').is_file()
    with rasterio.open(tmp_path / 'scene_s2.tif') as s2, rasterio.open(tmp_path / 'scene_s1.tif') as s1, \
            rasterio.open(tmp_path / 'scene_label.tif') as truth:
        gone, label = s2.read_masks(1) == 0, truth.read(1)
        assert gone[0, :50].all() and not gone[0, 50:].any() and not gone[50:].any()  # the corner beyond the swath
        # The radar lies where the classes are: they explain more of it than after a shift of a few pixels.
        radar = np.zeros(label.shape, np.float32)
        reproject(s1.read(1), radar, src_transform=s1.transform, src_crs=s1.crs, dst_transform=truth.transform, dst_crs=truth.crs,
                  resampling=Resampling.bilinear)
        assert s2.descriptions == scene.BANDS

    def explained(rows, columns):
        there, values = label[20:180, 20:180], radar[20 + rows:180 + rows, 20 + columns:180 + columns]
        names, index = np.unique(there, return_inverse=True)
        return np.var(np.array([values[there == name].mean() for name in names])[index])

    assert all(explained(0, 0) > explained(*shift) for shift in ((-4, 0), (4, 0), (0, -4), (0, 4)))
    config = load_config(str(ROOT / 'benchmarks' / 'scene_model.py'))
    save_file(dict(state_dict=build_model(config).state_dict()), tmp_path / 'model.pth')
    record = scene.measure('benchmarks/scene_model.py', str(tmp_path / 'model.pth'), tmp_path, ['--window', '128'])
    with rasterio.open(tmp_path / 'map.tif') as raster:
        found = raster.read(1)
    gone[-1] = True  # the radar begins 7 m further north, and ends there
    assert ((found == 255) == gone).all() and record['shape'] == (200, 200)
    assert record['accuracy'] == pytest.approx((found == label)[~gone].mean()) and 0 < record['cpu'] and 0 < record['seconds']
    assert 50 * 2**20 < record['peak'] < 2 * 2**30

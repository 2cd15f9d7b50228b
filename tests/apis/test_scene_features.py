"""Embeddings of whole scenes: the vectors of the windows, where they say they lie."""
import json
import struct

import numpy as np
import pytest
import rasterio
import torch
from helpers import run_tool
from mmengine.registry import MODELS
from scene_files import MODALITIES, NORTH, WEST, pair, write_scene

import decur
from decur.apis.scene_features import extract_scene_features
from decur.errors import ConfigError, DataError
from decur.scenes import open_scene
from decur.weights import save_file
from decur.weights.metadata import describe


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('scene_features') / 'decur.pth'
    torch.manual_seed(0)
    backbone = dict(type='MultimodalBackbone', modalities=MODALITIES)
    state = {f'backbone.{key}': value for key, value in MODELS.build(backbone).state_dict().items()}
    save_file(dict(meta=dict(decur=describe(dict(type='MultimodalPretraining', backbone=backbone))), state_dict=state), path)
    return str(path)


@pytest.fixture(scope='module')
def encoder(weights):
    return decur.load(weights)


def test_features_of_a_pair(encoder, tmp_path):
    sources = pair(tmp_path)
    found = extract_scene_features(encoder, sources, tmp_path / 'out', window=32, stride=16, min_valid=.9)
    assert found['grid'] == (5, 9) and found['uncovered'] == (0, 0)
    scene = open_scene(sources, encoder.modalities)
    missing = 0
    for name in ('sar', 'dem'):
        with rasterio.open(tmp_path / 'out' / f'{name}.tif') as raster:
            values, transform = raster.read(), raster.transform
            assert raster.crs == 'EPSG:32633' and raster.count == encoder.feature_dims[name]
        for row in range(5):
            for column in range(9):
                window = (16 * row, 16 * column, 32, 32)
                # The pixel's centre is that of the window.
                assert transform * (column + .5, row + .5) == (WEST + 10 * (16 * column + 16), NORTH - 10 * (16 * row + 16))
                gone = np.logical_or(*scene.load(window)[1].values()).mean()
                if 1 - gone < .9:
                    assert np.isnan(values[:, row, column]).all()
                    missing += 1
                    continue
                image = scene.read(window)[name]
                expected = encoder.extract_feat({name: encoder.transforms[name](image)[None]})[name][0].detach().numpy()
                assert np.allclose(values[:, row, column], expected, rtol=1e-4, atol=1e-5)
    assert missing and found['vectors'] == 45 - missing // 2


def test_geoparquet(encoder, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet')
    found = extract_scene_features(encoder, pair(tmp_path), tmp_path / 'out', window=40, geoparquet=True, min_valid=.9)
    table = parquet.read_table(tmp_path / 'out' / 'features.parquet')
    geo = json.loads(table.schema.metadata[b'geo'])
    assert geo['primary_column'] == 'geometry' and geo['columns']['geometry']['encoding'] == 'WKB'
    assert geo['columns']['geometry']['crs']['id'] == dict(authority='EPSG', code=32633)
    assert table.num_rows == found['vectors'] and found['grid'] == (2, 4) and found['uncovered'] == (16, 0)
    with rasterio.open(tmp_path / 'out' / 'sar.tif') as raster:
        for one in table.to_pylist():
            assert np.allclose([v[0] for v in raster.sample([(one['x'], one['y'])])][0], one['sar'][0])
            assert next(raster.sample([(one['x'], one['y'])])) == pytest.approx(one['sar'])
            order, kind, rings, points, *numbers = struct.unpack('<BIII10d', one['geometry'])
            assert (order, kind, rings, points) == (1, 3, 1, 5) and numbers[:2] == numbers[-2:]
            assert (min(numbers[::2]), max(numbers[1::2])) == (WEST + 10 * one['column'], NORTH - 10 * one['row'])
            assert max(numbers[::2]) - min(numbers[::2]) == 400


def test_it_goes_on(encoder, tmp_path, monkeypatch):
    sources = pair(tmp_path)
    extract_scene_features(encoder, sources, tmp_path / 'whole', window=32)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_scene_features(encoder, sources, tmp_path / 'out', window=32, progress=stop)
    with pytest.raises(DataError, match='another run'):
        extract_scene_features(encoder, sources, tmp_path / 'out', window=48)
    rows = []
    extract_scene_features(encoder, sources, tmp_path / 'out', window=32, progress=lambda done, total: rows.append(done))
    assert rows == [5, 10, 15]
    for name in ('sar.tif', 'dem.tif'):
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


def test_the_command(weights, tmp_path):
    sources = pair(tmp_path)
    done = run_tool('tools/analysis/extract_features.py', weights, f'sar={sources["sar"]}', tmp_path / 'out', '--window', 48,
                    '--size', 0, 0)
    assert '2 x 3 windows' in done.stdout and 'the last 0 rows and 16 columns' in done.stdout
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['sar.tif']
    dem = write_scene(tmp_path / 'coarse.tif', np.full((48, 80), 300, np.float32), 20.)
    for arguments, words in (
            ([f'sar={sources["sar"]}', tmp_path / 'b', '--window', '100'], '96x160 pixels, less than a window of 100: give --window 96'),
            ([f'sar={sources["sar"]}', f'dem={dem}', tmp_path / 'b'], '--resample'),
            ([f'sar={sources["sar"]}', tmp_path / 'b.tif'], 'to a folder'),
            ([f'sar={sources["sar"]}', tmp_path / 'b', '--min-valid', '0'], 'min_valid'),
            ([f'sar={sources["sar"]}', tmp_path / 'b', '--modalities', 'dem'], 'dem'),
            (['config.py', tmp_path / 'b', '--window', '100'], '--window is for scenes')):
        done = run_tool('tools/analysis/extract_features.py', weights, *arguments, check=False)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith('error: ') and words in lines[0], done.stderr
    assert not (tmp_path / 'b').exists()


def test_modalities_that_have_no_scene(encoder, tmp_path):
    with pytest.raises(ConfigError, match=r"no scene of \['dem'\].*--modalities sar"):
        extract_scene_features(encoder, dict(sar=pair(tmp_path)['sar']), tmp_path / 'out', window=32)

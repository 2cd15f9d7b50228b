"""Generated files are read by the data sets as an independent reading with rasterio; stopped runs go on; nothing is half-written."""
import json
import warnings

import cv2
import numpy as np
import pytest
import rasterio
from helpers import run_tool

from decur.datasets import BigEarthNetDataset, GeoNRWDataset, SSL4EODataset
from decur.datasets.bigearthnet import CLASSES_19, TO_19
from decur.datasets.ssl4eo import scene_time
from decur.errors import ConfigError
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS, SSL4EO_BANDS
from decur_worlds import landcover_layouts
from decur_worlds.landcover_layouts import write_landcover

LOAD = [dict(type='LoadModalities')]
S1S2 = dict(
    sar=dict(channels=2, files=dict(sensor='s1'), reader=dict(type='BandReader', bands=S1_BANDS, size=48)),
    optical=dict(channels=12, files=dict(sensor='s2'), reader=dict(type='BandReader', bands=BIGEARTHNET_BANDS['s2'], size=48)))


def plain(path):
    with warnings.catch_warnings(), rasterio.open(path) as file:
        warnings.simplefilter('ignore')
        return file.read()


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def same_bands(image, folder, names, pattern='{}.tif'):
    for i, name in enumerate(names):
        raw = plain(folder / pattern.format(name))[0]
        assert np.array_equal(image[..., i], cv2.resize(raw, image.shape[1::-1]) if raw.shape != image.shape[:2] else raw), name


def test_ssl4eo(tmp_path):
    write_landcover('ssl4eo', tmp_path / 'a', 2, size=48, seed=1)
    entries = {p: dict(channels=len(b), files=dict(product=p), reader=dict(type='BandReader', bands=b, size=48))
               for p, b in SSL4EO_BANDS.items()}
    dataset = SSL4EODataset(entries, str(tmp_path / 'a'), pipeline=[dict(type='DrawSeasons', mode='first', num_views=1), *LOAD])
    assert len(dataset) == 2
    for sample in dataset:
        assert all(len(scenes) == 4 for scenes in sample['seasons'].values())
        for product, bands in SSL4EO_BANDS.items():
            folder = min((tmp_path / 'a' / product / sample['sample_id']).iterdir(), key=lambda p: scene_time(p.name))
            assert json.loads((folder / 'metadata.json').read_text())['system:index'] == folder.name
            same_bands(sample['images'][product], folder, bands)
    # A run that was stopped goes on and ends with the same files.
    write_landcover('ssl4eo', tmp_path / 'b', 1, size=48, seed=1)
    victim = next((tmp_path / 'b' / 's2c').rglob('B8A.tif'))
    whole = victim.read_bytes()
    victim.unlink()
    (victim.parent / '.B8A.tif.4194305.tmp').write_bytes(whole[:100])
    write_landcover('ssl4eo', tmp_path / 'b', 2, size=48, seed=1)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


@pytest.mark.parametrize('layout', ['bigearthnet', 'bigearthnet-v2'])
def test_bigearthnet(tmp_path, layout):
    if layout == 'bigearthnet-v2':
        pytest.importorskip('pyarrow')
    write_landcover(layout, tmp_path, 30, num_test=3, num_validation=2, size=48, seed=2)
    v2 = layout == 'bigearthnet-v2'
    train = BigEarthNetDataset(S1S2, str(tmp_path), split='train' if v2 else 'train.csv', pipeline=LOAD)
    whole = BigEarthNetDataset(S1S2, str(tmp_path), pipeline=[])
    if v2:
        import pandas
        spoilt = pandas.read_parquet(tmp_path / 'metadata_for_patches_with_snow_cloud_or_shadow.parquet')
        kept = pandas.read_parquet(tmp_path / 'metadata.parquet')
        assert len(whole) + len(whole.skipped) == len(kept) == 35 - len(spoilt)
        assert not (kept.contains_seasonal_snow | kept.contains_cloud_or_shadow).any()
    else:
        assert len(whole) + len(whole.skipped) == 35 and len(train) + len(train.skipped) == 30
    for sample in (train[i] for i in range(3)):
        name = sample['sample_id']
        s2 = next(tmp_path.glob(f'BigEarthNet-*2/*/{name}' if v2 else f'BigEarthNet-v1.0/{name}'))
        same_bands(sample['images']['optical'], s2, BIGEARTHNET_BANDS['s2'], f'{name}_{{}}.tif')
        if v2:
            row = kept[kept.patch_id == name].iloc[0]
            s1, labels = next(tmp_path.glob(f'BigEarthNet-S1/*/{row.s1_name}')), set(row.labels)
            assert plain(next(tmp_path.glob(f'Reference_Maps/*/{name}/*.tif'))).dtype == np.uint16
        else:
            labels = {TO_19[x] for x in json.loads((s2 / f'{name}_labels_metadata.json').read_text())['labels']} - {None}
            pair = dict(line.split(',') for line in (tmp_path / 'train.csv').read_text().split())
            s1 = tmp_path / 'BigEarthNet-S1-v1.0' / pair[name]
            assert json.loads((s1 / f'{s1.name}_labels_metadata.json').read_text())['corresponding_s2_patch'] == name
        same_bands(sample['images']['sar'], s1, S1_BANDS, f'{s1.name}_{{}}.tif')
        assert {c for c, y in zip(CLASSES_19, sample['gt_label']) if y} == labels


def test_geonrw(tmp_path, monkeypatch):
    write_landcover('geonrw', tmp_path, 2, num_test=1, size=64, seed=3)
    entries = dict(rgb=dict(channels=3, files=dict(raster='rgb')), dem=dict(channels=1, files=dict(raster='dem')))
    for split, count in (('train', 2), ('test', 1)):
        dataset = GeoNRWDataset(entries, str(tmp_path), split=split, tile=None, background=True,
                                pipeline=[*LOAD, dict(type='LoadLabelMap')])
        assert len(dataset) == count
        for sample in dataset:
            stem = tmp_path / sample['sample_id']
            for name, ending in (('rgb', 'rgb.jp2'), ('dem', 'dem.tif')):
                assert np.array_equal(sample['images'][name], plain(f'{stem}_{ending}').transpose(1, 2, 0))
            assert np.array_equal(sample['gt_seg_map'], plain(f'{stem}_seg.tif')[0])
    # JPEG 2000 is written without loss.
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    (tmp_path / 'x.jp2').write_bytes(landcover_layouts.jp2(image))
    assert np.array_equal(plain(tmp_path / 'x.jp2').transpose(1, 2, 0), image)


def test_command_and_bad_input(tmp_path):
    done = run_tool('tools/generate_dataset.py', 'landcover', tmp_path / 'x', '--layout', 'geonrw', '--num-train', 2, '--size', 48)
    assert 'ETA' in done.stdout and len(list((tmp_path / 'x').glob('*/*'))) == 6
    bad = run_tool('tools/generate_dataset.py', 'landcover', tmp_path / 'x', '--layout', 'geonrw', '--num-train', 2, '--seed', 9,
                   check=False)
    assert bad.returncode and 'other settings' in bad.stderr and 'Traceback' not in bad.stderr
    for arguments, message in ((('sentinel', 'y', 1), 'layout'), (('ssl4eo', 'y', 1, 1), 'splits'), (('geonrw', 'y', 0), 'splits'),
                               (('bigearthnet', 'y', 1, 0, 0, 50), 'multiple of 6')):
        with pytest.raises(ConfigError, match=message):
            write_landcover(arguments[0], tmp_path / arguments[1], *arguments[2:])
    assert not (tmp_path / 'y').exists()

"""SSL4EO-S12, BigEarthNet and GeoNRW against an independent reading of the same files."""
import json
import shutil

import cv2
import numpy as np
import pytest
import rasterio
from helpers import bound_config, write_tif
from PIL import Image

from decur.datasets import BigEarthNetDataset, GeoNRWDataset, SSL4EODataset
from decur.datasets.bigearthnet import CLASSES_19, CLASSES_43, TO_19, to_classes
from decur.datasets.ssl4eo import scene_time
from decur.errors import ConfigError, DataError
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS, SSL4EO_BANDS

LOAD = [dict(type='LoadModalities')]


def band(path):
    with rasterio.open(path) as file:
        return file.read(1)


def ssl4eo_entries(radiometry=()):
    return {
        name: dict(channels=len(SSL4EO_BANDS[product]), files=dict(product=product), radiometry=list(radiometry),
                   reader=dict(type='BandReader', bands=SSL4EO_BANDS[product], size=264), augmentation=dict(size=32))
        for name, product in (('sar', 's1'), ('optical', 's2c'))
    }


def bigearthnet_entries():
    return dict(
        sar=dict(channels=2, files=dict(sensor='s1'), reader=dict(type='BandReader', bands=S1_BANDS, size=120)),
        optical=dict(channels=12, files=dict(sensor='s2'), reader=dict(type='BandReader', bands=BIGEARTHNET_BANDS['s2'], size=120)))


@pytest.fixture
def ssl4eo(sample_data):
    return sample_data / 'ssl4eo_s12_v1'


def test_ssl4eo_reads_what_is_in_the_files(ssl4eo):
    dataset = SSL4EODataset(ssl4eo_entries(), str(ssl4eo), pipeline=[dict(type='DrawSeasons', mode='first', num_views=1), *LOAD])
    assert len(dataset) == 1
    sample = dataset[0]
    for name, product in (('sar', 's1'), ('optical', 's2c')):
        scene = min((ssl4eo / product / '0000200').iterdir(), key=lambda path: scene_time(path.name))
        image = sample['images'][name]
        for i, b in enumerate(SSL4EO_BANDS[product]):
            raw = band(scene / f'{b}.tif')
            expected = raw if raw.shape == (264, 264) else cv2.resize(raw, (264, 264), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(image[..., i], expected)
    assert sample['images']['optical'][..., 10].mean() < 100


def test_ssl4eo_seasons_are_by_date_and_drawn_as_asked(ssl4eo):
    draws = {}
    for mode in ('independent', 'paired', 'same'):
        dataset = SSL4EODataset(ssl4eo_entries(), str(ssl4eo), pipeline=[dict(type='DrawSeasons', mode=mode)])
        dataset.seed = 0
        draws[mode] = set()
        for epoch in range(60):
            info = dataset[epoch]
            index = {name: tuple(info['seasons'][name].index(s) for s in info['sources'][name]) for name in info['sources']}
            draws[mode].add((index['sar'], index['optical']))
        times = [[scene_time(s['folder'].rsplit('/', 1)[1]) for s in scenes] for scenes in info['seasons'].values()]
        assert all(t == sorted(t) and len(t) == 2 for t in times)
    assert len(draws['independent']) == 16
    assert len(draws['paired']) == 4 and all(sar == optical for sar, optical in draws['paired'])
    assert draws['same'] == {((0, 0), (0, 0)), ((1, 1), (1, 1))}


def test_ssl4eo_makes_views_of_drawn_seasons(ssl4eo):
    entries = ssl4eo_entries()
    entries['sar']['radiometry'] = [dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_s1')]
    entries['optical']['radiometry'] = [dict(type='ToEightBit', statistics='ssl4eo_s2c')]
    pipeline = [dict(type='DrawSeasons'), *LOAD, dict(type='MakeViews'), dict(type='PackModalities')]
    sample = SSL4EODataset(entries, str(ssl4eo), pipeline=pipeline)[0]
    for name, channels in (('sar', 2), ('optical', 13)):
        views = sample['inputs'][name]
        assert [tuple(v.shape) for v in views] == [(channels, 32, 32)] * 2 and views[0].float().std() > 1


def test_ssl4eo_bad_folders(ssl4eo, tmp_path):
    with pytest.raises(DataError, match='not a folder'):
        SSL4EODataset(ssl4eo_entries(), str(tmp_path / 'none'), pipeline=[])
    with pytest.raises(ConfigError, match='product'):
        SSL4EODataset(dict(sar=dict(channels=2, files=dict(folder='s1'))), str(ssl4eo), pipeline=[])
    shutil.copytree(ssl4eo, tmp_path / 'data')
    shutil.copytree(tmp_path / 'data' / 's2c' / '0000200', tmp_path / 'data' / 's2c' / '0000300')
    with pytest.raises(DataError, match="'0000300' has no scene of"):
        SSL4EODataset(ssl4eo_entries(), str(tmp_path / 'data'), pipeline=[])
    dataset = SSL4EODataset(ssl4eo_entries(), str(tmp_path / 'data'), pipeline=[], missing='skip')
    assert len(dataset) == 1 and dataset.skipped == {'0000300': 'no s1'}
    scene = next((tmp_path / 'data' / 's1' / '0000200').iterdir())
    data = (scene / 'VH.tif').read_bytes()
    (scene / 'VH.tif').write_bytes(data[:len(data) // 3])
    pipeline = [dict(type='DrawSeasons', num_views=1), *LOAD]
    dataset = SSL4EODataset(ssl4eo_entries(), str(tmp_path / 'data'), pipeline=pipeline, missing='skip')
    with pytest.raises(DataError, match='VH.tif'):
        for epoch in range(20):
            dataset[epoch]
    (tmp_path / 'data' / 's1' / '0000200' / 'notes').mkdir()
    with pytest.raises(DataError, match="s1/0000200: 'notes' is no scene"):
        SSL4EODataset(ssl4eo_entries(), str(tmp_path / 'data'), pipeline=[])


def test_bigearthnet_v1_pairs_labels_and_index(sample_data, tmp_path):
    root = sample_data / 'bigearthnet_v1'
    index = tmp_path / 'index.json'
    dataset = BigEarthNetDataset(bigearthnet_entries(), str(root), index_file=str(index), pipeline=LOAD)
    assert len(dataset) + len(dataset.skipped) == 6 and len(dataset) >= 5
    for sample in dataset:
        s2 = root / 'BigEarthNet-v1.0' / sample['sample_id']
        metadata = json.loads((s2 / f'{s2.name}_labels_metadata.json').read_text())
        named = {TO_19[label] for label in metadata['labels']} - {None}
        assert {c for c, y in zip(CLASSES_19, sample['gt_label']) if y} == named
        assert np.array_equal(sample['images']['optical'][..., 1], band(s2 / f'{s2.name}_B02.tif'))
        small = band(s2 / f'{s2.name}_B01.tif')
        assert np.array_equal(sample['images']['optical'][..., 0], cv2.resize(small, (120, 120), interpolation=cv2.INTER_LINEAR))
        s1 = next(p for p in (root / 'BigEarthNet-S1-v1.0').iterdir()
                  if json.loads((p / f'{p.name}_labels_metadata.json').read_text())['corresponding_s2_patch'] == s2.name)
        assert np.array_equal(sample['images']['sar'][..., 1], band(s1 / f'{s1.name}_VH.tif'))
    before = index.stat().st_mtime_ns
    again = BigEarthNetDataset(bigearthnet_entries(), str(root), index_file=str(index), num_classes=43, pipeline=LOAD)
    assert index.stat().st_mtime_ns == before and len(again) == 6 and len(again.metainfo['classes']) == 43
    index.write_text('{"format": 1, "patch')
    assert len(BigEarthNetDataset(bigearthnet_entries(), str(root), index_file=str(index), pipeline=LOAD)) == len(dataset)


def test_bigearthnet_splits_exclusions_and_missing_partners(sample_data, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(sample_data / 'bigearthnet_v1', root)
    names = sorted(path.name for path in (root / 'BigEarthNet-v1.0').iterdir())
    (root / 'train.csv').write_text('\n'.join(f'{name},x' for name in names[:4]))
    (root / 'snow.csv').write_text(names[0] + '\n')
    make = dict(modalities=bigearthnet_entries(), data_root=str(root), num_classes=43, pipeline=[])
    assert [s['sample_id'] for s in BigEarthNetDataset(split='train.csv', exclude=['snow.csv'], **make)] == names[1:4]
    (root / 'train.csv').write_text('nobody\n')
    with pytest.raises(DataError, match='nobody'):
        BigEarthNetDataset(split='train.csv', **make)
    shutil.rmtree(next((root / 'BigEarthNet-S1-v1.0').iterdir()))
    (root / 'decur_index_v1.safetensors').unlink()
    with pytest.raises(DataError, match='no S1 patch'):
        BigEarthNetDataset(**make)
    assert len(BigEarthNetDataset(missing='skip', **make)) == 5
    kept = BigEarthNetDataset(missing='keep', **make)
    assert sum(s['sources']['sar'] is None for s in kept) == 1
    with pytest.raises(DataError, match='holds neither'):
        BigEarthNetDataset(bigearthnet_entries(), str(tmp_path / 'x'), pipeline=[])


def test_bigearthnet_v2_layout(sample_data, tmp_path):
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('pyarrow')
    root = tmp_path / 'v2'
    shutil.copytree(sample_data / 'bigearthnet_v2', root)
    s2 = next((root / 'BigEarthNet-S2').glob('*/*')).name
    s1 = next((root / 'BigEarthNet-S1').glob('*/*')).name
    pandas.DataFrame([
        dict(patch_id=s2, labels=['Arable land', 'Pastures'], split='test', country='Austria', s1_name=s1),
        dict(patch_id='other_1_1', labels=['Pastures'], split='train', country='Austria', s1_name='other_s1'),
    ]).to_parquet(root / 'metadata.parquet')
    sample = BigEarthNetDataset(bigearthnet_entries(), str(root), split='test', pipeline=LOAD)[0]
    assert sample['sample_id'] == s2 and sum(sample['gt_label']) == 2
    assert np.array_equal(sample['images']['optical'][..., 3], band(next(root.glob(f'BigEarthNet-S2/*/{s2}/{s2}_B04.tif'))))
    assert np.array_equal(sample['images']['sar'][..., 0], band(next(root.glob(f'BigEarthNet-S1/*/{s1}/{s1}_VV.tif'))))
    (root / 'metadata.parquet').unlink()
    (root / 'decur_index_v2.safetensors').unlink()
    with pytest.raises(DataError, match='metadata.parquet'):
        BigEarthNetDataset(bigearthnet_entries(), str(root), split='test', pipeline=LOAD)


def test_labels_of_v1_become_the_19():
    dropped = [label for label, target in TO_19.items() if target is None]
    assert len(CLASSES_43) == 43 and len(CLASSES_19) == 19 and len(dropped) == 11
    assert set(TO_19.values()) - {None} == set(CLASSES_19)
    # The metadata of v2 spell it as the 43 do, other than transitional woodland.
    assert 'Beaches, dunes, sands' in CLASSES_19 and {TO_19[label] for label in CLASSES_19 if label in TO_19} < set(CLASSES_19)
    for spelling in ('Transitional woodland/shrub', 'Transitional woodland, shrub'):
        assert to_classes([spelling], CLASSES_19)[CLASSES_19.index('Transitional woodland, shrub')] == 1
    assert not to_classes(dropped, CLASSES_19).any() and to_classes(dropped, CLASSES_43).sum() == len(dropped)
    with pytest.raises(DataError, match='Moon'):
        to_classes(['Moon'], CLASSES_19)


def write_geonrw(root, tiled):
    """One image of a training and one of a test city in the released layout (GeoTIFF content), or one cut into tiles."""
    rng = np.random.default_rng(0)
    images = {}
    for city, stem, split in (('aachen', '300_5600', 'train'), ('herne', '370_5710', 'test')):
        rgb = rng.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
        dem = rng.normal(100, 20, (1000, 1000)).astype(np.float32)
        seg = rng.integers(0, 11, (1000, 1000), dtype=np.uint8)
        images[split] = rgb, dem, seg
        if not tiled:
            write_tif(root / city / f'{stem}_rgb.jp2', rgb)
            write_tif(root / city / f'{stem}_dem.tif', dem)
            write_tif(root / city / f'{stem}_seg.tif', seg)
            continue
        for k in range(16):
            part = np.s_[k // 4 * 250:k // 4 * 250 + 250, k % 4 * 250:k % 4 * 250 + 250]
            for folder, ending, array in (('img_dir', 'rgb.png', rgb), ('dem_dir', 'dem.tif', dem), ('ann_dir', 'seg.tif', seg)):
                path = root / folder / split / f'{stem}_{k + 1}_{ending}'
                if ending.endswith('png'):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(array[part]).save(path)
                else:
                    write_tif(path, array[part])
    return images


def test_geonrw_windows_are_the_published_tiles(tmp_path):
    entries = dict(rgb=dict(channels=3, files=dict(raster='rgb')), dem=dict(channels=1, files=dict(raster='dem')))
    pipeline = [*LOAD, dict(type='LoadLabelMap')]
    write_geonrw(tmp_path / 'released', tiled=False)
    write_geonrw(tmp_path / 'tiled', tiled=True)
    for split in ('train', 'test'):
        released = GeoNRWDataset(entries, str(tmp_path / 'released'), split=split, pipeline=pipeline)
        tiled = GeoNRWDataset(entries, str(tmp_path / 'tiled'), split=split, pipeline=pipeline)
        assert len(released) == len(tiled) == 16
        tiles = {sample['sample_id']: sample for sample in tiled}
        for sample in released:
            twin = tiles[sample['sample_id'].split('/')[1]]
            for name in ('rgb', 'dem'):
                assert np.array_equal(sample['images'][name], twin['images'][name])
            assert np.array_equal(sample['gt_seg_map'], twin['gt_seg_map'])
    assert set(np.unique(sample['gt_seg_map'])) == {*range(10), 255} and released.num_classes == 10
    background = GeoNRWDataset(entries, str(tmp_path / 'tiled'), split='test', background=True, pipeline=pipeline)
    assert background.num_classes == 11 and set(np.unique(background[0]['gt_seg_map'])) == set(range(11))
    (tmp_path / 'tiled' / 'dem_dir' / 'test' / '370_5710_3_dem.tif').unlink()
    with pytest.raises(DataError, match='370_5710_3.*dem'):
        GeoNRWDataset(entries, str(tmp_path / 'tiled'), split='test', pipeline=pipeline)


def test_the_published_configs_read_a_store_as_the_release(tmp_path):
    """Their elevation is one band three times, by number; a store of the same images gives the same."""
    pytest.importorskip('lmdb')
    from decur.prepare.geonrw import prepare
    write_geonrw(tmp_path / 'released', tiled=False)
    with rasterio.open(tmp_path / 'released' / 'aachen' / '300_5600_dem.tif', 'r+') as raster:
        raster.nodata = -5
        raster.write(np.full((1, 3, 3), -5, np.float32), window=rasterio.windows.Window(20, 30, 3, 3))
    prepare(tmp_path / 'released', tmp_path / 'store')
    entries = bound_config('decur/geonrw_rgb-dem_r50_decur.py').train_dataloader.dataset.modalities
    released, stored = ([GeoNRWDataset(entries, str(tmp_path / folder), split='train', pipeline=LOAD)[i] for i in (0, 5)]
                        for folder in ('released', 'store'))
    for a, b in zip(released, stored):
        assert a['images']['dem'].shape == (250, 250, 3) and set(a['masks']) == set(b['masks'])
        assert all(np.array_equal(a['images'][name], b['images'][name]) for name in entries)
        assert all(np.array_equal(a['masks'][name], b['masks'][name]) for name in a['masks'])
    assert released[0]['masks']['dem'].sum() == 27
    for change, words in (dict(bands=[1, 2]), "band 2 was asked"), (dict(bands=['DEM']), "band 'DEM' was"), (dict(scaled=True), 'scaled'):
        reader = dict(type='RasterioReader', **change)
        with pytest.raises(DataError, match=f'store: 300_5600.*/dem has 1 band.*{words}'.replace('300_5600.*/', r'\S*')):
            GeoNRWDataset(dict(dem=dict(channels=2, files=dict(raster='dem'), reader=reader)), str(tmp_path / 'store'), pipeline=LOAD)[0]


def test_geonrw_images_of_another_size(tmp_path):
    entries = dict(rgb=dict(channels=3, files=dict(raster='rgb')), dem=dict(channels=1, files=dict(raster='dem')))
    rng = np.random.default_rng(0)
    for city, sides in (('aachen', (999, 999)), ('bonn', (1000, 1001)), ('essen', (1000, 1000))):
        write_tif(tmp_path / city / '300_5600_rgb.jp2', rng.integers(0, 256, (*sides, 3), dtype=np.uint8))
        write_tif(tmp_path / city / '300_5600_dem.tif', np.ones(sides, np.float32))
        write_tif(tmp_path / city / '300_5600_seg.tif', np.ones(sides, np.uint8))
    make = dict(modalities=entries, data_root=str(tmp_path), pipeline=[*LOAD, dict(type='LoadLabelMap')])
    with pytest.raises(DataError, match='aachen/300_5600: the dem raster has 999x999 pixels.*tile=None'):
        GeoNRWDataset(**make)
    assert [s['images']['rgb'].shape[:2] for s in GeoNRWDataset(tile=None, **make)] == [(999, 999), (1000, 1001), (1000, 1000)]
    pytest.importorskip('lmdb')
    from decur.prepare.geonrw import prepare
    prepare(tmp_path, tmp_path / 'store')
    shutil.rmtree(tmp_path / 'aachen')
    # Only the first image is looked at when the data set is made; every window checks its own.
    (tmp_path / 'bonn').rename(tmp_path / 'zz')
    dataset = GeoNRWDataset(**make)
    assert dataset[0]['images']['rgb'].shape == (250, 250, 3) and len(dataset) == 32
    with pytest.raises(DataError, match='300_5600_rgb.jp2 has 1000x1001 pixels instead of 1000x1000'):
        dataset[16]
    with pytest.raises(DataError, match='has 999x999 pixels.*tile=None'):
        GeoNRWDataset(**{**make, 'data_root': str(tmp_path / 'store')})
    whole = GeoNRWDataset(tile=None, **{**make, 'data_root': str(tmp_path / 'store')})
    assert [s['images']['dem'].shape[:2] for s in whole] == [(999, 999), (1000, 1001), (1000, 1000)]

"""BigEarthNet and GeoNRW in the compact store: the samples of the released files, from folders and from archives."""
import json
import shutil
import tarfile

import numpy as np
import pytest
import rasterio
from helpers import run_tool, write_tif
from rasterio.transform import from_origin

from decur.datasets import BigEarthNetDataset, GeoNRWDataset
from decur.errors import ConfigError, DataError
from decur.prepare import bigearthnet, geonrw
from decur.prepare.store_writer import StoreWriter, verify_store
from decur.readers.store import read_index, read_manifest, record_keys
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS

pytest.importorskip('lmdb')
BEN = dict(
    sar=dict(channels=2, files=dict(sensor='s1'), reader=dict(type='BandReader', bands=S1_BANDS, size=120)),
    optical=dict(channels=12, files=dict(sensor='s2'), reader=dict(type='BandReader', bands=BIGEARTHNET_BANDS['s2'], size=120)))
NRW = dict(rgb=dict(channels=3, files=dict(raster='rgb')), dem=dict(channels=1, files=dict(raster='dem')))
LOAD = [dict(type='LoadModalities')]


def same(a, b):
    assert len(a) == len(b) > 0
    for x, y in zip(a, b):
        assert x['sample_id'] == y['sample_id'] and x.get('gt_label') == y.get('gt_label')
        for name, image in x['images'].items():
            assert image.dtype == y['images'][name].dtype and np.array_equal(image, y['images'][name])
        if 'gt_seg_map' in x:
            assert np.array_equal(x['gt_seg_map'], y['gt_seg_map'])


def pack(path, *folders, **kwargs):
    with tarfile.open(path, **kwargs) as archive:
        for folder in folders:
            archive.add(folder, folder.name)


def split(path, count=3):
    """Cut a file into ``.partaa``, ``.partab``, ..."""
    data = path.read_bytes()
    path.unlink()
    step = -(-len(data) // count)
    for i in range(count):
        path.with_name(f'{path.name}.parta{"abc"[i]}').write_bytes(data[i * step:(i + 1) * step])


@pytest.fixture
def ben(sample_data, tmp_path):
    root = tmp_path / 'ben'
    shutil.copytree(sample_data / 'bigearthnet_v1', root)
    names = sorted(path.name for path in (root / 'BigEarthNet-v1.0').iterdir())
    (root / 'train.csv').write_text('\n'.join(reversed(names[:4])))
    return root


def test_bigearthnet_v1_store_is_the_released_files(ben, tmp_path):
    done = run_tool('tools/prepare_dataset.py', 'bigearthnet', ben, tmp_path / 'store', '--workers', 2)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['records'] == 12 and figures['done'] == 24 and figures['skipped'] == 0  # each patch has its metadata beside it
    for kwargs in (dict(), dict(num_classes=43), dict(split='train.csv')):
        a, b = (BigEarthNetDataset(BEN, str(root), pipeline=LOAD, **kwargs) for root in (ben, tmp_path / 'store'))
        same(sorted(a, key=lambda s: s['sample_id']), sorted(b, key=lambda s: s['sample_id']))
        if kwargs.get('split'):
            assert [s['sample_id'] for s in a] == [s['sample_id'] for s in b]
    patch = (ben / 'BigEarthNet-v1.0') / b[0]['sample_id']
    with rasterio.open(patch / f'{patch.name}_B03.tif') as file:
        assert np.array_equal(b[0]['images']['optical'][..., 2], file.read(1))
    assert 'whole' in run_tool('tools/prepare_dataset.py', 'bigearthnet', ben, tmp_path / 'store', '--verify').stdout


@pytest.mark.parametrize('kind', ['tar.gz', 'parts', 'tar.zst'])
def test_bigearthnet_archives_give_the_same_store(ben, tmp_path, kind):
    bigearthnet.prepare(ben, tmp_path / 'a')
    tars = tmp_path / 'tars'
    tars.mkdir()
    shutil.copy(ben / 'train.csv', tars)
    for folder in ('BigEarthNet-v1.0', 'BigEarthNet-S1-v1.0'):
        path = tars / f'{folder}.{"tar" if kind == "tar.zst" else "tar.gz"}'
        pack(path, ben / folder, **(dict(mode='w') if kind == 'tar.zst' else dict(mode='w:gz', compresslevel=1)))
        if kind == 'parts':
            split(path)
        elif kind == 'tar.zst':
            pyarrow = pytest.importorskip('pyarrow')
            with pyarrow.output_stream(str(path) + '.zst', compression='zstd') as out:
                out.write(path.read_bytes())
            path.unlink()
    estimate = bigearthnet.prepare(tars, tmp_path / 'none', dry_run=True)
    assert estimate['records_about'] == 12 and not (tmp_path / 'none').exists()
    bigearthnet.prepare(tars, tmp_path / 'b', workers=2)
    assert set(record_keys(tmp_path / 'a')) == set(record_keys(tmp_path / 'b')) and not verify_store(tmp_path / 'b')
    same(*(BigEarthNetDataset(BEN, str(tmp_path / s), split='train.csv', num_classes=43, pipeline=LOAD) for s in 'ab'))
    bigearthnet.prepare(tars, tmp_path / 'part', subset=2, seed=1)
    bigearthnet.prepare(ben, tmp_path / 'part2', subset=2, seed=1)
    index = read_index(tmp_path / 'part')
    assert len(index) == 2 and (index['s1'] != b'').all() and (index['s2'] != b'').all()  # pairs are drawn, not patches
    assert set(record_keys(tmp_path / 'part')) == set(record_keys(tmp_path / 'part2'))


def test_bigearthnet_broken_and_unpaired_patches(ben, tmp_path):
    names = sorted(path.name for path in (ben / 'BigEarthNet-v1.0').iterdir())
    shutil.rmtree(ben / 'BigEarthNet-v1.0' / names[0])
    broken = ben / 'BigEarthNet-v1.0' / names[1] / f'{names[1]}_B08.tif'
    whole = broken.read_bytes()
    broken.write_bytes(whole[:2000])
    labels = ben / 'BigEarthNet-v1.0' / names[2] / f'{names[2]}_labels_metadata.json'
    labels.write_text('{"labels": [')
    figures = bigearthnet.prepare(ben, tmp_path / 'store')
    assert set(figures['skipped']) == {f's2/{name}' for name in names[1:3]} and 'B08' in figures['skipped'][f's2/{names[1]}']
    assert read_manifest(tmp_path / 'store')['without_s2'] == 3 and not verify_store(tmp_path / 'store')
    with pytest.raises(DataError, match='has no S2 patch'):
        BigEarthNetDataset(BEN, str(tmp_path / 'store'), num_classes=43, pipeline=LOAD)
    dataset = BigEarthNetDataset(BEN, str(tmp_path / 'store'), num_classes=43, missing='skip', pipeline=LOAD)
    assert len(dataset) == 3 and set(dataset.skipped.values()) == {'no S2'} and len(dataset.skipped) == 3
    broken.write_bytes(whole)
    assert set(bigearthnet.prepare(ben, tmp_path / 'store')['skipped']) == {f's2/{names[2]}'}
    # A subset draws pairs, for which it reads these files of Sentinel-1: one that cannot be read is a patch by itself.
    broken_labels = sorted((ben / 'BigEarthNet-S1-v1.0').glob('*/*.json'))[0]
    broken_labels.write_text('{')
    assert f's1/{broken_labels.parent.name}' in bigearthnet.prepare(ben, tmp_path / 'all', subset=1.)['skipped']
    (ben / 'BigEarthNet-v1.0').rename(tmp_path / 'x')
    shutil.rmtree(ben / 'BigEarthNet-S1-v1.0')
    with pytest.raises(DataError, match='neither folders'):
        bigearthnet.prepare(ben, tmp_path / 'y')


def test_bigearthnet_v2(sample_data, tmp_path):
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('pyarrow')
    root = tmp_path / 'v2'
    shutil.copytree(sample_data / 'bigearthnet_v2', root)
    s2, s1 = (next((root / f'BigEarthNet-{sensor}').glob('*/*')).name for sensor in ('S2', 'S1'))
    pandas.DataFrame([dict(patch_id=s2, labels=['Arable land', 'Pastures'], split='test', country='Austria', s1_name=s1)
                      ]).to_parquet(root / 'metadata.parquet')
    figures = bigearthnet.prepare(root, tmp_path / 'store')
    assert figures['done'] == 2 and read_manifest(tmp_path / 'store')['dataset'] == 'bigearthnet-v2'
    same(*(BigEarthNetDataset(BEN, str(path), split='test', pipeline=LOAD) for path in (root, tmp_path / 'store')))
    with pytest.raises(DataError, match='found no samples'):
        BigEarthNetDataset(BEN, str(tmp_path / 'store'), split='train', pipeline=LOAD)
    tars = tmp_path / 'tars'
    tars.mkdir()
    shutil.copy(root / 'metadata.parquet', tars)
    for sensor in ('S1', 'S2'):
        pack(tars / f'BigEarthNet-{sensor}.tar', root / f'BigEarthNet-{sensor}', mode='w')
    bigearthnet.prepare(tars, tmp_path / 'b')
    same(*(BigEarthNetDataset(BEN, str(tmp_path / s), split='test', pipeline=LOAD) for s in ('store', 'b')))


def write_geonrw(root):
    """Two images, one of a test city; RGB is JPEG 2000 without loss, as released."""
    rng = np.random.default_rng(0)
    for city, stem in (('aachen', '300_5600'), ('herne', '370_5710')):
        coarse = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        rgb = coarse.repeat(50, 0).repeat(50, 1)
        (root / city).mkdir(parents=True)
        with rasterio.open(root / city / f'{stem}_rgb.jp2', 'w', driver='JP2OpenJPEG', width=1000, height=1000, count=3, dtype='uint8',
                           crs='EPSG:32632', transform=from_origin(0, 0, 1, 1), QUALITY='100', REVERSIBLE='YES') as file:
            file.write(rgb.transpose(2, 0, 1))
        write_tif(root / city / f'{stem}_dem.tif', rng.normal(100, 20, (1000, 1000)).astype(np.float32))
        write_tif(root / city / f'{stem}_seg.tif', rng.integers(0, 11, (1000, 1000), dtype=np.uint8))


@pytest.fixture(scope='module')
def nrw(tmp_path_factory):
    root = tmp_path_factory.mktemp('nrw') / 'nrw_dataset'
    write_geonrw(root)
    return root


def test_geonrw_store_is_the_released_files(nrw, tmp_path):
    figures = geonrw.prepare(nrw, tmp_path / 'store', workers=2)
    assert figures['samples'] == 2 and figures['done'] == 2 * 3 * 17 and not verify_store(tmp_path / 'store')
    for tile in (250, 400, None):
        a, b = (GeoNRWDataset(NRW, str(path), split='test', tile=tile, pipeline=[*LOAD, dict(type='LoadLabelMap')])
                for path in (nrw, tmp_path / 'store'))
        same(a, b)
        assert len(a) == {250: 16, 400: 4, None: 1}[tile] and b[0]['sample_id'].startswith('herne/')
    pack(tmp_path / 'nrw_dataset.tar.gz', nrw, mode='w:gz', compresslevel=1)
    split(tmp_path / 'nrw_dataset.tar.gz')
    geonrw.prepare(tmp_path, tmp_path / 'b')
    assert read_manifest(tmp_path / 'b') == read_manifest(tmp_path / 'store') and not verify_store(tmp_path / 'b')


def test_geonrw_damage_and_bad_input(nrw, tmp_path):
    root = tmp_path / 'raw'
    shutil.copytree(nrw, root)
    path = root / 'aachen' / '300_5600_dem.tif'
    whole = path.read_bytes()
    path.write_bytes(whole[:100_000])
    figures = geonrw.prepare(root, tmp_path / 'store')
    assert list(figures['skipped']) == ['aachen/300_5600/dem']
    assert len(GeoNRWDataset(NRW, str(tmp_path / 'store'), split='test', pipeline=LOAD)) == 16  # the other image is not spoilt
    with pytest.raises(DataError, match='found no samples'):
        GeoNRWDataset(NRW, str(tmp_path / 'store'), split='train', pipeline=LOAD)
    path.write_bytes(whole)
    geonrw.prepare(root, tmp_path / 'store')
    key = 'herne/370_5710/rgb/2_1'
    writer = StoreWriter(tmp_path / 'store', 'geonrw')
    writer.put(key, writer.get(key)[:-9] + b'damaged!!')
    writer.commit()
    writer.close()
    assert verify_store(tmp_path / 'store') == [key]
    geonrw.prepare(root, tmp_path / 'store', repair=True)
    assert not verify_store(tmp_path / 'store')
    same(*(GeoNRWDataset(NRW, str(p), split='train', pipeline=LOAD) for p in (root, tmp_path / 'store')))
    (root / 'herne' / '370_5710_seg.tif').unlink()
    assert geonrw.prepare(root, tmp_path / 'c', dry_run=True)['unpaired'] == 1
    with pytest.raises(DataError, match="another data set, 'geonrw'"):
        StoreWriter(tmp_path / 'store', 'bigearthnet-v1')
    with pytest.raises(DataError, match="store of 'geonrw'"):
        BigEarthNetDataset(BEN, str(tmp_path / 'store'), pipeline=LOAD)
    (tmp_path / 'tiles' / 'img_dir').mkdir(parents=True)
    with pytest.raises(ConfigError, match='cut already'):
        geonrw.prepare(tmp_path / 'tiles', tmp_path / 'd')

"""SSL4EO-S12 v1.1: zarr archives as released (ids in another order in each product), and statistics that tell the versions apart."""
import json

import numpy as np
import pytest
from helpers import bound_config, run_tool

from decur.datasets import SSL4EODataset
from decur.errors import ConfigError, DataError
from decur.prepare.inspect import inspect, report
from decur.prepare.ssl4eo import prepare
from decur.prepare.store_writer import verify_store
from decur.readers.store import read_manifest, read_record, record_keys
from decur.sensors import SSL4EO_BANDS, STATISTICS
from decur.transforms import ToEightBit

zarr = pytest.importorskip('zarr')
SIZE = 24
RAW_BANDS = dict(S1GRD=('vv', 'vh'), S2L1C=tuple(b if len(b) == 3 else f'B0{b[1:]}' for b in SSL4EO_BANDS['s2c']))
ENTRIES = {
    name: dict(channels=len(SSL4EO_BANDS[product]), files=dict(product=product),
               reader=dict(type='BandReader', bands=SSL4EO_BANDS[product], size=SIZE), augmentation=dict(size=16))
    for name, product in (('sar', 's1'), ('optical', 's2c'))
}
STEPS = [dict(type='DrawSeasons', mode='first', num_views=1), dict(type='LoadModalities')]


def write_archive(path, ids, product, rng, stamps):
    """One ``.zarr.zip`` of zarr format 2, a chunk per sample and season; returns its values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = RAW_BANDS[product]
    shape = (len(ids), 4, len(names), SIZE, SIZE)
    if product == 'S1GRD':
        values = rng.normal(-15, 4, shape).astype(np.float16)
    else:
        values = (1000 + rng.integers(0, 3000, shape)).astype(np.int16)
        values[:, :, names.index('B10')] = 1000 + rng.integers(0, 40, shape[:2] + shape[3:])
    store = zarr.storage.ZipStore(path, mode='w')
    group = zarr.create_group(store, zarr_format=2)
    array = group.create_array('bands', shape=shape, chunks=(1, 1, *shape[2:]), dtype=values.dtype)
    array[:] = values
    scenes = np.array([[f'S1B_IW_GRDH_1SDV_{t}_{t}_0' if product == 'S1GRD' else f'{t}_{t}_T51TXN' for t in stamps] for _ in ids])
    for name, data in (('band', np.array(names)), ('sample', np.array(ids)), ('file_id', scenes)):
        group.create_array(name, shape=data.shape, dtype=data.dtype)[:] = data
    store.close()
    return dict(zip(ids, values))


@pytest.fixture
def archives(tmp_path):
    """Two archives a product; the seasons of an image are not stored by date."""
    rng = np.random.default_rng(0)
    stamps = ('20200801T000000', '20191101T000000', '20200201T000000', '20200501T000000')
    values = dict(S1GRD={}, S2L1C={})
    ids = ('0080717', '0000003', '0000200', '1000002')
    for product, order in (('S1GRD', (0, 1, 2, 3)), ('S2L1C', (3, 0, 2, 1))):
        for number in range(2):
            part = [ids[i] for i in order[2 * number:2 * number + 2]]
            path = tmp_path / 'train' / product / f'ssl4eos12_train_seasonal_data_{number + 1:06d}.zarr.zip'
            values[product].update(write_archive(path, part, product, rng, stamps))
    return tmp_path, values


def test_archives_are_read_by_id_and_date(archives):
    root, values = archives
    for kwargs in (dict(data_root=str(root / 'train')), dict(data_root=str(root), split='train')):
        dataset = SSL4EODataset(ENTRIES, pipeline=STEPS, **kwargs)
        assert [s['sample_id'] for s in dataset] == sorted(values['S1GRD'])
        for sample in dataset:
            for name, product in (('sar', 'S1GRD'), ('optical', 'S2L1C')):
                expected = values[product][sample['sample_id']][1]  # November 2019 is the earliest
                image = sample['images'][name]
                assert image.dtype == (np.float32 if name == 'sar' else np.int16)
                assert np.array_equal(image, expected.astype(image.dtype).transpose(1, 2, 0))
            assert [s['time'] for s in sample['seasons']['sar']] == [1, 2, 3, 0]
    index = root / 'train' / 'decur_index_S1GRD.safetensors'
    before = index.stat().st_mtime_ns
    SSL4EODataset(ENTRIES, str(root / 'train'), pipeline=STEPS)
    assert index.stat().st_mtime_ns == before
    (root / 'train' / 'S1GRD' / 'ssl4eos12_train_seasonal_data_000002.zarr.zip').unlink()
    with pytest.raises(DataError, match=r"has no scene of s1"):
        SSL4EODataset(ENTRIES, str(root / 'train'), pipeline=STEPS)
    assert len(SSL4EODataset(ENTRIES, str(root / 'train'), pipeline=STEPS, missing='skip')) == 2


def test_readers_in_processes_give_the_same(archives):
    from torch.utils.data import DataLoader
    dataset = SSL4EODataset(ENTRIES, str(archives[0] / 'train'), pipeline=STEPS)
    here = [s['images']['optical'].copy() for s in dataset]  # opens the archives before the fork
    there = [s[0]['images']['optical'] for s in DataLoader(dataset, num_workers=2, collate_fn=list)]
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_statistics_tell_the_versions_apart(archives):
    root, _ = archives
    entries = {**ENTRIES, 'optical': dict(ENTRIES['optical'], radiometry=[dict(type='ToEightBit', statistics='ssl4eo_s2c')])}
    with pytest.raises(DataError, match="offset of 1000.*statistics='ssl4eo_v11_s2c'"):
        SSL4EODataset(entries, str(root / 'train'), pipeline=STEPS)[0]
    for steps in ([dict(type='ToEightBit', statistics='ssl4eo_v11_s2c')],
                  [dict(type='RemoveOffset'), dict(type='ToEightBit', statistics='ssl4eo_s2c')]):
        entries['optical'] = dict(ENTRIES['optical'], radiometry=steps)
        assert SSL4EODataset(entries, str(root / 'train'), pipeline=STEPS)[0]['images']['optical'].std() > 10
    old = np.full((4, 4, 13), 1400, np.uint16)
    old[..., 10] = 20
    with pytest.raises(DataError, match="without it. Use statistics='ssl4eo_s2c'"):
        ToEightBit(statistics='ssl4eo_v11_s2c')(old)
    assert ToEightBit(statistics='ssl4eo_s2c')(old).shape == old.shape
    # The means differ by the offset (and what else changed is small), the deviations hardly.
    new, was = STATISTICS['ssl4eo_v11_s2c'], STATISTICS['ssl4eo_s2c']
    assert np.allclose(np.subtract(new.mean, was.mean), 1000, atol=50) and np.allclose(new.std, was.std, rtol=.12)


def test_inspection_knows_the_version(archives):
    root = archives[0]
    found = inspect(root)
    optical = found['modalities']['S2L1C']
    assert found['layout'] == 'ssl4eo-v1.1' and 'ssl4eo-v11_s1-s2_r50_decur.py' in found['config'] and 'RemoveOffset' not in report(found)
    assert tuple(optical['bands']) == SSL4EO_BANDS['s2c'] and optical['offset'] == 1 and optical['samples'] == 2
    assert optical['statistics'][0][0] == 'ssl4eo_v11_s2c' and tuple(found['modalities']['S1GRD']['bands']) == SSL4EO_BANDS['s1']


def same(a, b):
    assert [s['sample_id'] for s in a] == [s['sample_id'] for s in b] and len(a) > 0
    for x, y in zip(a, b):
        for name, image in x['images'].items():
            assert image.dtype == y['images'][name].dtype and np.array_equal(image, y['images'][name])
            assert len(x['seasons'][name]) == len(y['seasons'][name]) == 4


@pytest.fixture
def lmdb():
    return pytest.importorskip('lmdb')


def test_the_store_gives_the_arrays_of_the_archives(archives, tmp_path, lmdb):
    root, _ = archives
    estimate = json.loads(run_tool('tools/prepare_dataset.py', 'ssl4eo', root, tmp_path / 'store', '--split', 'train', '--dry-run').stdout)
    assert estimate['samples'] == 4 and estimate['records'] == 32 and estimate['files_to_read'] == 4
    assert not (tmp_path / 'store').exists() and not list(root.rglob('decur_index*'))
    done = run_tool('tools/prepare_dataset.py', 'ssl4eo', root, tmp_path / 'store', '--split', 'train', '--workers', 2)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['done'] == 32 and figures['skipped'] == 0
    for mode in ('first', 'independent'):
        steps = [dict(STEPS[0], mode=mode), STEPS[1]]
        a, b, c = (SSL4EODataset(ENTRIES, str(path), split=split, pipeline=steps)
                   for path, split in ((root, 'train'), (tmp_path / 'store', 'train'), (tmp_path / 'store', None)))
        for dataset in (a, b, c):
            dataset.seed = 0
        same(a, b)
        same(b, c)
    record = read_record(str(tmp_path / 'store'), record_keys(tmp_path / 'store')[0])
    assert record['VV'].dtype == np.float16 and not verify_store(tmp_path / 'store')
    with pytest.raises(ConfigError, match="split='val'.*store of 'ssl4eo-s12-v1.1-train'"):
        SSL4EODataset(ENTRIES, str(tmp_path / 'store'), split='val', pipeline=STEPS)
    found = inspect(tmp_path / 'store')
    assert found['modalities']['s2c']['statistics'][0][0] == 'ssl4eo_v11_s2c' and 'RemoveOffset' not in report(found)
    assert 'ssl4eo-v11_s1-s2_r50_decur.py' in found['config'] and found['modalities']['s1']['dtypes'] == ['float16']


def test_a_broken_archive_is_left_out_and_made_up_for(archives, tmp_path, lmdb):
    root = archives[0]
    prepare(root, tmp_path / 'whole', split='train')
    path = root / 'train' / 'S2L1C' / 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    figures = prepare(root / 'train', tmp_path / 'store')
    assert list(figures['skipped']) == [f'S2L1C/{path.name}'] and 'downloaded whole' in figures['skipped'][f'S2L1C/{path.name}']
    assert figures['unpaired'] == 2 and figures['done'] == 16 and len(SSL4EODataset(ENTRIES, str(tmp_path / 'store'), pipeline=STEPS)) == 2
    path.write_bytes(data)
    assert prepare(root / 'train', tmp_path / 'store')['skipped'] == {}
    same(*(SSL4EODataset(ENTRIES, str(tmp_path / name), pipeline=STEPS) for name in ('store', 'whole')))
    assert read_manifest(tmp_path / 'store') == read_manifest(tmp_path / 'whole')
    assert (tmp_path / 'store' / 'index.safetensors').read_bytes() == (tmp_path / 'whole' / 'index.safetensors').read_bytes()


def test_bad_archives(archives, tmp_path):
    root = archives[0]
    with pytest.raises(ConfigError, match='train'):
        SSL4EODataset(ENTRIES, str(root), split='val', pipeline=STEPS)
    with pytest.raises(ConfigError, match='choose one'):
        SSL4EODataset(ENTRIES, str(root), pipeline=STEPS)
    path = root / 'train' / 'S2L1C' / 'ssl4eos12_train_seasonal_data_000001.zarr.zip'
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DataError, match='S2L1C/ssl4eos12_train_seasonal_data_000001.zarr.zip.*downloaded whole'):
        SSL4EODataset(ENTRIES, str(root / 'train'), pipeline=STEPS)
    path.write_bytes(whole)
    with pytest.raises(ConfigError, match='holds the splits .*train.*--split train'):
        prepare(root, tmp_path / 'store')
    with pytest.raises(ConfigError, match="unknown product .'dem'"):
        prepare(root / 'train', tmp_path / 'store', products=['dem'])
    twin = path.with_name('copy.zarr.zip')
    twin.write_bytes(whole)
    with pytest.raises(DataError, match='S2L1C: .* is in two files'):
        SSL4EODataset(ENTRIES, str(root / 'train'), pipeline=STEPS)
    twin.unlink()
    with pytest.raises(DataError, match="no band .'B99'"):
        entry = dict(ENTRIES['optical'], channels=1, reader=dict(type='BandReader', bands=['B99'], size=SIZE))
        SSL4EODataset(dict(optical=entry), str(root / 'train'), pipeline=STEPS)[0]


def test_the_config_reads_them(archives):
    cfg = bound_config('decur/ssl4eo-v11_s1-s2_r50_decur.py').train_dataloader.dataset
    cfg.pop('type')
    dataset = SSL4EODataset(**dict(cfg, data_root=str(archives[0])))
    dataset.seed = 0
    sample = dataset[0]
    assert [tuple(v.shape) for v in sample['inputs']['optical']] == [(13, 224, 224)] * 2
    assert all(v.float().std() > 5 for views in sample['inputs'].values() for v in views)

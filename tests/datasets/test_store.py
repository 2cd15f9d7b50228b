"""The compact store: the arrays of the files, whole after a kill, damage found, pickles refused."""
import json
import shutil
import tarfile

import numpy as np
import pytest
from helpers import run_tool

from decur.datasets import SSL4EODataset
from decur.datasets.prepare import ssl4eo as prepare_ssl4eo
from decur.datasets.prepare.ssl4eo import prepare
from decur.datasets.ssl4eo import PRODUCTS
from decur.datasets.store import StoreWriter, decode, encode, read_manifest, read_record, record_keys, verify_store
from decur.errors import ConfigError, DataError

pytest.importorskip('lmdb')
ENTRIES = {
    name: dict(channels=len(PRODUCTS[product]), files=dict(product=product),
               reader=dict(type='BandReader', bands=PRODUCTS[product], size=264))
    for name, product in (('sar', 's1'), ('optical', 's2c'))
}


@pytest.fixture
def raw(sample_data, tmp_path):
    """Three locations (copies of the real one)."""
    for product in ('s1', 's2c'):
        for location in ('0000200', '0000201', '1000002'):
            shutil.copytree(sample_data / 'ssl4eo_s12_v1' / product / '0000200', tmp_path / 'raw' / product / location)
    return tmp_path / 'raw'


def images(root, epoch):
    dataset = SSL4EODataset(ENTRIES, str(root), pipeline=[dict(type='DrawSeasons'), dict(type='LoadModalities')])
    dataset.seed = 3
    return [(s['sample_id'], s['images']) for s in (dataset[epoch * len(dataset) + i] for i in range(len(dataset)))]


def same(a, b):
    assert [name for name, _ in a] == [name for name, _ in b] and len(a) > 0
    for (_, x), (_, y) in zip(a, b):
        for name in x:
            assert all(np.array_equal(u, v) and u.dtype == v.dtype for u, v in zip(x[name], y[name]))


def records(store):
    return {key: read_record(str(store), key) for key in record_keys(read_manifest(store))}


def test_store_gives_the_arrays_of_the_files(raw, tmp_path):
    done = run_tool('tools/prepare_dataset.py', 'ssl4eo', raw, tmp_path / 'store', '--workers', 2)
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures['done'] == figures['records'] == 12 and figures['skipped'] == 0
    for epoch in range(2):
        same(images(raw, epoch), images(tmp_path / 'store', epoch))
    assert 'whole' in run_tool('tools/prepare_dataset.py', 'ssl4eo', raw, tmp_path / 'store', '--verify').stdout


@pytest.mark.parametrize('split', [False, True])
def test_archives_give_the_same_store(raw, tmp_path, split):
    prepare(raw, tmp_path / 'a')
    (tmp_path / 'tars').mkdir()
    for product in ('s1', 's2c'):
        path = tmp_path / 'tars' / f'{product}.tar.gz'
        with tarfile.open(path, 'w:gz', compresslevel=1) as archive:
            archive.add(raw / product, product)
        if split:
            data = path.read_bytes()
            path.unlink()
            for i, letters in enumerate(('aa', 'ab', 'ac')):
                step = len(data) // 3 + 1
                (tmp_path / 'tars' / f'{product}.tar.gz.part{letters}').write_bytes(data[i * step:(i + 1) * step])
    prepare(tmp_path / 'tars', tmp_path / 'b')
    a, b = records(tmp_path / 'a'), records(tmp_path / 'b')
    assert read_manifest(tmp_path / 'a') == read_manifest(tmp_path / 'b')
    assert all(np.array_equal(a[key][band], b[key][band]) for key in a for band in a[key])
    if split:
        (tmp_path / 'tars' / 's1.tar.gz.partab').unlink()
        with pytest.raises(DataError, match='part is missing'):
            prepare(tmp_path / 'tars', tmp_path / 'c')
    else:
        path = tmp_path / 'tars' / 's1.tar.gz'
        path.write_bytes(path.read_bytes()[:200_000])
        with pytest.raises(DataError, match='cut short'):
            prepare(tmp_path / 'tars', tmp_path / 'c')


def test_an_interrupted_run_goes_on_and_ends_the_same(raw, tmp_path, monkeypatch):
    prepare(raw, tmp_path / 'a')
    encode_folder, calls = prepare_ssl4eo._encode_folder, []

    def stop_after_five(job):
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(job)
        return encode_folder(job)

    monkeypatch.setattr(prepare_ssl4eo, '_encode_folder', stop_after_five)
    monkeypatch.setattr(prepare_ssl4eo, 'StoreWriter', lambda out: StoreWriter(out, batch=2))
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / 'b')
    with pytest.raises(DataError, match='manifest'):
        read_manifest(tmp_path / 'b')
    calls.clear()
    monkeypatch.setattr(prepare_ssl4eo, '_encode_folder', lambda job: calls.append(job) or encode_folder(job))
    prepare(raw, tmp_path / 'b')
    assert len(calls) == 12 - 4  # two batches of two were committed
    assert read_manifest(tmp_path / 'a') == read_manifest(tmp_path / 'b')
    assert not verify_store(tmp_path / 'b')


def test_broken_files_are_reported_and_left_out(raw, tmp_path):
    scene = sorted((raw / 's2c' / '0000201').iterdir())[0]
    data = (scene / 'B8.tif').read_bytes()
    (scene / 'B8.tif').write_bytes(data[:1000])
    (sorted((raw / 's1' / '1000002').iterdir())[1] / 'VH.tif').unlink()
    skipped = prepare(raw, tmp_path / 'store')['skipped']
    assert len(skipped) == 2 and any('0000201' in key and 'B8' in text for key, text in skipped.items())
    assert any("no band ['VH']" in text for text in skipped.values())
    assert len(images(tmp_path / 'store', 0)) == 3 and not verify_store(tmp_path / 'store')
    (scene / 'B8.tif').write_bytes(data)
    assert len(prepare(raw, tmp_path / 'store')['skipped']) == 1


def test_damage_is_found_and_repaired(raw, tmp_path):
    prepare(raw, tmp_path / 'store')
    key = record_keys(read_manifest(tmp_path / 'store'))[3]
    writer = StoreWriter(tmp_path / 'store')
    data = bytearray(writer.get(key))
    data[len(data) // 2] ^= 1
    writer.put(key, bytes(data))
    writer.commit()
    writer.close()
    assert verify_store(tmp_path / 'store') == [key]
    done = run_tool('tools/prepare_dataset.py', 'ssl4eo', raw, tmp_path / 'store', '--verify', check=False)
    assert done.returncode != 0 and key in done.stderr
    prepare(raw, tmp_path / 'store', repair=True)
    assert not verify_store(tmp_path / 'store')


def test_subset_is_drawn_without_replacement_and_dry_run_writes_nothing(raw, tmp_path):
    figures = prepare(raw, tmp_path / 'none', dry_run=True)
    assert not (tmp_path / 'none').exists() and figures['records'] == 12 and figures['files_to_read'] == 3 * 2 * 15
    prepare(raw, tmp_path / 'all')
    sizes = sum(band.nbytes for record in records(tmp_path / 'all').values() for band in record.values())
    assert figures['bytes'] == pytest.approx(sizes, rel=.01)  # some patches have an extra row
    prepare(raw, tmp_path / 'part', subset=2, seed=1)
    assert len(read_manifest(tmp_path / 'part')['scenes']['s1']) == 2
    with pytest.raises(ConfigError, match='3 locations'):
        prepare(raw, tmp_path / 'x', subset=5)


def test_refused_stores(tmp_path):
    import lmdb
    environment = lmdb.open(str(tmp_path / 'published'), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        transaction.put(b'0', b'\x80\x04.')
    environment.close()
    with pytest.raises(DataError, match='pickles'):
        SSL4EODataset(ENTRIES, str(tmp_path / 'published'), pipeline=[])
    (tmp_path / 'published' / 'manifest.json').write_text('{"format": "decur-store", "version": 0}')
    with pytest.raises(DataError, match='version 0'):
        SSL4EODataset(ENTRIES, str(tmp_path / 'published'), pipeline=[])
    with pytest.raises(DataError, match='neither a folder nor an archive'):
        prepare(tmp_path, tmp_path / 'out')
    with pytest.raises(DataError, match='damaged'):
        decode(b'x' * 50, 'record')
    data = encode(dict(a=np.ones((2, 3), np.uint16)))
    assert decode(data, 'record', check=True)['a'].shape == (2, 3)

"""Writing the compact store: the arrays of the files, whole after a kill, damage found and repaired."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile

import numpy as np
import processes
import pytest
from helpers import ROOT, run_code, run_tool

from decur.datasets import SSL4EODataset
from decur.errors import ConfigError, DataError
from decur.prepare.ssl4eo import prepare
from decur.prepare.store_writer import StoreWriter, verify_store
from decur.readers.store import read_index, read_manifest, read_record, record_keys
from decur.sensors import SSL4EO_BANDS

pytest.importorskip('lmdb')
ENTRIES = {
    name: dict(channels=len(SSL4EO_BANDS[product]), files=dict(product=product),
               reader=dict(type='BandReader', bands=SSL4EO_BANDS[product], size=264))
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
    return {key: read_record(str(store), key) for key in record_keys(store)}


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
        whole = path.read_bytes()
        scene = next((raw / 's1' / '0000201').iterdir())
        with tarfile.open(path, 'w:gz', compresslevel=1) as archive:
            archive.add(scene, 's1/0000201/unknown')
        with pytest.raises(DataError, match=r"s1.tar.gz: s1/0000201/unknown/V[VH].tif: 'unknown' is no scene"):
            prepare(tmp_path / 'tars', tmp_path / 'c')
        path.write_bytes(whole[:len(whole) // 2])
        with pytest.raises(DataError, match=r'cut short after s1/\d{7}/S1\w+/V[VH].tif'):
            prepare(tmp_path / 'tars', tmp_path / 'c', workers=2)
        path.write_bytes(whole)
        prepare(tmp_path / 'tars', tmp_path / 'c')
        assert read_manifest(tmp_path / 'a') == read_manifest(tmp_path / 'c') and not verify_store(tmp_path / 'c')


@pytest.mark.slow
@pytest.mark.parametrize('archive', [False, True])
def test_a_killed_run_goes_on_and_ends_the_same(sample_data, tmp_path, archive):
    """SIGKILL of the real command half way, then the same command: the content of an uninterrupted run."""
    raw = tmp_path / 'raw'
    for product in ('s1', 's2c'):
        for number in range(60):
            shutil.copytree(sample_data / 'ssl4eo_s12_v1' / product / '0000200', raw / product / f'{number:07d}')
    if archive:
        (tmp_path / 'tars').mkdir()
        for product in ('s1', 's2c'):
            with tarfile.open(tmp_path / 'tars' / f'{product}.tar', 'w') as file:
                file.add(raw / product, product)
    source = tmp_path / 'tars' if archive else raw
    prepare(source, tmp_path / 'whole')
    data = tmp_path / 'store' / 'data.mdb'
    with processes.started(sys.executable, 'tools/prepare_dataset.py', 'ssl4eo', source, tmp_path / 'store', '--workers', 2, cwd=ROOT,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS='1')) as run:
        processes.wait_until(lambda: data.is_file() and data.stat().st_size > 60e6, 240, 'half of the records', run, every=.005)
        os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    with pytest.raises(DataError, match='no manifest.json: its preparation was not finished'):
        read_manifest(tmp_path / 'store')
    with pytest.raises(DataError, match='not finished'):
        SSL4EODataset(ENTRIES, str(tmp_path / 'store'), pipeline=[])
    begun = StoreWriter(tmp_path / 'store', 'ssl4eo-s12-v1.0')
    kept = set(begun.keys())
    begun.close()
    assert 0 < len(kept) < 240
    figures = json.loads(run_tool('tools/prepare_dataset.py', 'ssl4eo', source, tmp_path / 'store', '--workers', 2).stdout.splitlines()[-1])
    assert figures['done'] == 240 and not (tmp_path / 'store' / 'unfinished.json').exists()
    assert read_manifest(tmp_path / 'store') == read_manifest(tmp_path / 'whole')
    raws = []
    for name in ('whole', 'store'):
        writer = StoreWriter(tmp_path / name, 'ssl4eo-s12-v1.0')
        raws.append({key: writer.get(key) for key in writer.keys()})
        writer.close()
    assert raws[0] == raws[1]


def test_what_is_done_is_not_done_again(raw, tmp_path):
    prepare(raw, tmp_path / 'store')
    for path in raw.rglob('*.tif'):
        path.write_bytes(b'')  # unreadable now
    assert prepare(raw, tmp_path / 'store')['skipped'] == {}
    assert not verify_store(tmp_path / 'store')


def test_a_full_disk_is_reported_and_the_store_stays_whole(raw, tmp_path):
    """The limit on file sizes stands for the end of the disk: LMDB's writes fail."""
    command = ['tools/prepare_dataset.py', 'ssl4eo', str(raw), str(tmp_path / 'store'), '--workers', '1']
    done = run_code('import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))\n'
                    f"sys.argv = {command!r}; runpy.run_path(sys.argv[0], run_name='__main__')")
    assert done.returncode == 1 and 'error: ' in done.stderr and 'disk full' in done.stderr and 'Traceback' not in done.stderr, done.stderr
    prepare(raw, tmp_path / 'store')
    assert not verify_store(tmp_path / 'store') and len(record_keys(tmp_path / 'store')) == 12
    prepare(raw, tmp_path / 'whole')
    assert read_manifest(tmp_path / 'store') == read_manifest(tmp_path / 'whole')


def test_a_full_disk_at_the_end(raw, tmp_path, monkeypatch):
    """The records fit, the manifest does not: nothing half-written stays, and the old manifest, if any, is untouched."""
    def full(path, data):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('decur.prepare.store_writer.write_bytes', full)
    with pytest.raises(DataError, match='No space left.*run the same command again'):
        prepare(raw, tmp_path / 'store')
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / 'store').iterdir()} == {'data.mdb', 'index.safetensors', 'lock.mdb', 'unfinished.json'}
    prepare(raw, tmp_path / 'store')
    assert not verify_store(tmp_path / 'store')


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
    key = record_keys(tmp_path / 'store')[3]
    writer = StoreWriter(tmp_path / 'store', 'ssl4eo-s12-v1.0')
    data = bytearray(writer.get(key))
    data[len(data) // 2] ^= 1
    writer.put(key, bytes(data))
    writer.commit()
    writer.close()
    assert verify_store(tmp_path / 'store') == [key]
    with pytest.raises(DataError, match=f'record {key!r} is damaged: its checksum does not fit'):  # which every read compares too
        read_record(str(tmp_path / 'store'), key)
    done = run_tool('tools/prepare_dataset.py', 'ssl4eo', raw, tmp_path / 'store', '--verify', check=False)
    assert done.returncode != 0 and key in done.stderr
    prepare(raw, tmp_path / 'store', repair=True)
    assert not verify_store(tmp_path / 'store')


def test_a_store_that_is_truncated_or_not_there_is_an_error(raw, tmp_path):
    prepare(raw, tmp_path / 'store')
    key = record_keys(tmp_path / 'store')[-1]
    data = tmp_path / 'store' / 'data.mdb'
    os.truncate(data, data.stat().st_size // 2)  # whoever reads beyond the end is ended by the system
    for act in (verify_store, lambda folder: read_record(str(folder), key), lambda folder: prepare(raw, folder)):
        with pytest.raises(DataError, match='data.mdb is truncated.*Copy it again.*--repair'):
            act(tmp_path / 'store')
    data.unlink()
    with pytest.raises(DataError, match='data.mdb does not exist'):
        verify_store(tmp_path / 'store')
    with pytest.raises(DataError, match='no store'):
        verify_store(tmp_path / 'nowhere')


def test_repair_writes_a_damaged_manifest_again(raw, tmp_path):
    prepare(raw, tmp_path / 'store')
    path = tmp_path / 'store' / 'manifest.json'
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(DataError, match='again with --repair'):
        prepare(raw, tmp_path / 'store')
    prepare(raw, tmp_path / 'store', repair=True)
    assert path.read_bytes() == whole and not verify_store(tmp_path / 'store')


def test_an_empty_file_is_reported_and_left_out(raw, tmp_path):
    empty = sorted((raw / 's1').glob('*/*/VV.tif'))[0]
    empty.write_bytes(b'')
    skipped = prepare(raw, tmp_path / 'store', workers=2)['skipped']
    assert len(skipped) == 1 and 'VV.tif is empty' in next(iter(skipped.values()))


def test_subset_is_drawn_without_replacement_and_dry_run_writes_nothing(raw, tmp_path):
    figures = prepare(raw, tmp_path / 'none', dry_run=True)
    assert not (tmp_path / 'none').exists() and figures['records'] == 12 and figures['files_to_read'] == 3 * 2 * 15
    prepare(raw, tmp_path / 'all')
    sizes = sum(band.nbytes for record in records(tmp_path / 'all').values() for band in record.values())
    assert figures['bytes'] == pytest.approx(sizes, rel=.01)  # some patches have an extra row
    prepare(raw, tmp_path / 'part', subset=2, seed=1)
    assert read_manifest(tmp_path / 'part')['locations'] == len(read_index(tmp_path / 'part')) == 2
    with pytest.raises(ConfigError, match='3 samples'):
        prepare(raw, tmp_path / 'x', subset=5)

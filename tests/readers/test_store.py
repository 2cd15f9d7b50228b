"""Reading the compact store: its index, its blocks, and what is refused."""
import json
import os
import pickle

import numpy as np
import pytest

from decur.datasets import SSL4EODataset
from decur.errors import DataError
from decur.prepare.store_writer import StoreWriter, encode
from decur.readers import StoreReader
from decur.readers.store import FORMAT, VERSION, decode, read_manifest, read_record, record_keys
from decur.readers.table import LazySamples, Table
from decur.sensors import SSL4EO_BANDS

pytest.importorskip('lmdb')
ENTRIES = {
    name: dict(channels=len(SSL4EO_BANDS[product]), files=dict(product=product),
               reader=dict(type='BandReader', bands=SSL4EO_BANDS[product], size=264))
    for name, product in (('sar', 's1'), ('optical', 's2c'))
}


def test_samples_of_a_store_come_from_its_index(tmp_path):
    """They are made when they are asked for, from names in the order of the index; workers may be given the data set by pickling it."""
    names = {product: [[f'{stem}{month}04T054639_{i:06X}' for month in ('03', '06', '09', '12')][:4 - (i == 7)] for i in range(9)]
             for product, stem in (('s1', 'S1A_IW_GRDH_1SDV_2020'), ('s2c', '2020'))}
    Table(dict(id=[f'{i:07d}' for i in range(9)], **names)).save(tmp_path / 'index.safetensors')
    manifest = dict(format=FORMAT, version=VERSION, dataset='ssl4eo-s12-v1.0', key_columns={p: [f'{{id}}/{p}/{{}}'] for p in names})
    (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
    assert len(record_keys(tmp_path)) == 9 * 8 - 2 and record_keys(tmp_path)[0] == '0000000/s1/S1A_IW_GRDH_1SDV_20200304T054639_000000'
    dataset = SSL4EODataset(ENTRIES, str(tmp_path), pipeline=[])
    assert isinstance(dataset.data_list, LazySamples) and len(dataset) == 9
    again = pickle.loads(pickle.dumps(dataset))
    for sample in (dataset[7], again[7]):
        assert sample['sample_id'] == '0000007' and [len(seasons) for seasons in sample['seasons'].values()] == [3, 3]
        assert sample['seasons']['optical'][2] == dict(store=str(tmp_path), key='0000007/s2c/20200904T054639_000007')
    assert len(again[8]['seasons']['sar']) == 4 and len(SSL4EODataset(ENTRIES, str(tmp_path), num_samples=3, pipeline=[])) == 3
    (tmp_path / 'index.safetensors').unlink()
    with pytest.raises(DataError, match='index.safetensors does not exist. Run the command'):
        SSL4EODataset(ENTRIES, str(tmp_path), pipeline=[])


def test_refused_stores(tmp_path):
    import lmdb
    environment = lmdb.open(str(tmp_path / 'published'), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        transaction.put(b'0', b'\x80\x04.')
    environment.close()
    with pytest.raises(DataError, match='pickles'):
        SSL4EODataset(ENTRIES, str(tmp_path / 'published'), pipeline=[])
    (tmp_path / 'published' / 'manifest.json').write_text('{"format": "decur-store", "version": 1, "dataset": "ssl4eo-s12-v1.0"}')
    with pytest.raises(DataError, match="version 1, this version reads 'decur-store' 2. Prepare the store again, in a new folder"):
        SSL4EODataset(ENTRIES, str(tmp_path / 'published'), pipeline=[])
    with pytest.raises(DataError, match='damaged'):
        decode(b'x' * 50, 'record')
    data = encode(dict(a=np.ones((2, 3), np.uint16)))
    assert decode(data, 'record')['a'].shape == (2, 3)


def raster_store(folder, image):
    """A store of one raster, as that of GeoNRW."""
    writer = StoreWriter(folder, 'rasters')
    for i, row in enumerate(range(0, image.shape[0], 250)):
        for j, column in enumerate(range(0, image.shape[1], 250)):
            writer.put(f'a/{i}_{j}', encode(dict(image=image[row:row + 250, column:column + 250])))
    writer.put('a', encode(dict(size=np.array(image.shape))))
    writer.finish(dict(rasters=dict(a=list(image.shape[:2]))))
    return folder


@pytest.mark.parametrize('window', [None, (0, 0, 1, 1), (249, 250, 2, 100), (10, 200, 290, 320), (299, 519, 1, 1)])
def test_windows_are_put_together_from_blocks(tmp_path, window):
    image = np.random.default_rng(0).integers(0, 65536, (300, 520, 2), dtype=np.uint16)
    store = raster_store(tmp_path / 'store', image)
    row, column, height, width = window or (0, 0, 300, 520)
    source = dict(store=str(store), key='a', size=(300, 520), **({'window': window} if window else {}))
    read = StoreReader()(source)
    assert read.dtype == np.uint16 and np.array_equal(read, image[row:row + height, column:column + width])
    assert len(record_keys(store)) == 1 + 2 * 3


def test_a_window_or_a_size_beyond_the_blocks_is_an_error(tmp_path):
    store = raster_store(tmp_path / 'store', np.zeros((300, 520, 1), np.uint8))
    with pytest.raises(DataError, match=r"a: window \(290, 0, 20, 20\) leaves the image of 300x520 pixels"):
        StoreReader()(dict(store=str(store), key='a', size=(300, 520), window=(290, 0, 20, 20)))
    with pytest.raises(DataError, match=r"blocks of 'a' are smaller than its size \(400, 520\)"):
        StoreReader()(dict(store=str(store), key='a', size=(400, 520)))


def test_a_flipped_bit_of_a_record_is_an_error_when_it_is_read():
    data = encode(dict(a=np.arange(600, dtype=np.uint16).reshape(20, 30), b=np.ones((2, 3), np.float32)))
    for position in np.random.default_rng(0).integers(0, len(data), 30):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(DataError, match='record is damaged: its checksum does not fit'):
            decode(bytes(damaged), 'record')


@pytest.mark.parametrize('content, problem', [
    ('[1, 2]', 'expected an object, got list'),
    ('{"format": "decur-store", "version": 2, "rasters": {"a": [1e12, 3]}}', "raster 'a' has size"),
    ('{"format": "decur-store", "version": 2, "rasters": {"a": [900000000000, 3]}}', "raster 'a' has size"),
    ('{"format": "decur-store", "version": 2, "rasters": {"a": "250"}}', "raster 'a' has size '250'"),
    ('{"format": "decur-store", "version": 2, "key_columns": {"s1": ["{:>99999999999}"]}}', "column 's1' has key patterns"),
    ('{"format": "decur-store", "version": 2, "key_columns": {"s1": ["{id.__class__}"]}}', "column 's1' has key patterns"),
    ('{"format": "decur-store", "version": 2, "key_columns": ["s1"]}', 'must be objects'),
    ('{"a": ' * 100000, 'damaged'),
])
def test_a_damaged_manifest_is_an_error_before_anything_is_made_of_it(tmp_path, content, problem):
    (tmp_path / 'manifest.json').write_text(content)
    with pytest.raises(DataError, match=problem) as error:
        read_manifest(tmp_path)
    assert 'manifest.json is damaged' in str(error.value) and '--repair' in str(error.value)
    with pytest.raises(DataError, match='damaged'):
        read_record(str(tmp_path), 'a')


def test_a_process_that_read_a_store_may_have_workers_that_read_it(tmp_path):
    """A data loader's workers are forks of a process that has looked at some samples."""
    writer = StoreWriter(tmp_path, 'rasters')
    writer.put('a', encode(dict(x=np.arange(4))))
    writer.finish(dict(rasters=dict(a=[2, 2])))
    assert read_record(str(tmp_path), 'a')['x'].tolist() == [0, 1, 2, 3]
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if read_record(str(tmp_path), 'a')['x'].tolist() == [0, 1, 2, 3] else 2)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(read_record(str(tmp_path), 'a')['x']) == 4, 'the parent reads on'

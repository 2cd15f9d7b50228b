"""Tables: what was saved, damage, and that an index of BigEarthNet's size is read in seconds."""
import time

import numpy as np
import pytest

from decur.datasets import BigEarthNetDataset
from decur.datasets.bigearthnet import CLASSES_19, CLASSES_43, LABELS, class_matrix, folder_state, index_of_patches, to_classes
from decur.errors import DataError
from decur.readers.table import LazySamples, Table
from decur.sensors import S1_BANDS


def test_what_was_saved_is_read(tmp_path):
    table = Table(dict(name=['a', '', 'long\u00e9'], value=np.arange(6, dtype=np.int16).reshape(3, 2)), dict(files=['x']))
    table.save(tmp_path / 't.safetensors')
    read = Table.load(tmp_path / 't.safetensors')
    assert [n.decode() for n in read['name'].tolist()] == ['a', '', 'long\u00e9']
    assert read.attributes == dict(files=['x']) and len(read) == 3
    assert np.array_equal(read['value'], table['value']) and read['value'].dtype == np.int16
    for _ in range(8):
        read.save(tmp_path / 'again.safetensors')
        assert (tmp_path / 'again.safetensors').read_bytes() == (tmp_path / 't.safetensors').read_bytes()
    assert len(Table(dict(name=[]))) == 0
    ragged = Table(dict(names=[['a', 'bcd'], [], ['ef']], none=[[], [], []]))
    ragged.save(tmp_path / 'r.safetensors')
    read = Table.load(tmp_path / 'r.safetensors')
    assert read['names'].tolist() == [[b'a', b'bcd'], [b'', b''], [b'ef', b'']] and read['none'].tolist() == [[b'']] * 3
    with pytest.raises(DataError, match='differ in length'):
        Table(dict(a=['x'], b=np.zeros(2)))
    data = (tmp_path / 't.safetensors').read_bytes()
    (tmp_path / 't.safetensors').write_bytes(data[:-3])
    with pytest.raises(DataError, match='damaged'):
        Table.load(tmp_path / 't.safetensors')
    with pytest.raises(DataError, match='does not exist'):
        Table.load(tmp_path / 'none')


def test_lazy_samples_are_a_list():
    samples = LazySamples(lambda i: dict(i=i), np.array([5, 3, 9]))
    assert [s['i'] for s in samples] == [5, 3, 9] and samples[-1]['i'] == 9 and len(samples[1:]) == 2
    assert [s['i'] for s in samples.take([2, 0])] == [9, 5]


def test_class_matrix_is_to_classes_of_every_patch():
    rng = np.random.default_rng(0)
    for classes, vocabulary in ((CLASSES_19, LABELS), (CLASSES_43, CLASSES_43)):
        rows = [dict(id=str(i), labels=list(rng.choice(vocabulary, rng.integers(1, 6), replace=False))) for i in range(50)]
        index = index_of_patches(rows, 'v1')
        expected = np.stack([to_classes(row['labels'], classes) for row in rows])
        assert np.array_equal(class_matrix(index['labels'], index.attributes['labels'], classes), expected)
    with pytest.raises(DataError, match='Moon'):
        index_of_patches([dict(id='a', labels=['Moon'])], 'v1')


def big_index(count, root):
    """An index of ``count`` patches with names as long as the released ones, as new as the folders in ``root``."""
    names = [f'S2A_MSIL2A_20170613T101031_{i // 1000}_{i % 1000}' for i in range(count)]
    bits = np.random.default_rng(0).integers(1, 1 << 43, count).astype(np.uint64)
    return Table(dict(id=names, s2=names, s1=[f'S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{i // 1000}_{i % 1000}' for i in range(count)],
                      split=[''] * count, labels=bits), dict(version='v1', labels=LABELS, state=folder_state(root, 'v1')))


def test_a_large_index_starts_in_seconds(tmp_path):
    """Samples are made when they are asked for: no dict for each patch at the start."""
    (tmp_path / 'BigEarthNet-v1.0').mkdir()
    entries = dict(sar=dict(channels=2, files=dict(sensor='s1'), reader=dict(type='BandReader', bands=S1_BANDS, size=120)))
    seconds = {}
    for count in (2000, 200_000):
        big_index(count, tmp_path).save(tmp_path / f'{count}.safetensors')
        best = []
        for _ in range(3):
            start = time.process_time()
            dataset = BigEarthNetDataset(entries, str(tmp_path), index_file=str(tmp_path / f'{count}.safetensors'), num_classes=43,
                                         pipeline=[])
            best.append(time.process_time() - start)
        assert len(dataset) == count and dataset[count - 1]['sample_id'].endswith(f'{(count - 1) // 1000}_{(count - 1) % 1000}')
        seconds[count] = min(best)
    assert seconds[200_000] < 5
    part = BigEarthNetDataset(entries, str(tmp_path), index_file=str(tmp_path / '2000.safetensors'), num_classes=43, fraction=.01,
                              pipeline=[])
    assert len(part) == 20 and len({s['sample_id'] for s in part}) == 20

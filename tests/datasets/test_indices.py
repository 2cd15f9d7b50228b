"""An index that is older than what it lists is brought up to date; a name in it does not lead out of the data."""
import json
import os
import shutil

import numpy as np
import pytest

from decur.datasets import BigEarthNetDataset, SSL4EODataset
from decur.datasets.bigearthnet import METADATA, list_v1
from decur.errors import DataError
from decur.readers.table import Table
from decur_worlds.landcover_layouts import write_landcover

ENTRIES = dict(s1=dict(channels=2, files=dict(sensor='s1')), s2=dict(channels=12, files=dict(sensor='s2')))


def bigearthnet(root, **kwargs):
    return {s['sample_id']: (s['sources'], s['gt_label']) for s in BigEarthNetDataset(ENTRIES, str(root), pipeline=[], **kwargs)}


@pytest.mark.parametrize('version', ['v1', 'v2'])
def test_patches_that_were_added_or_taken_away(tmp_path, version):
    if version == 'v2':
        pytest.importorskip('pyarrow')
    write_landcover('bigearthnet' if version == 'v1' else 'bigearthnet-v2', tmp_path / 'whole', 6, size=24)
    root, index = tmp_path / 'data', tmp_path / 'data' / f'decur_index_{version}.safetensors'
    shutil.copytree(tmp_path / 'whole', root)
    patches = sorted((root / ('BigEarthNet-v1.0' if version == 'v1' else 'BigEarthNet-S2')).rglob('*_B02.tif'))
    folder = patches[0].parent
    shutil.move(folder, tmp_path / folder.name)
    before = bigearthnet(root, missing='skip')
    assert folder.name not in before and len(before) >= 4
    written = index.stat().st_mtime_ns
    assert bigearthnet(root, missing='skip') == before and index.stat().st_mtime_ns == written  # nothing changed: it is read as it is
    with pytest.raises(DataError, match=f"patch '{folder.name}' has no S2 patch"):
        bigearthnet(root)
    shutil.move(tmp_path / folder.name, folder)
    after = bigearthnet(root)
    assert set(after) - set(before) <= {folder.name} and {name: after[name] for name in before} == before
    shutil.rmtree(index.parent / patches[1].parent.relative_to(root))
    assert patches[1].parent.name not in bigearthnet(root, missing='skip')
    # A copy of the data has other times; what it lists is the same.
    shutil.copytree(tmp_path / 'whole', tmp_path / 'copy')
    shutil.copy(index, tmp_path / 'copy')
    fresh = bigearthnet(tmp_path / 'whole')
    assert {name: labels for name, (_, labels) in bigearthnet(tmp_path / 'copy').items()} == {
        name: labels for name, (_, labels) in fresh.items()}


def test_only_new_patches_of_v1_are_read(tmp_path, monkeypatch):
    write_landcover('bigearthnet', tmp_path, 4, size=24)
    first = bigearthnet(tmp_path)
    name = sorted(path.name for path in (tmp_path / 'BigEarthNet-v1.0').iterdir())[0]
    new = tmp_path / 'BigEarthNet-v1.0' / 'S2A_MSIL2A_20170101T000000_0_0'
    shutil.copytree(tmp_path / 'BigEarthNet-v1.0' / name, new)
    (new / f'{name}{METADATA}').rename(new / f'{new.name}{METADATA}')
    read = []
    from decur.datasets import bigearthnet as module
    whole = module.labels_of
    monkeypatch.setattr(module, 'labels_of', lambda text, path, sensor, patch: read.append(patch) or whole(text, path, sensor, patch))
    assert set(bigearthnet(tmp_path, missing='keep')) == {*first, new.name} and read == [new.name]
    assert [row['labels'] for row in list_v1(tmp_path) if row['id'] == name] == [
        json.loads((tmp_path / 'BigEarthNet-v1.0' / name / f'{name}{METADATA}').read_text())['labels']]


def test_another_table_of_v2(tmp_path):
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('pyarrow')
    write_landcover('bigearthnet-v2', tmp_path, 4, num_test=2, size=24)
    assert len(bigearthnet(tmp_path, split='test')) == 2
    path = tmp_path / 'metadata.parquet'
    table = pandas.read_parquet(path)
    table['split'] = 'train'
    table.to_parquet(path)
    os.utime(path, ns=(10**18, 10**18))
    assert len(bigearthnet(tmp_path, split='train')) == len(table)


def test_an_index_does_not_lead_outside(tmp_path):
    write_landcover('bigearthnet', tmp_path / 'data', 2, size=24)
    bigearthnet(tmp_path / 'data')
    path = tmp_path / 'data' / 'decur_index_v1.safetensors'
    index = Table.load(path)
    for bad in ('../../secret', '/etc', '..', 'a\\b'):
        columns = {name: [value.decode() for value in index[name].tolist()] for name in ('id', 's1', 's2', 'split')}
        columns['s2'][0] = bad
        Table(dict(columns, labels=index['labels']), index.attributes).save(path)
        with pytest.raises(DataError, match='decur_index_v1.safetensors: patch .* leads outside'):
            bigearthnet(tmp_path / 'data')
    s1 = sorted((tmp_path / 'data' / 'BigEarthNet-S1-v1.0').iterdir())[0]
    (s1 / f'{s1.name}{METADATA}').write_text(json.dumps(dict(labels=['Pastures'], corresponding_s2_patch='../../secret')))
    path.unlink()
    assert all('..' not in str(sources) for sources, _ in bigearthnet(tmp_path / 'data', missing='keep').values())


def test_an_archive_that_was_replaced_is_read_again(tmp_path):
    pytest.importorskip('zarr')
    from test_ssl4eo_v11 import write_archive
    rng, stamps = np.random.default_rng(0), ['20200401T000000', '20191101T000000', '20200801T000000', '20201201T000000']
    folder = tmp_path / 'S1GRD'
    names = [f'ssl4eos12_train_seasonal_data_{i:06d}.zarr.zip' for i in (1, 2)]
    for name, ids in zip(names, (['0000001', '0000002'], ['0000003'])):
        write_archive(folder / name, ids, 'S1GRD', rng, stamps)
    entries = dict(s1=dict(channels=2, files=dict(product='s1'), reader=dict(type='BandReader', bands=('VV', 'VH'), size=24)))

    def listed():
        return [s['sample_id'] for s in SSL4EODataset(entries, str(tmp_path), pipeline=[])]

    assert listed() == ['0000001', '0000002', '0000003']
    before = (tmp_path / 'decur_index_S1GRD.safetensors').stat().st_mtime_ns
    assert len(listed()) == 3 and (tmp_path / 'decur_index_S1GRD.safetensors').stat().st_mtime_ns == before
    (folder / names[1]).unlink()
    values = write_archive(folder / names[1], ['0000009', '0000008'], 'S1GRD', rng, stamps[::-1])  # the same name, other samples
    assert listed() == ['0000001', '0000002', '0000008', '0000009']
    steps = [dict(type='DrawSeasons', mode='first', num_views=1), dict(type='LoadModalities')]
    sample = SSL4EODataset(entries, str(tmp_path), pipeline=steps)[2]
    assert np.array_equal(sample['images']['s1'], values['0000008'][2].astype(np.float32).transpose(1, 2, 0))
    (folder / names[0]).rename(folder / names[0].replace('000001', '000007'))  # it comes last now
    assert listed() == ['0000001', '0000002', '0000008', '0000009']


def test_a_list_of_patches_however_it_was_saved(tmp_path):
    write_landcover('bigearthnet', tmp_path, 4, size=24)
    names = sorted(bigearthnet(tmp_path))[:2]
    (tmp_path / 'bom.csv').write_bytes('\ufeff'.encode() + '\r\n'.join(f'{name},x' for name in names).encode())
    assert sorted(bigearthnet(tmp_path, split='bom.csv')) == names
    (tmp_path / 'latin.csv').write_bytes(f'{names[0]}\nö\n'.encode('latin-1'))
    with pytest.raises(DataError, match='latin.csv, line 2: not UTF-8'):
        bigearthnet(tmp_path, split='latin.csv')
    with pytest.raises(DataError, match='none.csv cannot be read'):
        bigearthnet(tmp_path, split='none.csv')

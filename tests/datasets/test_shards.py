"""Tar shards of SSL4EO-S12 v1.1 and TerraMesh: read by offset from folders as zarr reads their members, refused where they are bad."""
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from helpers import bound_config
from torch.utils.data import DataLoader

from decur.datasets import ShardDataset, SSL4EODataset, multimodal_collate
from decur.errors import ConfigError, DataError
from decur.prepare.inspect import inspect, report
from decur.readers.shards import ShardError
from decur.sensors import S1_BANDS, S2C_BANDS, STATISTICS

zarr = pytest.importorskip('zarr')
from decur_worlds.shard_layouts import write_shard, write_shards, zarr_zip  # noqa: E402

SIZE = 24


def entry(product, bands, **kwargs):
    return dict(channels=len(bands), bands=bands, files=dict(product=product), reader=dict(type='BandReader', bands=bands, size=SIZE),
                augmentation=dict(size=16), **kwargs)


ENTRIES = dict(sar=entry('S1GRD', S1_BANDS), optical=entry('S2L1C', S2C_BANDS))
LOAD = [dict(type='DrawSeasons', mode='first', num_views=1), dict(type='LoadModalities')]


@pytest.fixture(scope='module')
def released(tmp_path_factory):
    """Both releases, generated once; tests that change anything copy what they need."""
    root = tmp_path_factory.mktemp('shards')
    write_shards('ssl4eo', root / 'ssl4eo', 5, 1, per_shard=2, size=SIZE)
    write_shards('terramesh', root / 'mesh', 5, per_shard=2, size=SIZE)
    return root


def zarr_values(tar, key):
    """The bands of a member as zarr reads them."""
    import fsspec
    with tarfile.open(tar) as archive:
        data = archive.extractfile(f'{key}.zarr.zip').read()
    return zarr.open_consolidated(fsspec.filesystem('zip', fo=io.BytesIO(data)).get_mapper(''), mode='r')['bands'][...]


def make(folder, products=('S1GRD', 'S2L1C'), shards=2, per_shard=3, dates=4, change=lambda product, key, data: data):
    """Small shards of random numbers; returns the values by product and key."""
    rng = np.random.default_rng(0)
    values = {}
    for product in products:
        bands = S1_BANDS if product.startswith('S1') else S2C_BANDS if product == 'S2L1C' else (product, )
        for shard in range(shards):
            members = []
            for i in range(per_shard):
                key = f'ssl4eos12_train_{shard * per_shard + i:07d}'
                image = rng.integers(1, 3000, (dates, len(bands), SIZE, SIZE)).astype(np.int16)
                values[product, key] = image
                members.append((key, change(product, key, zarr_zip(image, bands, [None] * dates, key, (0, 0)))))
            write_shard(folder / product / f'ssl4eos12_shard_{shard + 1:06d}.tar', [member for member in members if member[1] is not None])
    return values


def test_samples_are_what_zarr_reads(released):
    root = released / 'ssl4eo'
    dataset = ShardDataset(ENTRIES, str(root), split='train', pipeline=LOAD)
    assert [s['sample_id'] for s in dataset] == [f'ssl4eos12_train_{i:07d}' for i in range(5)]
    assert dataset.shard_of_sample.tolist() == [0, 0, 1, 1, 2]
    for sample in dataset:
        for name, product in (('sar', 'S1GRD'), ('optical', 'S2L1C')):
            assert f'/{product}/' in sample['sources'][name]['tar']
            dates = sample['seasons'][name]
            expected = zarr_values(dates[0]['tar'], sample['sample_id'])
            assert [date['time'] for date in dates] == list(range(4)) and len(expected) == 4
            image = sample['images'][name]
            assert image.dtype == (np.float32 if name == 'sar' else np.int16)
            assert np.array_equal(image, expected[0].astype(image.dtype).transpose(1, 2, 0))
    for time in range(4):
        steps = [dict(type='DrawSeasons', mode='same', num_views=2), LOAD[1]]
        dataset = ShardDataset(ENTRIES, str(root / 'train'), pipeline=steps)
        dataset.seed = time
        sample = dataset[1]
        drawn = sample['sources']['optical'][0]['time']
        expected = zarr_values(sample['sources']['optical'][0]['tar'], sample['sample_id'])
        assert np.array_equal(sample['images']['optical'][1], expected[drawn].transpose(1, 2, 0))
    assert ShardDataset(ENTRIES, str(root), split='val', pipeline=LOAD)[0]['sample_id'] == 'ssl4eos12_val_0000000'
    chosen = ShardDataset(ENTRIES, str(root), split='train', shards='ssl4eos12_shard_{000002..000003}.tar', pipeline=LOAD)
    assert [s['sample_id'][-1] for s in chosen] == ['2', '3', '4'] and chosen.shard_of_sample.tolist() == [0, 0, 1]


def test_terramesh_has_one_radar_product_at_a_location(released):
    entries = dict(grd=entry('S1GRD', S1_BANDS), rtc=entry('S1RTC', S1_BANDS), dem=entry('DEM', ('DEM', )))
    dataset = ShardDataset(entries, str(released / 'mesh'), split='train', pipeline=[*LOAD, dict(type='PackModalities')])
    samples = [dataset[i] for i in range(5)]
    assert [s['data_samples'].present['rtc'] for s in samples] == [True] * 4 + [False]
    assert [s['data_samples'].present['grd'] for s in samples] == [False] * 4 + [True]
    assert all(s['data_samples'].present['dem'] for s in samples)
    # A location that has none of the modalities asked for is no sample.
    assert len(ShardDataset(dict(grd=entries['grd']), str(released / 'mesh'), split='train', pipeline=LOAD)) == 1


def test_both_statistics_are_told_apart_by_the_data(released):
    """Of TerraMesh every second location carries the offset; of the SSL4EO-S12 shards none does."""
    old, new = STATISTICS['ssl4eo_v11_s2c'], STATISTICS['ssl4eo_v11_shards_s2c']
    assert np.allclose(np.subtract(old.mean, new.mean), 1000) and new.std == old.std
    assert new.mean[0] == 1607.345 and new.mean[10] == 21.753

    def images(root, *steps):
        entries = dict(optical=dict(ENTRIES['optical'], radiometry=list(steps)))
        return [s['images']['optical'] for s in ShardDataset(entries, str(released / root), split='train', pipeline=LOAD)]

    right = dict(type='ToEightBit', statistics='ssl4eo_v11_shards_s2c')
    assert all(image.std() > 5 for image in images('ssl4eo', right))
    with pytest.raises(DataError, match='without it'):
        images('ssl4eo', dict(type='ToEightBit', statistics='ssl4eo_v11_s2c'))
    with pytest.raises(DataError, match="offset of 1000.*dict\\(type='RemoveOffset'\\) first"):
        images('mesh', right)
    assert all(image.std() > 5 for image in images('mesh', dict(type='RemoveOffset'), right))
    found = inspect(released / 'mesh')
    assert found['modalities']['train/S2L1C']['offset'] == .4 and "put dict(type='RemoveOffset') first" in report(found)
    assert inspect(released / 'ssl4eo')['modalities']['train/S2L1C']['offset'] == 0


def test_land_cover_is_a_label(released):
    dataset = ShardDataset(dict(optical=ENTRIES['optical']), str(released / 'mesh'), split='train', label='LULC',
                           pipeline=[*LOAD, dict(type='LoadLabelMap')])
    assert dataset.num_classes == 9 and dataset.metainfo['classes'][0] == 'water'
    for sample in dataset:
        raw = zarr_values(sample['seg_source']['tar'], sample['sample_id'])[0, 0]
        assert np.array_equal(sample['gt_seg_map'], np.where(raw == 0, 255, raw.astype(int) - 1))


def test_inspection_names_the_release_and_the_config(released):
    found = inspect(released / 'ssl4eo' / 'train')
    assert found['layout'] == 'ssl4eo-v1.1-shards' and 'ssl4eo-v11-shards_s1-s2_r50_decur.py' in found['config']
    assert set(found['modalities']) == {'S1GRD', 'S2L1C', 'S2L2A', 'S2RGB', 'NDVI', 'DEM', 'LULC'} and found['gaps'] == {}
    optical = found['modalities']['S2L1C']
    assert tuple(optical['bands']) == S2C_BANDS and optical['samples'] == 5 and optical['statistics'][0][0] == 'ssl4eo_v11_shards_s2c'
    assert 'pairs: every sample has every modality' in report(inspect(released / 'ssl4eo'))  # of two splits
    found = inspect(released / 'mesh')
    assert found['gaps'] == {}  # S1GRD or S1RTC
    assert found['layout'] == 'terramesh' and 'terramesh_s1-s2-dem_r50_decur.py' in found['config'] and 'split=train' in found['config']
    with pytest.raises(DataError, match='ShardDataset'):
        SSL4EODataset(dict(optical=dict(ENTRIES['optical'], files=dict(product='s2c'))), str(released / 'ssl4eo' / 'train'), pipeline=LOAD)


def test_the_index_is_kept_and_checked(tmp_path):
    values = make(tmp_path)
    dataset = ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    index = tmp_path / 'decur_shards_S2L1C.safetensors'
    before = index.stat().st_mtime_ns
    ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    assert index.stat().st_mtime_ns == before
    # A shard is replaced by one of another order: only it is read again, and its samples are right.
    path = tmp_path / 'S2L1C' / 'ssl4eos12_shard_000002.tar'
    with tarfile.open(path) as archive:
        members = [(name.removesuffix('.zarr.zip'), archive.extractfile(name).read()) for name in archive.getnames()]
    write_shard(path, members[::-1])
    os.utime(path, ns=(1, 1))
    again = ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    assert index.stat().st_mtime_ns != before and len(again) == len(dataset) == 6
    for sample in again:
        assert np.array_equal(sample['images']['optical'], values['S2L1C', sample['sample_id']][0].transpose(1, 2, 0))
    index.write_bytes(index.read_bytes()[:100])
    assert len(ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)) == 6


def test_workers_and_order_change_nothing(tmp_path):
    make(tmp_path)
    steps = [dict(type='DrawSeasons'), LOAD[1], dict(type='MakeViews'), dict(type='PackModalities')]
    entries = {name: dict(e, augmentation=dict(size=16, jitter_prob=0, solarize_prob=0)) for name, e in ENTRIES.items()}
    dataset = ShardDataset(entries, str(tmp_path), pipeline=steps)
    dataset.seed = 3
    alone = {index: dataset[index] for index in (11, 4, 0, 7)}
    loader = DataLoader(dataset, batch_size=2, sampler=[0, 4, 7, 11], num_workers=2, collate_fn=multimodal_collate)
    for indices, batch in zip(((0, 4), (7, 11)), loader):
        for row, index in enumerate(indices):
            for name, views in batch['inputs'].items():
                assert all(np.array_equal(view[row], mine) for view, mine in zip(views, alone[index]['inputs'][name]))


def damage(path, start, count=1):
    data = bytearray(path.read_bytes())
    for i in range(start, start + count):
        data[i] ^= 255
    path.write_bytes(data)


def test_a_shard_that_is_cut_is_named_and_skipped_only_if_asked(tmp_path):
    make(tmp_path)
    path = tmp_path / 'S2L1C' / 'ssl4eos12_shard_000002.tar'
    whole = path.read_bytes()
    for end in (len(whole) - 10240 * 2, 512 * 3, 100, 0):
        path.write_bytes(whole[:end])
        with pytest.raises(ShardError, match=f'{path.name} is cut short'):
            ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    rest = ShardDataset(ENTRIES, str(tmp_path), damaged='skip', missing='skip', pipeline=LOAD)
    assert [s['sample_id'][-1] for s in rest] == ['0', '1', '2'] and len(rest.skipped) == 3
    rest = ShardDataset(ENTRIES, str(tmp_path), damaged='skip', pipeline=LOAD)  # the other product's samples go with the shard
    assert [s['sample_id'][-1] for s in rest] == ['0', '1', '2'] and rest.shard_of_sample.tolist() == [0] * 3
    rest = ShardDataset(ENTRIES, str(tmp_path), damaged='skip', missing='keep', pipeline=LOAD)
    assert len(rest) == 6 and sum(image is None for image in rest[4]['images'].values()) == 1
    path.write_bytes(whole)
    damage(path, 0)
    with pytest.raises(ShardError, match=f'{path.name} is damaged: the header at byte 0'):
        ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    path.write_bytes(whole)
    assert len(ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)) == 6
    with pytest.raises(ShardError, match='S1GRD/ssl4eos12_shard_000003.tar does not exist'):
        ShardDataset(ENTRIES, str(tmp_path), shards='ssl4eos12_shard_{000001..000009}.tar', pipeline=LOAD)


def test_a_damaged_member_is_named_and_replaced_only_if_asked(tmp_path):
    values = make(tmp_path)
    path = tmp_path / 'S2L1C' / 'ssl4eos12_shard_000001.tar'
    victim = values['S2L1C', 'ssl4eos12_train_0000001']
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        member = archive.getmember('ssl4eos12_train_0000001.zarr.zip')
        inside = zipfile.ZipFile(io.BytesIO(archive.extractfile(member).read()))
    damage(path, member.offset_data + inside.getinfo('bands/0.0.0.0').header_offset + 200)
    assert len(victim) and path.read_bytes() != data
    dataset = ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    with pytest.raises(ShardError, match=f'{path.name}: ssl4eos12_train_0000001 .*Bad CRC'):
        dataset[1]
    lenient = ShardDataset(ENTRIES, str(tmp_path), damaged='skip', pipeline=LOAD)
    assert [s['sample_id'][-1] for s in lenient] == ['0', '2', '2', '3', '4', '5']


def test_shards_of_different_keys(tmp_path):
    make(tmp_path, change=lambda product, key, data: None if product == 'S1GRD' and key.endswith('4') else data)
    with pytest.raises(DataError, match="'ssl4eos12_train_0000004' of ssl4eos12_shard_000002.tar is not in S1GRD"):
        ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    assert [s['sample_id'][-1] for s in ShardDataset(ENTRIES, str(tmp_path), missing='skip', pipeline=LOAD)] == list('01235')
    kept = ShardDataset(ENTRIES, str(tmp_path), missing='keep', pipeline=LOAD)
    assert len(kept) == 6 and kept[4]['images']['sar'] is None and kept[4]['images']['optical'] is not None
    os.rename(tmp_path / 'S1GRD' / 'ssl4eos12_shard_000001.tar', tmp_path / 'S1GRD' / 'ssl4eos12_shard_000003.tar')
    with pytest.raises(DataError, match='shards of one name must hold the same samples'):
        ShardDataset(ENTRIES, str(tmp_path), missing='keep', pipeline=LOAD)


def test_members_that_are_no_zarr(tmp_path):
    make(tmp_path)
    path = tmp_path / 'S2L1C' / 'ssl4eos12_shard_000001.tar'
    keys = [f'ssl4eos12_train_{i:07d}' for i in range(3)]
    whole = path.read_bytes()
    for content, match in ((b'no zip at all', 'cannot be read as a zarr archive'), (b'', 'cannot be read as a zarr archive'),
                           (_zip({'x': b'1'}), 'lacks bands/.zarray'), (_zip({'bands/.zarray': b'{}'}), 'cannot be read as a zarr'),
                           (_zip({'bands/.zarray': _about(dtype='|O')}), 'expected plain numbers'),
                           (_zip({'bands/.zarray': _about(filters=[dict(id='pickle')])}), 'is pickled'),
                           (_zip({'bands/.zarray': _about(compressor=dict(id='lzma'))}), "compressed with 'lzma'"),
                           (_zip({'bands/.zarray': _about(chunks=[1, 1, 1 << 16, 1 << 16])}), 'claims chunks'),
                           (_zip({'bands/.zarray': _about(shape=[4, 2, 6])}), 'has shape')):
        write_shard(path, [(key, content) for key in keys])
        with pytest.raises(DataError, match=match) as caught:
            ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
        assert path.name in str(caught.value) and '\n' not in str(caught.value)
    path.write_bytes(whole)
    with tarfile.open(path, 'a') as archive:
        archive.addfile(tarfile.TarInfo('README.md'), io.BytesIO())
    with pytest.raises(DataError, match="holds 'README.md', which is no zarr archive"):
        ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)


def _zip(parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def _about(**changes):
    about = dict(zarr_format=2, shape=[4, 2, 6, 6], chunks=[1, 2, 6, 6], dtype='<i2', compressor=None, fill_value=0, order='C',
                 filters=None)
    return json.dumps({**about, **changes}).encode()


def test_a_wrong_number_of_dates(tmp_path):
    def change(product, key, data):
        if product == 'S2L1C' and key.endswith('1'):
            return zarr_zip(np.ones((2, 13, SIZE, SIZE), np.int16), S2C_BANDS, [None] * 2, key, (0, 0))
        return data
    make(tmp_path, change=change)
    dataset = ShardDataset(ENTRIES, str(tmp_path), pipeline=LOAD)
    with pytest.raises(DataError, match='ssl4eos12_train_0000001 has 2 dates, the first sample of its shard has 4'):
        dataset[1]


def test_chunks_of_any_form_and_a_chunk_that_is_missing(tmp_path):
    """As zarr cuts them where nobody says how: several dates, bands and parts of the image in one, the last ones incomplete."""
    image = np.arange(4 * 13 * SIZE * SIZE, dtype=np.int16).reshape(4, 13, SIZE, SIZE)
    for order in 'CF':
        store = zarr.storage.MemoryStore()
        group = zarr.create_group(store, zarr_format=2)
        group.create_array('bands', shape=image.shape, chunks=(3, 5, 10, 24), dtype=image.dtype, order=order)[...] = image
        group.create_array('band', shape=(13, ), dtype='<U3')[...] = np.array(S2C_BANDS)
        parts = {name: value.to_bytes() for name, value in store._store_dict.items()}
        write_shard(tmp_path / 'S2L1C' / 'ssl4eos12_shard_000001.tar', [('ssl4eos12_train_0000000', _zip(parts))])
        dataset = ShardDataset(dict(optical=ENTRIES['optical']), str(tmp_path), pipeline=LOAD)
        for time in range(4):
            info = dataset.get_data_info(0)
            found = dataset.pipeline.transforms[1].loaders['optical'](info['seasons']['optical'][time])[0]
            assert np.array_equal(found, image[time].transpose(1, 2, 0))
    del parts['bands/1.2.1.0']
    write_shard(tmp_path / 'S2L1C' / 'ssl4eos12_shard_000001.tar', [('ssl4eos12_train_0000000', _zip(parts))])
    dataset = ShardDataset(dict(optical=ENTRIES['optical']), str(tmp_path), pipeline=LOAD)
    assert dataset[0]['images']['optical'].shape == (SIZE, SIZE, 13)
    with pytest.raises(ShardError, match='lacks bands/1.2.1.0'):
        dataset.pipeline.transforms[1].loaders['optical'](dataset.get_data_info(0)['seasons']['optical'][3])


def test_long_names_are_read_by_tarfile(tmp_path):
    key = 'x' * 150
    data = zarr_zip(np.ones((1, 1, SIZE, SIZE), np.int16), ('DEM', ), [None], key, (0, 0))
    (tmp_path / 'DEM').mkdir()
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / 'DEM' / 'ssl4eos12_shard_000001.tar', 'w', format=format) as archive:
            member = tarfile.TarInfo(f'{key}.zarr.zip')
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        dataset = ShardDataset(dict(dem=entry('DEM', ('DEM', ))), str(tmp_path), pipeline=LOAD)
        assert dataset[0]['sample_id'] == key and (dataset[0]['images']['dem'] == 1).all()
        os.truncate(tmp_path / 'DEM' / 'ssl4eos12_shard_000001.tar', 2048)
        with pytest.raises(ShardError, match='cut short'):
            ShardDataset(dict(dem=entry('DEM', ('DEM', ))), str(tmp_path), pipeline=LOAD)


def test_options_that_cannot_be(released):
    root = str(released / 'ssl4eo')
    for kwargs, match in ((dict(), 'holds .*train.*choose one'), (dict(split='test'), "split='test'"),
                          (dict(split='train', missing='no'), 'missing'), (dict(split='train', label='X'), 'label')):
        with pytest.raises(ConfigError, match=match):
            ShardDataset(ENTRIES, root, pipeline=LOAD, **kwargs)
    with pytest.raises(ConfigError, match='did you mean'):
        ShardDataset(dict(sar=entry('S1GDR', S1_BANDS)), root, split='train', pipeline=LOAD)
    with pytest.raises(DataError, match='S1RTC has no tar shards'):
        ShardDataset(dict(sar=entry('S1RTC', S1_BANDS)), root, split='train', pipeline=LOAD)


@pytest.mark.parametrize('name, root', [('ssl4eo-v11-shards_s1-s2', 'ssl4eo'), ('terramesh_s1-s2-dem', 'mesh')])
def test_the_configs_read_them(released, name, root):
    cfg = bound_config(f'decur/{name}_r50_decur.py').train_dataloader.dataset
    cfg.pop('type')
    dataset = ShardDataset(**dict(cfg, data_root=str(released / root)))
    dataset.seed = 0
    batch = multimodal_collate([dataset[i] for i in range(len(dataset))])
    assert {name: tuple(views[0].shape) for name, views in batch['inputs'].items()} == {
        name: (5, e['channels'], 224, 224) for name, e in cfg['modalities'].items()}
    assert all(views[0][0].float().std() > 3 for views in batch['inputs'].values())


def test_generation_goes_on_and_refuses_what_cannot_be(tmp_path):
    for folder in ('a', 'b'):
        write_shards('ssl4eo', tmp_path / folder, 1, per_shard=2, size=SIZE)
        victim = tmp_path / folder / 'train' / 'NDVI' / 'ssl4eos12_shard_000001.tar'
        whole = victim.read_bytes()
        if folder == 'a':
            victim.unlink()
            write_shards('ssl4eo', tmp_path / folder, 1, per_shard=2, size=SIZE)
            assert victim.read_bytes() == whole
    assert (tmp_path / 'a' / 'train' / 'NDVI' / victim.name).read_bytes() == whole
    for args, match in ((('sentinel', tmp_path / 'c', 1), 'release'), (('ssl4eo', tmp_path / 'c', 0), 'cannot generate'),
                        (('ssl4eo', tmp_path / 'c', 1, 0, 1, 25), 'size'), (('ssl4eo', tmp_path / 'a', 1, 0, 3, SIZE), 'other settings')):
        with pytest.raises(ConfigError, match=match):
            write_shards(*args)


def test_a_killed_run_goes_on_to_the_same_losses(tmp_path):
    """Losses of an epoch and a half, in one go and with a restart in the middle, by other numbers of workers and another cached index."""
    import torch

    from decur.engine import ShardSampler
    make(tmp_path, shards=3, per_shard=4)
    steps = [dict(type='DrawSeasons'), LOAD[1], dict(type='MakeViews'), dict(type='PackModalities')]
    entries = {name: dict(e, radiometry=[dict(type='PercentilesToEightBit')]) for name, e in ENTRIES.items()}

    def run(first, last, workers, weight):
        dataset = ShardDataset(entries, str(tmp_path), pipeline=steps)
        sampler = ShardSampler(dataset, window=2, seed=3)
        losses, step = [], 3 * (first // 3)
        for epoch in range(first // 3, 2):
            sampler.set_epoch(epoch)
            if step < first:
                sampler.skip(4 * (first - step))
                step = first
            for batch in DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=workers, collate_fn=multimodal_collate):
                if step == last:
                    return losses, weight
                x = torch.cat([batch['inputs'][name][view].double().mean(dim=(2, 3)) / 255 for name in entries for view in (0, 1)], dim=1)
                loss = ((x @ weight - 1)**2).mean()
                losses.append(loss.item())
                weight = (weight - .1 * torch.autograd.grad(loss, weight)[0]).detach().requires_grad_()
                step += 1
        return losses, weight

    start = torch.zeros(30, dtype=torch.float64, requires_grad=True)
    whole = run(0, 5, 0, start)[0]
    before, weight = run(0, 2, 2, start)
    assert before + run(2, 5, 1, weight)[0] == whole and len(set(whole)) == 5

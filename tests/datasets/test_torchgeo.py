"""TorchGeo's data sets by a config entry: the same samples as our readers' where both read a release, and TorchGeo's own fixtures.

The fixtures are in TorchGeo's repository, not in its package: DECUR_TORCHGEO_DATA is the folder ``tests/data`` of a checkout.
"""
import os
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope

from decur.errors import ConfigError, DataError
from decur.transforms import ModalityLoader
from decur_worlds.landcover_layouts import write_landcover

torchgeo = pytest.importorskip('torchgeo.datasets')
FIXTURES = os.environ.get('DECUR_TORCHGEO_DATA')
S1 = dict(channels=2, bands=('VV', 'VH'))
S2C = dict(channels=13, bands=('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12'))
S2A = dict(channels=12, bands=tuple(band for band in S2C['bands'] if band != 'B10'))
LOAD = [dict(type='LoadModalities'), dict(type='PackModalities')]


def build(**kwargs):
    return DATASETS.build(dict(dict(type='TorchGeoDataset', pipeline=LOAD, serialize_data=False), **kwargs))


def files_of(entry, size, **files):
    """The entry for our own readers of a release."""
    bands = [f'B0{band[1:]}' if 'sensor' in files and len(band) == 2 and band[1].isdigit() else band for band in entry['bands']]
    return dict(entry, files=files, reader=dict(type='BandReader', bands=bands, size=size))


@pytest.fixture(scope='module')
def landcover(tmp_path_factory):
    root = tmp_path_factory.mktemp('landcover')
    write_landcover('ssl4eo', root / 'ssl4eo', 2, size=264)
    write_landcover('bigearthnet', root / 'bigearthnet', 3, 1, 1)
    for folder in [folder for product in ('s1', 's2c') for folder in sorted((root / 'ssl4eo' / product).iterdir())]:
        folder.rename(folder.with_name(f'{int(folder.name) % 100:07d}'))  # TorchGeo looks for the first hundred
    for split in ('train', 'val', 'test'):  # TorchGeo's names of the lists
        (root / 'bigearthnet' / f'{split}.csv').rename(root / 'bigearthnet' / f'bigearthnet-{split}.csv')
    return root


def ssl4eo(root, **kwargs):
    parts = dict(sar=dict(type='SSL4EOS12', split='s1', seasons=4), optical=dict(type='SSL4EOS12', split='s2c', seasons=4))
    return build(modalities=dict(sar=S1, optical=S2C), dataset=parts, data_root=str(root), dates=4, indices=(0, 7), **kwargs)


def test_a_data_set_for_each_sensor_gives_the_seasons_of_our_reader(landcover):
    steps = [dict(type='DrawSeasons', mode='independent', num_views=1), *LOAD]
    theirs = ssl4eo(landcover / 'ssl4eo', pipeline=steps)
    ours = DATASETS.build(dict(type='SSL4EODataset', data_root=str(landcover / 'ssl4eo'), pipeline=steps, modalities=dict(
        sar=files_of(S1, 264, product='s1'), optical=files_of(S2C, 264, product='s2c'))))
    for row in range(2):
        record = theirs.open_sample(theirs.get_data_info(row))
        assert [len(seasons) for seasons in record['seasons'].values()] == [4, 4]
        want = ours.get_data_info(row)['seasons']
        for name, entry in (('sar', S1), ('optical', S2C)):
            loader = ModalityLoader(name, ours.modalities[name])
            for mine, one in zip(want[name], record['seasons'][name]):
                expected = loader(mine)[0].astype(np.float32)
                same = np.array([np.array_equal(expected[..., i], one.array[..., i]) for i in range(entry['channels'])])
                # TorchGeo brings bands of 20 and 60 m to 264 pixels by nearest neighbours.
                assert same[[i for i, band in enumerate(entry['bands']) if band in ('VV', 'VH', 'B2', 'B3', 'B4', 'B8')]].all()


def test_a_sample_depends_on_the_seed_alone(landcover):
    """TorchGeo draws the order of seasons at random."""
    steps = [dict(type='DrawSeasons', mode='independent', num_views=1), *LOAD]
    data = ssl4eo(landcover / 'ssl4eo', pipeline=steps)
    data.seed = 5
    first = data[0]['inputs']
    np.random.seed(1)
    random.seed(1)
    again = data[0]['inputs']
    assert all(first[name].equal(again[name]) for name in first)
    other = data[len(data)]['inputs']  # the next epoch
    assert not all(first[name].equal(other[name]) for name in first)


def test_the_names_are_those_of_the_values_not_of_the_documentation(landcover):
    """TorchGeo's BigEarthNet sorts files by name: VH before VV."""
    root = landcover / 'bigearthnet'
    theirs = build(modalities=dict(sar=S1, optical=S2A), dataset=dict(type='BigEarthNet', split='train', bands='all'), data_root=str(root),
                   label='label')
    ours = DATASETS.build(dict(type='BigEarthNetDataset', data_root=str(root), split='bigearthnet-train.csv', pipeline=LOAD,
                               modalities=dict(
        sar=files_of(S1, 120, sensor='s1'), optical=files_of(S2A, 120, sensor='s2'))))
    assert len(theirs) == len(ours) == 3
    for sample, mine in zip(theirs, ours):
        sar = sample['inputs']['sar']
        # TorchGeo reads dB as whole numbers.
        assert (mine['inputs']['sar'].trunc() - sar).abs().max() <= 1 and (mine['inputs']['sar'].flip(0) - sar).abs().mean() > 2
        assert mine['inputs']['optical'][3].float().equal(sample['inputs']['optical'][3])
        # The 19 classes are in another order there.
        assert mine['data_samples'].gt_score.sum() == sample['data_samples'].gt_score.sum()


def test_it_goes_to_workers(landcover):
    data = ssl4eo(landcover / 'ssl4eo', pipeline=[dict(type='DrawSeasons', mode='first', num_views=1), *LOAD])
    copy = pickle.loads(pickle.dumps(data))
    assert copy[1]['inputs']['sar'].shape == (2, 264, 264)


@pytest.mark.parametrize('change, error, message', [
    (dict(dataset=dict(type='BigEarthnet')), ConfigError, "TorchGeo has no data set 'BigEarthnet' .did you mean 'BigEarthNet"),
    (dict(dataset=dict(type='BigEarthNet', bands='s3')), ConfigError, 'TorchGeo does not build BigEarthNet'),
    (dict(dataset=dict(type='BigEarthNet', colour=1)), ConfigError, "TorchGeo does not build .*'colour'"),
    (dict(data_root='/nowhere'), DataError, 'BigEarthNet: Dataset not found in .* Set data_root'),
    (dict(modalities=dict(sar=dict(S1, files=dict(dataset='s1')))), ConfigError, "in the TorchGeo data set 's1', and there are"),
    (dict(window=dict(size=8)), ConfigError, 'counts its samples: leave window out'),
    (dict(indices=(0, 9)), ConfigError, 'indices must be whole numbers from 0 to 2'),
    (dict(label_dataset='x'), ConfigError, "label_dataset='x'"),
    (dict(dates=0), ConfigError, 'dates must be a number of dates'),
    (dict(dataset=dict(a=dict(type='BigEarthNet', split='train'), b=dict(type='BigEarthNet', split='val')),
          modalities=dict(a=S1, b=S2A)), DataError, 'hold different samples .a: 3, b: 1.'),
])
def test_what_cannot_be_is_named(landcover, change, error, message):
    known = dict(modalities=dict(sar=S1, optical=S2A), dataset=dict(type='BigEarthNet', split='train'),
                 data_root=str(landcover / 'bigearthnet'))
    with pytest.raises(error, match=message) as raised:
        build(**{**known, **change})
    assert '\n' not in str(raised.value)


def test_a_sample_that_torchgeo_cannot_read_is_named(landcover):
    data = build(modalities=dict(sar=S1), dataset=dict(type='BigEarthNet', split='train', bands='s1'),
                 data_root=str(landcover / 'bigearthnet'), label='mask')
    with pytest.raises(DataError, match="sample 0 of BigEarthNet has no 'mask'; it has \\['image', 'label'\\]"):
        data[0]
    data.parts[''].folders[0]['s1'] = '/nowhere'
    with pytest.raises(DataError, match='sample 0 of BigEarthNet cannot be read by TorchGeo'):
        data[0]


@pytest.mark.parametrize('value, message', [
    (torch.tensor(1.5), "'label' is 1.5, and a class is a whole number"),
    ('water', "'label' is no number or tensor of numbers, but 'water'"),
    (torch.tensor([0., float('nan')]), "'label' has values that are not finite"),
    (torch.zeros(2, 3, 4), r"'label' has shape \(2, 3, 4\)"),
])
def test_a_label_that_is_none_is_named(landcover, value, message):
    data = build(modalities=dict(sar=S1), dataset=dict(type='BigEarthNet', split='train', bands='s1'),
                 data_root=str(landcover / 'bigearthnet'), label='label')
    part = data.parts['']
    data.parts[''] = type('BigEarthNet', (), dict(__getitem__=lambda self, i: dict(part[i], label=value)))()
    with pytest.raises(DataError, match='sample 0 of BigEarthNet: ' + message):
        data[0]


CASES = dict(
    ssl4eo=dict(path='ssl4eo/s12', dataset=dict(sar=dict(type='SSL4EOS12', split='s1', seasons=2),
                                                optical=dict(type='SSL4EOS12', split='s2c', seasons=2)),
                modalities=dict(sar=S1, optical=S2C), dates=2, indices=(0, ),
                pipeline=[dict(type='DrawSeasons', num_views=1, mode='first'), *LOAD], size=264),
    bigearthnet_v1=dict(path='bigearthnet/v1', dataset=dict(type='BigEarthNet'), label='label', size=120,
                        modalities=dict(sar=S1, optical=S2A)),
    bigearthnet_v2=dict(path='bigearthnet/v2', dataset=dict(type='BigEarthNetV2'), label='label', size=120, modalities=dict(
        sar=dict(S1, files=dict(key='image_s1')), optical=dict(S2A, files=dict(key='image_s2')))),
    sen12ms=dict(path='sen12ms', dataset=dict(type='SEN12MS'), modalities=dict(sar=S1, optical=S2C), label='mask', size=64),
    dfc2020=dict(path='copernicus/l2_dfc2020_s1s2', modalities=dict(sar=S1, optical=S2C), label='mask', size=32,
                 dataset=dict(sar=dict(type='CopernicusBenchDFC2020S1'), optical=dict(type='CopernicusBenchDFC2020S2'))),
    dfc2022=dict(path='dfc2022', dataset=dict(type='DFC2022'), label='mask', size=32, modalities=dict(
        rgb=dict(channels=3, bands=('R', 'G', 'B')), dem=dict(channels=1, bands=('DEM', )))),
    geonrw=dict(path='geonrw', dataset=dict(type='GeoNRW'), label='mask', size=100, modalities=dict(
        rgb=dict(channels=3), dem=dict(channels=1, files=dict(key='dem')))),
    treesatai=dict(path='treesatai', dataset=dict(type='TreeSatAI'), label='label', size=2, modalities=dict(
        sar=dict(S1, files=dict(key='image_s1')), optical=dict(S2A, files=dict(key='image_s2')))),
    so2sat=dict(path='so2sat', dataset=dict(type='So2Sat', version='2'), label='label', size=32, modalities=dict(
        sar=dict(channels=2, files=dict(channels=('S1_B5', 'S1_B6'))), optical=dict(channels=3, files=dict(
            channels=('S2_B04', 'S2_B03', 'S2_B02'))))),
    oscd=dict(path='oscd', dataset=dict(type='OSCD'), label='mask', size=64, modalities=dict(
        before=dict(S2C, files=dict(date=0)), after=dict(S2C, files=dict(date=1)))),
    enviroatlas=dict(path='enviroatlas', dataset=dict(type='EnviroAtlas', layers=('naip', 'buildings', 'lc')), label='mask', size=None,
                     window=dict(size=16), modalities=dict(rgb=dict(channels=4, bands=('R', 'G', 'B', 'NIR')),
                                                           buildings=dict(channels=1, bands=('buildings', )))),
)


@pytest.mark.skipif(not FIXTURES, reason='DECUR_TORCHGEO_DATA is not set: the fixtures are in the repository of TorchGeo')
@pytest.mark.parametrize('name', CASES)
def test_the_fixtures_of_torchgeo(name):
    case = dict(CASES[name])
    path, size = os.path.join(FIXTURES, case.pop('path')), case.pop('size')
    if case.get('label') == 'mask':
        case['pipeline'] = [LOAD[0], dict(type='LoadLabelMap'), dict(type='ConcatModalities'), dict(type='PackSegInputs')]
        init_default_scope('mmseg')
    with_label = 'label' in case
    data = build(data_root=path, **case)
    for sample in list(data)[:2]:
        if case.get('label') == 'mask':
            image = sample['inputs']
            assert len(image) == sum(entry['channels'] for entry in case['modalities'].values())
            assert image.shape[1:] == sample['data_samples'].gt_sem_seg.shape
            assert size is None or tuple(image.shape[1:]) == (size, size)
        else:
            assert {name: tuple(x.shape) for name, x in sample['inputs'].items()} == {
                name: (entry['channels'], size, size) for name, entry in case['modalities'].items()}
            assert not with_label or 'gt_score' in sample['data_samples'] or 'gt_label' in sample['data_samples']

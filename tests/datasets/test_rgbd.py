import json
import shutil

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from decur.datasets import NYUv2Dataset, SUNRGBDDataset
from decur.datasets.rgbd import NYUV2_CLASSES, SUNRGBD_CLASSES
from decur.errors import ConfigError, DataError
from decur.transforms import depth_to_hha
from decur_worlds.rgbd_layouts import write_layout
from decur_worlds.rooms import TEST_OFFSET, generate_room
from decur_worlds.rooms_dataset import write_rooms

SIZE = (40, 56)
RGB = dict(channels=3, reader=dict(type='PillowReader', mode='RGB'))
HHA = dict(channels=3, reader=dict(type='PillowReader', mode='RGB'))
DEPTH = dict(channels=1, reader=dict(type='DepthReader'), interpolation='nearest')
PIPELINE = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities', resize=False)]
ON_THE_FLY = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='DepthToHHA'), dict(type='ConcatModalities')]


@pytest.fixture(scope='module')
def layouts(tmp_path_factory):
    root = tmp_path_factory.mktemp('layouts')
    for layout in ('cmx', 'dformer', 'esanet', 'numbered'):
        write_layout(layout, root / layout, 3, 2, SIZE, seed=1)
    write_rooms(root / 'prepared', 3, 2, SIZE, seed=1)
    return root


@pytest.fixture
def copy(layouts, tmp_path):
    def copier(layout):
        return shutil.copytree(layouts / layout, tmp_path / layout)
    return copier


def rooms(split):
    return [generate_room(1, i + (TEST_OFFSET if split == 'test' else 0), SIZE) for i in range(3 if split == 'train' else 2)]


def test_classes():
    assert len(SUNRGBD_CLASSES) == 37 == len(SUNRGBDDataset.METAINFO['palette'])
    assert len(NYUV2_CLASSES) == 40 == len(NYUv2Dataset.METAINFO['palette'])
    assert NYUV2_CLASSES[:37] == SUNRGBD_CLASSES and NYUV2_CLASSES[36:] == ('bag', 'otherstructure', 'otherfurniture', 'otherprop')
    for dataset in (SUNRGBDDataset, NYUv2Dataset):
        assert len({tuple(colour) for colour in dataset.METAINFO['palette']}) == len(dataset.METAINFO['classes'])


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('layout', ['prepared', 'cmx', 'numbered'])
def test_rgb_and_hha(layouts, layout, split):
    dataset = DATASETS.build(dict(type='SUNRGBDDataset', modalities=dict(rgb=RGB, hha=HHA), data_root=str(layouts / layout), layout=layout,
                                  split=split, pipeline=PIPELINE))
    expected = rooms(split)
    assert len(dataset) == len(expected)
    for sample, room in zip(dataset, expected):
        assert np.array_equal(sample['img'][..., :3], room['rgb'])
        assert np.array_equal(sample['gt_seg_map'], np.where(room['label'] == 0, 255, room['label'].astype(int) - 1))
        if layout == 'prepared':
            depth = np.rint(room['depth'] * 1000).astype(np.uint16) / 1000.
            assert np.array_equal(sample['img'][..., 3:], depth_to_hha(depth, room['intrinsics']))
        else:
            assert sample['img'][..., 3:].any()


@pytest.mark.parametrize('layout', ['prepared', 'esanet', 'numbered'])
def test_metric_depth(layouts, layout):
    dataset = SUNRGBDDataset(dict(depth=DEPTH), str(layouts / layout), 'test', layout, pipeline=PIPELINE)
    for sample, room in zip(dataset, rooms('test')):
        seen = room['depth'] > 0
        assert sample['img'].dtype == np.float32
        assert np.abs(sample['img'][..., 0] - room['depth'])[seen].max() < 6e-4


def test_dformer_lists_and_picture_of_depth(layouts):
    dataset = NYUv2Dataset(dict(rgb=RGB, depth=dict(channels=1)), str(layouts / 'dformer'), 'train', 'dformer', pipeline=PIPELINE)
    assert [dataset.get_data_info(i)['sample_id'] for i in range(3)] == ['0', '1', '2']
    assert dataset[1]['img'].dtype == np.uint8 and np.array_equal(dataset[1]['img'][..., :3], rooms('train')[1]['rgb'])
    with pytest.raises(DataError, match='8 bits'):
        NYUv2Dataset(dict(rgb=RGB, depth=DEPTH), str(layouts / 'dformer'), 'train', 'dformer', pipeline=PIPELINE)[0]
    with pytest.raises(DataError, match='8 bits'):
        NYUv2Dataset(dict(rgb=RGB, hha=dict(HHA, files=None)), str(layouts / 'dformer'), 'train', 'dformer', pipeline=ON_THE_FLY)


def test_esanet_takes_the_files_present(layouts):
    dataset = NYUv2Dataset(dict(rgb=RGB), str(layouts / 'esanet'), 'test', 'esanet', pipeline=PIPELINE)
    assert [dataset.get_data_info(i)['sample_id'] for i in range(2)] == ['0003', '0004']


def test_numbered_split_goes_by_number(layouts):
    dataset = SUNRGBDDataset(dict(rgb=RGB), str(layouts / 'numbered'), 'train', 'numbered', pipeline=PIPELINE)
    assert [dataset.get_data_info(i)['sample_id'] for i in range(3)] == ['5051', '5052', '5053']


def test_hha_while_loading_is_hha_on_disk(layouts):
    root = str(layouts / 'prepared')
    disk = SUNRGBDDataset(dict(rgb=RGB, hha=HHA), root, pipeline=PIPELINE)
    made = SUNRGBDDataset(dict(rgb=RGB, hha=dict(HHA, files=None)), root, pipeline=ON_THE_FLY)
    assert all(np.array_equal(a['img'], b['img']) for a, b in zip(disk, made))
    alone = SUNRGBDDataset(dict(hha=dict(HHA, files=None)), root, pipeline=ON_THE_FLY)
    assert np.array_equal(alone[0]['img'], disk[0]['img'][..., 3:])


def test_hha_while_loading_uses_raw_depth(layouts):
    root = layouts / 'esanet'
    dataset = NYUv2Dataset(dict(hha=dict(HHA, files=None)), str(root), 'test', 'esanet', pipeline=ON_THE_FLY)
    camera = json.loads((root / 'intrinsics.json').read_text())['0003']
    depth, raw = (cv2.imread(str(root / 'test' / name / '0003.png'), cv2.IMREAD_UNCHANGED) / 1000.
                  for name in ('depth', 'depth_raw'))
    assert np.array_equal(dataset[0]['img'], depth_to_hha(depth, camera, raw))
    assert not np.array_equal(dataset[0]['img'], depth_to_hha(depth, camera))


def test_intrinsics_come_from_where_they_can(copy):
    root = copy('prepared')
    entry = dict(hha=dict(HHA, files=None))
    stem = (root / 'train.txt').read_text().split()[0]
    cameras = json.loads((root / 'intrinsics.json').read_text())
    own = SUNRGBDDataset(entry, str(root), pipeline=ON_THE_FLY)
    assert own.get_data_info(0)['intrinsics'] == pytest.approx(cameras[stem])
    given = SUNRGBDDataset(entry, str(root), pipeline=ON_THE_FLY, intrinsics=[50, 50, 28, 20])
    assert given.get_data_info(0)['intrinsics'] == (50, 50, 28, 20)
    del cameras[stem]
    (root / 'intrinsics.json').write_text(json.dumps(cameras))
    with pytest.raises(DataError, match=f'{stem}.*fx, fy, cx, cy'):
        len(SUNRGBDDataset(entry, str(root), pipeline=ON_THE_FLY))
    (root / 'intrinsics.json').unlink()
    with pytest.raises(DataError, match='several cameras'):
        len(SUNRGBDDataset(entry, str(root), pipeline=ON_THE_FLY))
    assert NYUv2Dataset(entry, str(root), pipeline=ON_THE_FLY).get_data_info(0)['intrinsics'][0] == pytest.approx(518.858, abs=1e-3)
    with pytest.raises(DataError, match=r'\(3,\)'):
        len(SUNRGBDDataset(entry, str(root), pipeline=ON_THE_FLY, intrinsics=[1, 2, 3]))


def test_palette_png_labels_are_indices(copy):
    root = copy('cmx')
    plain = SUNRGBDDataset(dict(rgb=RGB), str(root), layout='cmx', pipeline=PIPELINE)[0]['gt_seg_map']
    path = root / 'Label' / '0.png'
    image = Image.fromarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    image.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tolist())
    image.save(path)
    assert np.array_equal(SUNRGBDDataset(dict(rgb=RGB), str(root), layout='cmx', pipeline=PIPELINE)[0]['gt_seg_map'], plain)


def test_label_outside_the_classes(copy):
    root = copy('prepared')
    stem = (root / 'train.txt').read_text().split()[0]
    label = np.full(SIZE, 38, np.uint8)
    cv2.imwrite(str(root / 'label' / f'{stem}.png'), label)
    with pytest.raises(DataError, match=r'38.*37 classes'):
        SUNRGBDDataset(dict(rgb=RGB), str(root), pipeline=PIPELINE)[0]
    assert (NYUv2Dataset(dict(rgb=RGB), str(root), pipeline=PIPELINE)[0]['gt_seg_map'] == 37).all()


def test_missing_hha_says_how_to_make_it(copy):
    root = copy('prepared')
    shutil.rmtree(root / 'hha')
    with pytest.raises(DataError, match='make_hha.*DepthToHHA'):
        len(SUNRGBDDataset(dict(rgb=RGB, hha=HHA), str(root), pipeline=PIPELINE))


def test_missing_file_is_named(copy):
    root = copy('cmx')
    (root / 'RGB' / '1.png').unlink()
    with pytest.raises(DataError, match=r'1.*rgb.*RGB/1\.jpg or .*RGB/1\.png'):
        len(SUNRGBDDataset(dict(rgb=RGB), str(root), layout='cmx', pipeline=PIPELINE))


def test_depth_of_another_size(copy):
    root = copy('prepared')
    stem = (root / 'train.txt').read_text().split()[0]
    path = str(root / 'depth' / f'{stem}.png')
    cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED)[:-4])
    with pytest.raises(DataError, match=r'\(40, 56\).*\(36, 56\).*one size'):
        SUNRGBDDataset(dict(rgb=RGB, hha=dict(HHA, files=None)), str(root), pipeline=ON_THE_FLY)[0]
    with pytest.raises(DataError, match=r'\(36, 56\)'):
        SUNRGBDDataset(dict(rgb=RGB, depth=DEPTH), str(root), pipeline=PIPELINE)[0]


def test_depth_given_as_hha(copy):
    root = copy('prepared')
    with pytest.raises(DataError, match='channels'):
        SUNRGBDDataset(dict(hha=dict(channels=3)), str(root), files=dict(hha=dict(folder='depth', suffix='.png')), pipeline=PIPELINE)[0]


def test_depth_in_the_wrong_unit(copy):
    root = copy('prepared')
    reader = dict(type='DepthReader', unit=1.)
    with pytest.raises(DataError, match=r'median depth.*metres'):
        SUNRGBDDataset(dict(depth=dict(channels=1, reader=reader)), str(root), pipeline=PIPELINE)[0]


@pytest.mark.parametrize('options, says', [
    (dict(layout='coco'), 'layout must be'),
    (dict(split='val'), 'split_file'),
    (dict(files=dict(thermal=dict(folder='t', suffix='.png'))), 'thermal'),
    (dict(modalities=dict(thermal=dict(channels=1))), 'thermal.*files'),
    (dict(modalities=dict(hha=dict(HHA, files=None))), 'DepthToHHA'),
])
def test_bad_options(layouts, options, says):
    options = dict(dict(modalities=dict(rgb=RGB), data_root=str(layouts / 'prepared'), pipeline=PIPELINE), **options)
    with pytest.raises(ConfigError, match=says):
        SUNRGBDDataset(**options)


def test_pretraining_needs_no_labels(copy):
    root = copy('prepared')
    shutil.rmtree(root / 'label')
    pipeline = [dict(type='LoadModalities'), dict(type='PackModalities')]
    sample = SUNRGBDDataset(dict(rgb=RGB, hha=HHA), str(root), with_label=False, pipeline=pipeline)[0]
    assert {name: tuple(x.shape) for name, x in sample['inputs'].items()} == dict(rgb=(3, *SIZE), hha=(3, *SIZE))


def test_fewer_classes_by_name(layouts):
    classes = ('floor', 'bed')
    dataset = SUNRGBDDataset(dict(rgb=RGB), str(layouts / 'prepared'), pipeline=PIPELINE, metainfo=dict(classes=classes))
    assert dataset.metainfo['palette'] == [[244, 243, 131], [150, 255, 255]]
    for sample, room in zip(dataset, rooms('train')):
        expected = np.full(SIZE, 255)
        expected[room['label'] == 2], expected[room['label'] == 4] = 0, 1
        assert np.array_equal(sample['gt_seg_map'], expected)

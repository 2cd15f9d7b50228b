"""OMBRIA: scenes from borders, the split, and stacks that are the released pictures."""
import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from decur.errors import ConfigError, DataError
from decur.prepare import ombria
from decur.prepare.ombria_scenes import FIRST_CHIPS, TEST_SCENES, VALIDATION_SCENES, find_scenes, splits
from decur.readers.files import AutoReader


def test_scenes_are_found_by_their_borders():
    rng = np.random.default_rng(0)
    chips, number = {}, 1
    for rows, columns in ((3, 4), (2, 2), (1, 12), (2, 3)):
        # Two images of a scene, smooth, so that pixels on both sides of a border are alike.
        scene = [gaussian_filter(rng.normal(size=(64 * rows, 64 * columns, 2)), (3, 3, 0)) for _ in range(2)]
        for row in range(rows):
            for column in range(columns):
                chips[number] = [image[64 * row:64 * row + 64, 64 * column:64 * column + 64] for image in scene]
                number += 1
    assert find_scenes(chips, least=1) == [1, 13, 17, 29]
    assert find_scenes(chips, least=5) == [1, 13, 29]  # the scene of four is joined with the next
    assert find_scenes(chips, least=10) == [1, 13]  # and the last one with that before
    assert find_scenes(chips, least=100) == [1]
    one = {number: [images[0], np.zeros_like(images[1])] for number, images in chips.items()}
    assert len(find_scenes(one, least=1)) == len(chips)  # a border of one value is like no other


def test_splits_keep_scenes_apart_and_lists_are_those_that_were_published():
    parts = {number: 'test' if number % 11 == 0 else 'train' for number in range(1, 788)}
    samples = [f'{part}_{number:04d}' for number, part in parts.items()] + [f'timor_{n:04d}' for n in range(3)] + ['france_0000']
    lists = splits(samples)
    scene = {sample: np.searchsorted(FIRST_CHIPS, int(sample[-4:]), side='right') - 1 for sample in samples[:-4]}
    train, test = (set(lists[f'scene_{part}']) for part in ('train', 'test'))
    assert train | test == set(scene) and not train & test
    assert {scene[sample] for sample in test} == set(TEST_SCENES) and not {scene[sample] for sample in train} & set(TEST_SCENES)
    for count in (8, 32, 128):
        drawn = [tuple(lists[f'scene_few{count}_seed{seed}']) for seed in range(10)]
        assert len(set(drawn)) == 10 and all(len(set(names)) == count and set(names) <= train for names in drawn)
    # The choice of settings sees scenes of the training only, and its labels and its score lie in different ones.
    fit, validation = set(lists['scene_fit']), set(lists['scene_val'])
    assert fit | validation == train and not fit & validation
    assert {scene[sample] for sample in validation} == set(VALIDATION_SCENES)
    assert not {scene[sample] for sample in fit} & set(VALIDATION_SCENES)
    assert all(len(lists[f'scene_fit_few32_seed{seed}']) == 32 and set(lists[f'scene_fit_few32_seed{seed}']) <= fit for seed in range(10))
    assert lists['event2021'] == ['france_0000', 'timor_0000', 'timor_0001', 'timor_0002']
    assert lists['event2021_timor'] == ['timor_0000', 'timor_0001', 'timor_0002']


@pytest.fixture
def release(tmp_path):
    """Chips in both parts and an event, 256 pixels as released."""
    rng, src = np.random.default_rng(0), tmp_path / 'OMBRIA'

    def write(name, image):
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(src / name)

    for part, numbers in (('train', (1, 2, 136)), ('test', (3, ))):
        for number in numbers:
            mask = (rng.random((256, 256)) < 0.3).astype(np.uint8) * 255
            for sensor, shape in ((1, (256, 256)), (2, (256, 256, 3))):
                folder = f'OmbriaS{sensor}/{part}'
                for date in ('before', 'after'):
                    write(f'{folder}/{date.upper()}/S{sensor}_{date}_{number:04d}.png', rng.integers(0, 256, shape, dtype=np.uint8))
                write(f'{folder}/MASK/S{sensor}_mask_{number:04d}.png', mask)
    for event in ('ALBANIA', 'FRANCE', 'GUYANA', 'TIMOR'):
        for sensor, shape in ((1, (256, 256)), (2, (256, 256, 3))):
            folder = f'2021/{event}/Sentinel{sensor}'
            for date in ('before', 'after'):
                write(f'{folder}/{date.upper()}/im{date}_0.png', rng.integers(0, 256, shape, dtype=np.uint8))
            write(f'{folder}/MASK/gt_0.png', np.zeros((256, 256), np.uint8))
    return src


def digest(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*')) if p.is_file()}


def test_stacks_are_the_released_pictures(release, tmp_path):
    out = tmp_path / 'out'
    figures = ombria.prepare(release, out, any_version=True)
    assert figures['done'] == 8 and figures['files_to_read'] == 48

    def released(name):
        return np.asarray(Image.open(release / name))

    s1, s2, label = (AutoReader()(str(out / name)) for name in ('s1/test_0003.tif', 's2/test_0003.tif', 'label/test_0003.png'))
    for i, date in enumerate(('before', 'after')):
        np.testing.assert_array_equal(s1[..., i], released(f'OmbriaS1/test/{date.upper()}/S1_{date}_0003.png'))
        np.testing.assert_array_equal(s2[..., 3 * i:3 * i + 3], released(f'OmbriaS2/test/{date.upper()}/S2_{date}_0003.png'))
    np.testing.assert_array_equal(label[..., 0], released('OmbriaS1/test/MASK/S1_mask_0003.png') // 255)
    np.testing.assert_array_equal(AutoReader()(str(out / 's1/timor_0000.tif'))[..., 1],
                                  released('2021/TIMOR/Sentinel1/AFTER/imafter_0.png'))
    assert (out / 'scene_train.txt').read_text().split() == ['test_0003', 'train_0001', 'train_0002']
    assert (out / 'scene_test.txt').read_text().split() == ['train_0136']
    assert (out / 'event2021_guyana.txt').read_text() == 'guyana_0000\n'
    assert ombria.OmbriaRelease.verify(out, 1, whole=False) == []
    assert '469' in ombria.OmbriaRelease.verify(out, 1, whole=True)[0]
    # What is gone or damaged is made again, and comes out the same.
    before = digest(out)
    (out / 's2' / 'train_0001.tif').unlink()
    (out / 's1' / 'train_0002.tif').write_bytes(b'II*\0broken')
    assert len(ombria.OmbriaRelease.verify(out, 1, whole=False)) == 2
    ombria.prepare(release, out, any_version=True, repair=True)
    assert digest(out) == before


def test_the_configs_read_it(release, tmp_path, repository):
    from mmengine.config import Config
    from mmengine.registry import DATASETS, init_default_scope

    from decur.binding import bind
    ombria.prepare(release, tmp_path / 'out', any_version=True)
    for name, absent in (('decur', None), ('finetune', 'optical'), ('finetune', 'sar')):
        cfg = Config.fromfile(repository / 'configs' / 'ombria' / f'ombria_s1-s2_small-resnet_{name}.py')
        cfg.merge_from_dict({f'modalities.{absent}': None} if absent else {})
        cfg = bind(cfg)
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path / 'out')))
        sample = dataset[0]
        if 'decur' in name:
            assert len(dataset) == 3 * 16 and [tuple(v.shape) for v in sample['inputs']['optical']] == [(6, 48, 48)] * 2
        else:
            assert len(dataset) == 3 and tuple(sample['inputs'].shape) == (2 if absent == 'optical' else 6, 256, 256)
            assert set(np.unique(sample['data_samples'].gt_sem_seg.data)) == {0, 1}


def test_dates_as_seasons(release, tmp_path, repository):
    from mmengine.config import Config
    from mmengine.registry import DATASETS, init_default_scope

    from decur.binding import bind
    ombria.prepare(release, tmp_path / 'out', any_version=True)
    cfg = bind(Config.fromfile(repository / 'configs' / 'ombria' / 'ombria-dates_s1-s2_small-resnet_decur.py'))
    init_default_scope(cfg.default_scope)
    config = dict(cfg.train_dataloader.dataset, data_root=str(tmp_path / 'out'), tile=None)
    config['pipeline'] = [config['pipeline'][0], dict(type='LoadModalities')]
    dataset = DATASETS.build(config)
    stacks = {name: AutoReader()(str(tmp_path / 'out' / folder / 'test_0003.tif')) for name, folder in (('sar', 's1'), ('optical', 's2'))}
    drawn = set()
    for _ in range(12):  # of the three chips, test_0003 is the first
        images = dataset[0]['images']
        dates = []
        for sar, optical in zip(images['sar'], images['optical']):
            date = int(np.array_equal(sar, stacks['sar'][..., 1:]))
            np.testing.assert_array_equal(sar, stacks['sar'][..., date:date + 1])
            np.testing.assert_array_equal(optical, stacks['optical'][..., 3 * date:3 * date + 3])  # the same date of both sensors
            dates.append(date)
        drawn.add(tuple(dates))
    assert {(0, 1), (1, 0)} <= drawn
    sample = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path / 'out')))[0]
    assert [tuple(view.shape) for view in sample['inputs']['optical']] == [(3, 48, 48)] * 2
    with pytest.raises(DataError, match=r's1/test_0003.tif has 2 band\(s\) instead of 3, those of all dates'):
        DATASETS.build(dict(config, dates=3))[0]
    with pytest.raises(ConfigError, match='dates must be a number of dates'):
        DATASETS.build(dict(config, dates=0))


def test_what_is_not_the_release(release, tmp_path):
    with pytest.raises(DataError, match=r'not the version of OMBRIA .* it has 8 chips of other content .*--any-version'):
        ombria.prepare(release, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    with pytest.raises(DataError, match='is not a folder'):
        ombria.prepare(tmp_path / 'nowhere', tmp_path / 'out', any_version=True)
    (release / 'OmbriaS2/test/AFTER/S2_after_0003.png').unlink()
    with pytest.raises(DataError, match='1 files of .* are missing, the first is .*S2_after_0003.png'):
        ombria.prepare(release, tmp_path / 'out', any_version=True)
    with pytest.raises(DataError, match='OmbriaS1/train/BEFORE is not a folder'):
        ombria.prepare(release / '2021', tmp_path / 'out', any_version=True)
    with pytest.raises(ConfigError, match='preparing was not finished'):
        ombria.OmbriaRelease.verify(tmp_path / 'out', 1, whole=True)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name, image, message', [
    ('OmbriaS1/test/MASK/S1_mask_0003.png', np.zeros((256, 256), np.uint8), 'masks of Sentinel-1 and Sentinel-2 differ'),
    ('OmbriaS2/test/BEFORE/S2_before_0003.png', np.zeros((256, 256), np.uint8), r'S2_before_0003.png is \(256, 256, 1\)'),
    ('OmbriaS1/test/AFTER/S1_after_0003.png', np.zeros((128, 256), np.uint8), r'S1_after_0003.png is \(128, 256, 1\)')])
def test_a_chip_that_is_not_as_released(release, tmp_path, name, image, message):
    Image.fromarray(image).save(release / name)
    with pytest.raises(DataError, match=message):
        ombria.prepare(release, tmp_path / 'out', any_version=True)
    assert not (tmp_path / 'out' / 'scene_train.txt').exists()
    assert json.loads((tmp_path / 'out' / 'dataset.json').read_text())['dataset'] == 'ombria'


@pytest.mark.parametrize('name', ['OmbriaS1/test/BEFORE/S1_before_0003.png', 'OmbriaS2/test/BEFORE/S2_before_0003.png',
                                  '2021/FRANCE/Sentinel1/BEFORE/imbefore_0.png', '2021/FRANCE/Sentinel2/MASK/gt_0.png'])
def test_a_chip_that_one_sensor_lacks(release, tmp_path, name):
    (release / name).unlink()
    with pytest.raises(DataError, match=f'1 files of .* are missing, the first is .*{name}'):
        ombria.prepare(release, tmp_path / 'out', any_version=True)
    assert not (tmp_path / 'out').exists()


def test_pointers_in_place_of_pictures(release, tmp_path):
    (release / 'OmbriaS2/test/AFTER/S2_after_0003.png').write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')
    with pytest.raises(DataError, match='1 files .* are pointers of Git LFS .*S2_after_0003.png. .*git lfs pull'):
        ombria.prepare(release, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()

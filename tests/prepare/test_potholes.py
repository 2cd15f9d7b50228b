"""Stereo potholes: smaller pictures that are means of what is known, the split by folder, and the configs that read them."""
import numpy as np
import pytest
from PIL import Image

from decur.errors import ConfigError, DataError
from decur.prepare import potholes
from decur.prepare.potholes import PotholesRelease, splits
from decur.readers import PillowReader


@pytest.fixture
def release(tmp_path, monkeypatch):
    """Two frames of each folder, of sizes that 4 does not divide."""
    monkeypatch.setattr(potholes, 'FRAMES', dict(dataset1=2, dataset2=2, dataset3=2))
    monkeypatch.setattr(PotholesRelease, 'expected', dict(train=2, test=4))
    rng, src = np.random.default_rng(0), tmp_path / 'clone'
    for number, name in enumerate(potholes.FRAMES):
        size = 130, 257 + number
        for frame in ('01', '02'):
            disparity = rng.integers(30000, 60000, size).astype(np.uint16)
            disparity[rng.random(size) < .1] = 0
            disparity[:8, :8] = 0
            label = np.zeros((*size, 3), np.uint8)
            label[40:80, 100:160, 0] = 153
            for part, picture in dict(rgb=rng.integers(0, 256, (*size, 3), dtype=np.uint8), disp_tg=disparity, label=label).items():
                (src / name / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(src / name / part / f'{frame}.png')
    return src


def test_pixels_are_means_of_what_is_known(release, tmp_path):
    out = tmp_path / 'out'
    assert potholes.prepare(release, out)['done'] == 6
    read = PillowReader()
    rgb, disparity, label = (read(str(out / f'{part}/dataset1_01.png')) for part in ('rgb', 'disparity', 'label'))
    assert rgb.shape == (32, 64, 3) and disparity.shape == label.shape == (32, 64, 1)
    assert disparity.dtype == np.uint16 and not disparity[:2, :2].any() and (disparity == 0).mean() < .15
    whole = np.asarray(Image.open(release / 'dataset1/disp_tg/01.png'), np.float64)
    whole[whole == 0] = np.nan
    # A picture of 130 x 257 has pixels of 4.06 x 4.02: the mean of the four by four in the middle of one is near.
    known = disparity[16, 32, 0]
    assert known == 0 or abs(known - np.nanmean(whole[64:70, 128:133])) < 6000
    np.testing.assert_allclose(disparity[disparity > 0].mean(), np.nanmean(whole), rtol=.01)
    np.testing.assert_allclose(rgb.mean(), np.asarray(Image.open(release / 'dataset1/rgb/01.png')).mean(), rtol=.01)
    assert set(np.unique(label)) == {0, 1} and label.mean() == pytest.approx(40 * 60 / (130 * 257), rel=.05)
    assert label[15, 32] == 1 and label[2, 2] == 0


def test_a_folder_is_on_one_side_of_the_split(release, tmp_path):
    counts = dict(dataset1=22, dataset2=40, dataset3=5)
    lists = splits([f'{name}_{frame:02d}' for name, count in counts.items() for frame in range(count)])
    assert len(lists['train']) == 40 and {name.split('_')[0] for name in lists['train']} == {'dataset2'}
    assert len(lists['test']) == 27 and lists['test'] == lists['test_dataset1'] + lists['test_dataset3']
    for count in (5, 10):
        drawn = [tuple(lists[f'few{count}_seed{seed}']) for seed in range(5)]
        assert len(set(drawn)) == 5 and all(len(set(names)) == count and set(names) <= set(lists['train']) for names in drawn)
    out = tmp_path / 'out'
    potholes.prepare(release, out)
    assert (out / 'train.txt').read_text() == 'dataset2_01\ndataset2_02\n' and len((out / 'test.txt').read_text().split()) == 4


def test_what_is_damaged_is_found_and_made_again(release, tmp_path):
    out = tmp_path / 'out'
    potholes.prepare(release, out)
    before = (out / 'rgb/dataset2_01.png').read_bytes()
    (out / 'rgb/dataset2_01.png').write_bytes(before[:100])
    (out / 'label/dataset3_02.png').unlink()
    assert len(PotholesRelease.verify(out, 1, whole=True)) == 2
    potholes.prepare(release, out, repair=True)
    assert PotholesRelease.verify(out, 1, whole=True) == [] and (out / 'rgb/dataset2_01.png').read_bytes() == before
    with pytest.raises(ConfigError, match='other settings'):
        potholes.prepare(release, out, shrink=2)


@pytest.mark.parametrize('spoil, text', [
    (lambda src: (src / 'dataset2/rgb/02.png').unlink(), 'has 1 frames, 2 are released'),
    (lambda src: (src / 'dataset3/disp_tg/01.png').unlink(), 'disp_tg/01.png is missing'),
    (lambda src: Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(src / 'dataset1/label/01.png'), 'differ in size'),
    (lambda src: Image.fromarray(np.zeros((130, 257), np.uint8)).save(src / 'dataset1/disp_tg/01.png'), 'expected one channel of uint16'),
])
def test_what_is_no_clone_is_said(release, tmp_path, spoil, text):
    spoil(release)
    with pytest.raises(DataError, match=text):
        potholes.prepare(release, tmp_path / 'out')


def test_the_configs_read_it(release, tmp_path, repository):
    from helpers import bound_config
    from mmengine.registry import DATASETS, init_default_scope
    potholes.prepare(release, tmp_path / 'out', shrink=1)
    (tmp_path / 'out' / 'few10_seed0.txt').write_text('dataset2_01\n')
    for name in ('decur', 'finetune'):
        cfg = bound_config(f'potholes/potholes_rgb-disparity_small-resnet_{name}.py')
        init_default_scope(cfg.default_scope)
        sample = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path / 'out')))[0]
        if name == 'decur':
            assert {key: tuple(views[1].shape) for key, views in sample['inputs'].items()} == dict(rgb=(3, 32, 32), disparity=(1, 32, 32))
        else:
            assert sample['inputs'].shape == (4, 128, 128)
            assert set(np.unique(sample['data_samples'].gt_sem_seg.data)) <= {0, 1}

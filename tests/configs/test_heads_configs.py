"""The ways to use an encoder (configs/heads) on generated land cover: each is trained, tested on other images, and learns something."""
import json

import numpy as np
import pytest
from helpers import ROOT, run_tool
from mmengine.registry import RUNNERS

from decur.engine import load_config, prepare
from decur.engine.launch import prepare_test
from decur_worlds.landcover_layouts import write_landcover

HEADS = ROOT / 'configs/heads'
PROBED = ROOT / 'configs/landcover/landcover_s1-s2_small-resnet_frozen.py'


@pytest.fixture(scope='module')
def landcover(tmp_path_factory):
    root = tmp_path_factory.mktemp('landcover')
    write_landcover('geonrw', root / 'geonrw', 13, 4, size=72)
    write_landcover('change', root / 'change', 8, 4, size=48)
    write_landcover('bigearthnet', root / 'bigearthnet', 16, 6, size=48)
    return root


def options(data, iterations=None):
    """Small and in this process."""
    both = {f'{split}_dataloader.{key}': value for split in ('train', 'test')
            for key, value in dict(num_workers=0, persistent_workers=False, batch_size=4, **{'dataset.data_root': str(data)}).items()}
    return {**both, 'default_hooks.logger.interval': 1, 'randomness.seed': 0,
            **({'train_cfg.max_epochs': 2} if iterations is None else {'train_cfg.max_iters': iterations})}


def losses(work_dir):
    rows = [json.loads(line) for path in work_dir.rglob('scalars.json') for line in path.read_text().splitlines()]
    return [row['loss'] for row in rows if 'loss' in row]


def train_and_test(config, changes, work_dir):
    """The losses of a run, and the figures of its last checkpoint, of a test that begins with the file alone."""
    RUNNERS.build(prepare(load_config(str(config), changes, str(work_dir)))).train()
    checkpoint = max(work_dir.glob('*.pth'), key=lambda path: path.stat().st_mtime)
    cfg = prepare_test(prepare(load_config(str(config), changes, str(work_dir / 'test'))), str(checkpoint))
    return losses(work_dir), RUNNERS.build(cfg).test()


@pytest.mark.parametrize('name, data, metric', [
    ('landcover_rgb-dem_small-resnet_scene', 'geonrw', 'accuracy/top1'),
    ('landcover_rgb-dem_small-resnet_shares', 'geonrw', 'regression/RMSE'),
    ('landcover_rgb-dem_small-resnet_segformer', 'geonrw', 'mIoU'),
    ('landcover_rgb-dem_small-resnet_upernet', 'geonrw', 'mIoU'),
    ('landcover_rgb_small-resnet_height', 'geonrw', 'regression/RMSE'),
    ('landcover_s1-s2_small-resnet_change', 'change', 'mIoU'),
])
def test_it_learns_on_generated_land_cover(landcover, tmp_path, name, data, metric):
    cfg = load_config(str(HEADS / f'{name}.py'))
    iterations = 3 if 'max_iters' in cfg.train_cfg else None
    changes = dict(options(landcover / data, iterations), **{'default_hooks.checkpoint.interval': iterations or 2})
    if data == 'change':  # its encoders are trained too: slowly, so that a few steps go downhill
        changes['optim_wrapper.optimizer.lr'] = cfg.optim_wrapper.optimizer.lr / 20
    if cfg.train_dataloader.dataset.get('num_samples'):
        changes['train_dataloader.dataset.num_samples'] = 12
    found, figures = train_and_test(HEADS / f'{name}.py', changes, tmp_path)
    assert len(found) >= 2 and np.isfinite(found).all() and min(found[1:]) < found[0]
    assert metric in figures and np.isfinite(figures[metric])


def test_every_config_of_this_folder_is_tried():
    tried = {parameter[0] for mark in test_it_learns_on_generated_land_cover.pytestmark for parameter in mark.args[1]}
    assert tried == {path.stem for path in HEADS.glob('*.py')}


def probe(landcover, out, *arguments):
    data = [f'{split}_dataloader.dataset.data_root={landcover / "bigearthnet"}' for split in ('train', 'test')]
    return run_tool('tools/probe.py', PROBED, *arguments, '--c-range', -3, 1, 3, '--out', out, '--cfg-options', *data,
                    'train_dataloader.num_workers=0', 'test_dataloader.num_workers=0', check=False)


def test_neighbours_and_the_linear_probe(landcover, tmp_path):
    done = probe(landcover, tmp_path / 'all.json', '-k', 3)
    assert not done.returncode, done.stderr
    found = json.loads((tmp_path / 'all.json').read_text())
    assert list(found) == ['sar+optical', 'sar', 'optical']
    assert all(0 < row[key] <= 100 for row in found.values() for key in ('knn', 'linear'))
    assert 'kNN-3 micro mAP' in done.stdout and f'{found["sar"]["linear"]:.1f}' in done.stdout


@pytest.mark.parametrize('arguments, message', [
    (['-k', 30], 'k from 1 to the number of training samples, 13; got 30. Set -k.'),
    (['--shots', 9], 'training samples: 9 shots cannot be drawn of it'),
    (['-k', 0], '-k, --shots and --draws must be at least 1'),
])
def test_a_probe_that_cannot_be_ends_with_one_line(landcover, tmp_path, arguments, message):
    done = probe(landcover, tmp_path / 'x.json', *arguments)
    errors = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    assert done.returncode == 1 and len(errors) == 1 and message in errors[0] and 'Traceback' not in done.stderr
    assert not (tmp_path / 'x.json').exists()

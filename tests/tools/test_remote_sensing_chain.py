"""From generated data to tested models, by the documented commands: generate, prepare, pretrain, linear and fine-tune, test."""
import json

import pytest
from helpers import ROOT, run_tool

CONFIGS = ROOT / 'configs' / 'landcover'
SMALL = ('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'train_dataloader.pin_memory=False',
         'train_dataloader.batch_size=4')


def train(config, folder, data, epochs, *options):
    run_tool('tools/train.py', CONFIGS / config, '--work-dir', folder, '--cfg-options', f'train_dataloader.dataset.data_root={data}',
             f'train_cfg.max_epochs={epochs}', f'default_hooks.checkpoint.interval={epochs}', *SMALL, *options)
    return folder / f'epoch_{epochs}.pth'


def scores(config, checkpoint, data):
    out = checkpoint.parent / 'metrics.json'
    run_tool('tools/test.py', CONFIGS / config, checkpoint, '--work-dir', checkpoint.parent, '--out', out, '--cfg-options',
             f'test_dataloader.dataset.data_root={data}', 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
             'test_dataloader.pin_memory=False')
    return json.loads(out.read_text())


@pytest.mark.slow
def test_sar_optical(tmp_path):
    generate = 'tools/generate_dataset.py', 'landcover'
    run_tool(*generate, tmp_path / 'ssl4eo', '--layout', 'ssl4eo', '--num-train', 4, '--size', 96)
    run_tool(*generate, tmp_path / 'bigearthnet', '--layout', 'bigearthnet', '--num-train', 8, '--num-test', 6, '--size', 96)
    run_tool('tools/prepare_dataset.py', 'ssl4eo', tmp_path / 'ssl4eo', tmp_path / 'store', '--products', 's1', 's2c')
    weights = train('decur_landcover_s1-s2.py', tmp_path / 'decur', tmp_path / 'store', 1)
    for protocol in ('linear', 'finetune'):
        config = f'bigearthnet_landcover_s1-s2_{protocol}.py'
        checkpoint = train(config, tmp_path / protocol, tmp_path / 'bigearthnet', 1, f'model.backbone.pretrained={weights}')
        found = {key.split('/')[-1]: value for key, value in scores(config, checkpoint, tmp_path / 'bigearthnet').items()}
        assert 0 < found['mAP_micro'] <= 100 and 'mAP_macro' in found


@pytest.mark.slow
def test_rgb_dem(tmp_path):
    data = tmp_path / 'geonrw'
    run_tool('tools/generate_dataset.py', 'landcover', data, '--layout', 'geonrw', '--num-train', 8, '--num-test', 3, '--size', 128)
    weights = train('decur_landcover_rgb-dem.py', tmp_path / 'decur', data, 1)
    for protocol in ('linear', 'finetune'):
        config = f'fcn_landcover_rgb-dem_{protocol}.py'
        checkpoint = train(config, tmp_path / protocol, data, 1, 'train_dataloader.dataset.num_samples=8',
                           f'model.backbone.pretrained={weights}')
        assert 0 <= scores(config, checkpoint, data)['mIoU'] <= 100

"""From a release to tested models, by the documented commands: prepare with HHA, pretrain, CMX and FCN, single- and multi-scale."""
import json
import re

import pytest
from helpers import ROOT, assert_started_from, counted_figures, run_tool, without_void

SMALL = "dict(_delete_=True, type='DecurMixVisionTransformer', arch='b0', num_layers=(1, 1, 1, 1))"
PRETRAINING = '''
_base_ = '{root}/configs/decur/sunrgbd_rgb-hha_r50_decur.py'
stream = dict(encoder={encoder}, augmentation=dict(size=64))
modalities = dict(rgb=stream, hha=stream)
model = dict(neck=dict(hid_channels=32, out_channels=32), head=dict(common_dim=24))
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False, dataset=dict(data_root='{data}'))
train_cfg = dict(max_epochs=1)
'''
LOADER = "dict(num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))"
CMX = '''
_base_ = '{root}/configs/cmx/sunrgbd_rgb-hha_mit-b2_finetune.py'
modalities = dict(rgb=dict(encoder={encoder}), hha=dict(encoder={encoder}))
model = dict(
    data_preprocessor=dict(size=(64, 64), test_cfg=dict(size=(64, 64))),
    decode_head=dict(in_channels=(32, 64, 160, 256), channels=32),
    test_cfg=dict(crop_size=(64, 64), stride=(43, 43)))
train_dataloader = dict(batch_size=3, pin_memory=False, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))
val_dataloader = {loader}
test_dataloader = {loader}
train_cfg = dict(max_epochs=1, val_begin=1, val_interval=1)
# No warm-up: what is predicted after three steps is to be more than one class.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval=1))
'''
FCN = '''
_base_ = '{root}/configs/fcn/sunrgbd_rgb_r50_finetune.py'
modalities = dict(rgb=dict(encoder=dict(depth=18)))
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    decode_head=dict(in_channels=512, channels=16), auxiliary_head=dict(in_channels=256, channels=16))
train_dataloader = dict(batch_size=2, pin_memory=False, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))
val_dataloader = {loader}
test_dataloader = {loader}
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
'''


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('chain')
    run_tool('tools/generate_dataset.py', 'rooms', root / 'release', '--layout', 'sunrgbd', '--num-train', 8, '--num-test', 2,
             '--size', 64, 96)
    run_tool('tools/prepare_dataset.py', 'sunrgbd', root / 'release', root / 'sunrgbd')
    return root / 'sunrgbd'


def write_config(folder, name, text, data):
    loader = LOADER.format(data=data)
    path = folder / f'{name}.py'
    path.write_text(text.format(root=ROOT, data=data, encoder=SMALL, loader=loader))
    return path


def scores_of(config, checkpoint, folder, *options):
    run_tool('tools/test.py', config, checkpoint, '--work-dir', folder, '--out', folder / 'metrics.json', *options)
    return json.loads((folder / 'metrics.json').read_text())


def assert_counted(scores, data, folder):
    """The scores are those of the predictions in a folder, counted here."""
    counted = counted_figures(folder / 'predictions', lambda stem: without_void(data / 'label' / f'{stem}.png'), 37)
    assert {key: scores[key] for key in counted} == pytest.approx(counted, abs=0.006)


@pytest.mark.slow
def test_release_to_cmx(data, tmp_path):
    run_tool('tools/train.py', write_config(tmp_path, 'decur', PRETRAINING, data), '--work-dir', tmp_path / 'decur')
    cmx = write_config(tmp_path, 'cmx', CMX, data)
    log = run_tool('tools/train.py', cmx, '--work-dir', tmp_path / 'cmx', '--cfg-options',
                   f'model.backbone.pretrained={tmp_path / "decur" / "epoch_1.pth"}',
                   'train_dataloader.dataset.pipeline.5.crop_size=(64,64)')
    checkpoint = tmp_path / 'cmx' / 'epoch_1.pth'
    assert_started_from(checkpoint, tmp_path / 'decur' / 'epoch_1.pth', frozen=False)
    single = scores_of(cmx, checkpoint, tmp_path / 'ss', '--show-dir', tmp_path / 'ss')
    several = scores_of(cmx, checkpoint, tmp_path / 'ms', '--tta', '--show-dir', tmp_path / 'ms')
    assert {'mIoU', 'aAcc', 'mAcc'} <= set(single) == set(several)
    assert single['mIoU'] > 0
    for scores, folder in ((single, 'ss'), (several, 'ms')):
        assert_counted(scores, data, tmp_path / folder)
    validated = re.findall(r'Epoch\(val\) \[1\].*?mIoU: ([\d.]+)', log.stdout + log.stderr)
    assert [float(value) for value in validated] == pytest.approx([single['mIoU']], abs=0.006), 'the validation while training'
    table = run_tool('tools/test_modalities.py', cmx, tmp_path / 'cmx' / 'epoch_1.pth', '--work-dir', tmp_path / 'table', '--out',
                     tmp_path / 'table.json').stdout
    results = json.loads((tmp_path / 'table.json').read_text())
    assert results['rgb+hha']['mIoU'] == pytest.approx(single['mIoU']) and set(results) == {'rgb+hha', 'rgb', 'hha'}
    assert 'night stand' in table


@pytest.mark.slow
def test_release_to_fcn(data, tmp_path):
    fcn = write_config(tmp_path, 'fcn', FCN, data)
    run_tool('tools/train.py', fcn, '--work-dir', tmp_path / 'fcn', '--cfg-options', 'train_dataloader.dataset.pipeline.3.scale=(96,64)',
             'train_dataloader.dataset.pipeline.4.crop_size=(64,64)')
    single = scores_of(fcn, tmp_path / 'fcn' / 'iter_2.pth', tmp_path / 'ss', '--show-dir', tmp_path / 'show')
    assert_counted(single, data, tmp_path / 'show')
    assert len(list((tmp_path / 'show' / 'pictures').iterdir())) == 2
    slide = scores_of(fcn, tmp_path / 'fcn' / 'iter_2.pth', tmp_path / 'slide', '--cfg-options', 'model.test_cfg.mode=slide',
                      'model.test_cfg.crop_size=(64,64)', 'model.test_cfg.stride=(32,32)', '--show-dir', tmp_path / 'slide')
    assert_counted(slide, data, tmp_path / 'slide')

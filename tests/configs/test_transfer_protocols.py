"""Augmentation and transfer protocols of the remote-sensing configs, line by line against the supplement (B.1, B.2)."""
import pytest
from mmengine.config import Config

from decur.transforms import ViewAugmentation

OPERATIONS = ('jitter', 'grayscale', 'blur', 'solarize', 'hflip', 'vflip')


def operations(entry):
    """The operations of an entry that can happen, and the crop's scale."""
    options = dict(entry['augmentation'])
    assert options.pop('type') == 'ViewAugmentation'
    augmentation = ViewAugmentation(**options)
    return {name for name in OPERATIONS if augmentation.prob(name, 0) > 0}, augmentation.scale


@pytest.mark.parametrize('config, modality, expected', [
    ('decur_ssl4eo', 'optical', set(OPERATIONS)),
    ('decur_ssl4eo', 'sar', {'grayscale', 'blur', 'hflip', 'vflip'}),
    ('decur_ssl4eo-v11', 'optical', set(OPERATIONS)),
    ('decur_ssl4eo-v11', 'sar', {'grayscale', 'blur', 'hflip', 'vflip'}),
    ('decur_geonrw', 'rgb', set(OPERATIONS)),
    ('decur_geonrw', 'dem', {'hflip', 'vflip'}),
])
def test_pretraining_augmentation(repository, config, modality, expected):
    cfg = Config.fromfile(repository / 'configs' / 'decur' / f'{config}.py')
    assert operations(cfg.train_dataloader.dataset.modalities[modality]) == (expected, (0.2, 1.0))


@pytest.mark.parametrize('name', ['s1', 's2', 's1-s2'])
@pytest.mark.parametrize('protocol, rate', [('linear', 0.5), ('finetune', 0.05)])
def test_bigearthnet(repository, name, protocol, rate):
    cfg = Config.fromfile(repository / 'configs' / 'bigearthnet' / f'bigearthnet_{name}_r50_{protocol}.py')
    assert dict(cfg.optim_wrapper.optimizer) == dict(type='SGD', lr=rate, momentum=0.9, weight_decay=0.0)
    assert [dict(s) for s in cfg.param_scheduler] == [dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)]
    assert cfg.train_cfg.max_epochs == 100 and cfg.train_dataloader.batch_size == 256
    assert cfg.model.backbone.frozen == (protocol == 'linear')
    for entry in filter(None, cfg.train_dataloader.dataset.modalities.values()):
        assert operations(entry) == ({'hflip'}, (0.8, 1.0))


@pytest.mark.parametrize('name', ['rgb', 'rgb-dem'])
@pytest.mark.parametrize('protocol', ['linear', 'finetune'])
def test_geonrw(repository, name, protocol):
    cfg = Config.fromfile(repository / 'configs' / 'geonrw' / f'fcn_geonrw_{name}_r50_{protocol}.py')
    assert dict(cfg.optim_wrapper.optimizer) == dict(type='AdamW', lr=1e-4, weight_decay=0.01)
    assert cfg.train_cfg.max_epochs == 30 and cfg.train_dataloader.batch_size == 256 and not cfg.param_scheduler
    assert cfg.model.decode_head.loss_decode.type == 'CrossEntropyLoss'
    assert cfg.model.backbone.frozen == (protocol == 'linear')
    steps = [dict(step) for step in cfg.train_dataloader.dataset.pipeline]
    assert dict(type='RandomResizedCropSeg', size=224, scale=(0.2, 1.0)) in steps and dict(type='RandomFlip', prob=0.5) in steps
    assert not any(step['type'].startswith('Random') for step in cfg.test_dataloader.dataset.pipeline)

"""Augmentation and transfer protocols of the remote-sensing configs, line by line against the supplement (B.1, B.2)."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmseg.structures import SegDataSample

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
    entry = cfg.train_dataloader.dataset.modalities[modality]
    assert operations(entry) == (expected, (0.2, 1.0))
    assert 'solarize_range' not in entry.augmentation  # the upper half, not what the published code does


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


def test_background_is_one_config_and_seasons_are_one_option(repository):
    for name in ('rgb', 'rgb-dem'):
        for protocol in ('linear', 'finetune'):
            plain, counted = (Config.fromfile(repository / 'configs' / 'geonrw' / f'fcn_geonrw_{name}_r50_{protocol}{suffix}.py')
                              for suffix in ('', '_background'))
            for cfg, background, classes in ((plain, None, 10), (counted, True, 11)):
                assert cfg.train_dataloader.dataset.get('background') is cfg.test_dataloader.dataset.get('background') is background
                assert cfg.model.decode_head.num_classes == classes
    cfg = Config.fromfile(repository / 'configs' / 'decur' / 'decur_ssl4eo.py')
    assert cfg.train_dataloader.dataset.pipeline[0] == dict(type='DrawSeasons', mode='independent')
    cfg.merge_from_dict({'train_dataloader.dataset.pipeline.0.mode': 'paired'})
    assert cfg.train_dataloader.dataset.pipeline[0] == dict(type='DrawSeasons', mode='paired')


@pytest.mark.parametrize('encoder, pretraining', [
    ('r50', ''), ('r50-rda', 'resnet50-rda_'), ('r50-da', 'resnet50-da_'), ('r50-cbam', 'resnet50-cbam_'), ('vit-s16', 'vit-s16_'),
])
@pytest.mark.parametrize('task, data', [('bigearthnet/bigearthnet', 'ssl4eo'), ('geonrw/fcn_geonrw', 'geonrw')])
def test_encoders_are_those_of_the_pretraining(repository, encoder, pretraining, task, data):
    """So that ``pretrained`` takes every key."""
    before = Config.fromfile(repository / 'configs' / 'decur' / f'decur_{pretraining}{data}.py').model.backbone.modalities
    found = list((repository / 'configs').glob(f'{task}_*_{encoder}_*.py'))
    assert len(found) >= (1 if encoder in ('r50-da', 'r50-cbam', 'vit-s16') else 12)
    for path in found:
        for name, entry in Config.fromfile(path).model.backbone.modalities.items():
            if entry is not None:
                for part in ('channels', 'encoder', 'attention'):
                    assert entry.get(part) == before[name].get(part), (path.name, name, part)


def test_a_vision_transformer_takes_tiles_of_250_pixels(repository):
    cfg = Config.fromfile(repository / 'configs' / 'geonrw' / 'fcn_geonrw_rgb_vit-s16_linear_1pct.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    sample = SegDataSample(metainfo=dict(img_shape=(250, 250), ori_shape=(250, 250)))
    with torch.no_grad():
        predicted, = model.test_step(dict(inputs=[torch.zeros(3, 250, 250, dtype=torch.uint8)], data_samples=[sample]))
    assert predicted.pred_sem_seg.data.shape == (1, 250, 250) and predicted.seg_logits.data.shape == (10, 250, 250)

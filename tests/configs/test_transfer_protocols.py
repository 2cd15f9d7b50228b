"""Augmentation and transfer protocols of the remote-sensing configs, line by line against the supplement (B.1, B.2)."""
import ast
import re

import pytest
import torch
from helpers import bound_config
from mmengine.config import Config
from mmseg.structures import SegDataSample

import decur
from decur.transforms import ViewAugmentation

OPERATIONS = ('jitter', 'grayscale', 'blur', 'solarize', 'hflip', 'vflip')


def operations(entry):
    """The operations of an entry that can happen, and the crop's scale."""
    options = dict(entry['augmentation'])
    assert options.pop('type') == 'ViewAugmentation'
    augmentation = ViewAugmentation(**options)
    return {name for name in OPERATIONS if augmentation.prob(name, 0) > 0}, augmentation.scale


@pytest.mark.parametrize('config, modality, expected', [
    ('ssl4eo_s1-s2_r50_decur', 'optical', set(OPERATIONS)),
    ('ssl4eo_s1-s2_r50_decur', 'sar', {'grayscale', 'blur', 'hflip', 'vflip'}),
    ('ssl4eo-v11_s1-s2_r50_decur', 'optical', set(OPERATIONS)),
    ('ssl4eo-v11_s1-s2_r50_decur', 'sar', {'grayscale', 'blur', 'hflip', 'vflip'}),
    ('geonrw_rgb-dem_r50_decur', 'rgb', set(OPERATIONS)),
    ('geonrw_rgb-dem_r50_decur', 'dem', {'hflip', 'vflip'}),
])
def test_pretraining_augmentation(repository, config, modality, expected):
    cfg = bound_config(f'decur/{config}.py')
    entry = cfg.train_dataloader.dataset.modalities[modality]
    assert operations(entry) == (expected, (0.2, 1.0))
    assert 'solarize_range' not in entry.augmentation  # the upper half, not what the published code does


@pytest.mark.parametrize('name', ['s1', 's2', 's1-s2'])
@pytest.mark.parametrize('protocol, rate', [('frozen', 0.5), ('finetune', 0.05)])
def test_bigearthnet(repository, name, protocol, rate):
    cfg = bound_config(f'classification/bigearthnet_{name}_r50_{protocol}.py')
    assert dict(cfg.optim_wrapper.optimizer) == dict(type='SGD', lr=rate, momentum=0.9, weight_decay=0.0)
    assert [dict(s) for s in cfg.param_scheduler] == [dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)]
    assert cfg.train_cfg.max_epochs == 100 and cfg.train_dataloader.batch_size == 256
    assert cfg.model.backbone.frozen == (protocol == 'frozen')
    for entry in filter(None, cfg.train_dataloader.dataset.modalities.values()):
        assert operations(entry) == ({'hflip'}, (0.8, 1.0))


@pytest.mark.parametrize('name', ['rgb', 'rgb-dem'])
@pytest.mark.parametrize('protocol', ['frozen', 'finetune'])
def test_geonrw(repository, name, protocol):
    cfg = bound_config(f'fcn/geonrw_{name}_r50_{protocol}.py')
    assert dict(cfg.optim_wrapper.optimizer) == dict(type='AdamW', lr=1e-4, weight_decay=0.01)
    assert cfg.train_cfg.max_epochs == 30 and cfg.train_dataloader.batch_size == 256 and not cfg.param_scheduler
    assert cfg.model.decode_head.loss_decode.type == 'CrossEntropyLoss'
    assert cfg.model.backbone.frozen == (protocol == 'frozen')
    steps = [dict(step) for step in cfg.train_dataloader.dataset.pipeline]
    assert dict(type='RandomResizedCropSeg', size=224, scale=(0.2, 1.0)) in steps and dict(type='RandomFlip', prob=0.5) in steps
    assert not any(step['type'].startswith('Random') for step in cfg.test_dataloader.dataset.pipeline)


def test_options_in_place_of_configs(repository):
    """Fewer labels, background as a class and the drawing of seasons are options that the configs' comments name."""
    text = (repository / 'configs' / 'fcn' / 'geonrw_rgb-dem_r50_frozen.py').read_text()
    named = re.findall(r'([\w.]+)=([\w.]+)(?=[ .\n])', text.split('_base_')[0])
    options = {key: ast.literal_eval(value) for key, value in ((key, value.rstrip('.')) for key, value in named) if 'CHECK' not in value}
    assert options == {'train_dataloader.dataset.fraction': 0.01, 'train_dataloader.dataset.background': True,
                       'test_dataloader.dataset.background': True, 'model.decode_head.num_classes': 11}
    cfg = bound_config('fcn/geonrw_rgb_r50_frozen.py', options)
    assert cfg.train_dataloader.dataset.background and cfg.test_dataloader.dataset.background and cfg.model.decode_head.num_classes == 11
    assert cfg.train_dataloader.dataset.fraction == 0.01 and 'fraction' not in cfg.test_dataloader.dataset
    cfg = bound_config('decur/ssl4eo_s1-s2_r50_decur.py')
    assert cfg.train_dataloader.dataset.pipeline[0] == dict(type='DrawSeasons', mode='independent')
    cfg.merge_from_dict({'train_dataloader.dataset.pipeline.0.mode': 'paired'})
    assert cfg.train_dataloader.dataset.pipeline[0] == dict(type='DrawSeasons', mode='paired')


@pytest.mark.parametrize('encoder', ['r50', 'r50-rda', 'r50-da', 'r50-cbam', 'vit-s16'])
@pytest.mark.parametrize('task, data', [('classification/bigearthnet', 'ssl4eo_s1-s2'), ('fcn/geonrw', 'geonrw_rgb-dem')])
def test_encoders_are_those_of_the_pretraining(repository, encoder, task, data):
    """So that ``pretrained`` takes every key."""
    before = bound_config(f'decur/{data}_{encoder}_decur.py').model.backbone.modalities
    found = list((repository / 'configs').glob(f'{task}_*_{encoder}_*.py'))
    assert len(found) >= (1 if encoder in ('r50-da', 'r50-cbam', 'vit-s16') else 4)
    for path in found:
        for name, entry in decur.bind(Config.fromfile(path)).model.backbone.modalities.items():
            for part in ('channels', 'encoder', 'attention'):
                assert entry.get(part) == before[name].get(part), (path.name, name, part)


def test_a_vision_transformer_takes_tiles_of_250_pixels(repository):
    model = decur.build_model(repository / 'configs' / 'fcn' / 'geonrw_rgb_vit-s16_frozen.py').eval()
    sample = SegDataSample(metainfo=dict(img_shape=(250, 250), ori_shape=(250, 250)))
    with torch.no_grad():
        predicted, = model.test_step(dict(inputs=[torch.zeros(3, 250, 250, dtype=torch.uint8)], data_samples=[sample]))
    assert predicted.pred_sem_seg.data.shape == (1, 250, 250) and predicted.seg_logits.data.shape == (10, 250, 250)

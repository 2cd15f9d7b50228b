"""``decur.load``: encoders from configs and checkpoints."""
import hashlib
import json
import logging
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import entries
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS

import decur
from decur.errors import ConfigError, DataError, WeightsError
from decur.weights import MetadataHook, save_file
from decur.weights.convert import convert
from decur.weights.metadata import describe


def config(**backbone):
    modalities = entries()
    modalities['sar'].update(bands=('VV', 'VH'), meta=dict(data='made up', licence='CC0-1.0'))
    return Config(dict(model=dict(
        type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities, **backbone),
        neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=16),
        head=dict(type='DeCURHead', common_dim=8, lambd=0.0051))))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A model and its checkpoint as the runner's hook completes it."""
    torch.manual_seed(0)
    cfg = config()
    model = MODELS.build(cfg.model).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=.2)
    checkpoint = dict(meta=dict(epoch=3), state_dict=model.state_dict())

    dataset = SimpleNamespace(modalities=cfg.model.backbone.modalities)
    runner = SimpleNamespace(cfg=cfg, model=model, train_dataloader=SimpleNamespace(dataset=dataset))
    MetadataHook().before_save_checkpoint(runner, checkpoint)
    return model, save_file(checkpoint, tmp_path_factory.mktemp('load') / 'epoch_3.pth'), cfg


def test_a_checkpoint_is_enough(trained):
    model, path, _ = trained
    rng = np.random.default_rng(0)
    images = dict(sar=rng.normal(-12, 5, (32, 40, 2)).astype(np.float32), optical=rng.integers(0, 4000, (32, 40, 13)).astype(np.uint16))
    encoder = decur.load(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    inputs = {name: torch.stack([encoder.transforms[name](image)] * 2) for name, image in images.items()}
    raw = {name: torch.from_numpy(np.stack([image.transpose(2, 0, 1).astype(np.float32)] * 2)) for name, image in images.items()}
    seen = model.data_preprocessor(dict(inputs=raw))['inputs']  # as in training
    with torch.no_grad():
        features, expected = encoder.extract_feat(inputs), model.extract_feat(seen)
        maps = encoder.extract_maps(inputs)
    for name in images:
        assert torch.allclose(inputs[name], seen[name], atol=1e-6)
        assert torch.allclose(features[name], expected[name], atol=1e-5) and features[name].shape == (2, encoder.feature_dims[name])
        assert len(maps[name]) == 4
    assert not encoder.training
    assert encoder.metadata['sar'] == dict(bands=['VV', 'VH'], mean=[-12., -12.], std=[5., 5.], data='made up', licence='CC0-1.0')


def test_one_modality_and_safetensors(trained, tmp_path):
    model, path, cfg = trained
    alone = decur.load(path, modalities=['optical'])
    assert list(alone.modalities) == ['optical']
    x = torch.randn(1, 13, 32, 32)
    with torch.no_grad():
        expected = model.extract_feat(dict(optical=x))['optical']
        assert torch.allclose(alone.extract_feat(dict(optical=x))['optical'], expected, atol=1e-5)
        file = save_file(model.state_dict(), tmp_path / 'model.safetensors', metadata=dict(decur=json.dumps(describe(cfg.model))))
        assert torch.allclose(decur.load(file)(dict(optical=x))['optical'], expected, atol=1e-5)
        bare = save_file(model.state_dict(), tmp_path / 'bare.safetensors')
        assert torch.allclose(decur.load(bare, config=cfg)(dict(optical=x))['optical'], expected, atol=1e-5)
    with pytest.raises(WeightsError, match='does not say which encoders it holds'):
        decur.load(bare)


def test_a_config_alone_is_loaded_without_a_line_for_every_tensor():
    said = []
    handler = logging.Handler(logging.INFO)
    handler.emit = said.append
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        decur.load(config())
        assert not said and logger.isEnabledFor(logging.INFO), 'what comes after is logged as before'
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_a_config_alone_gives_initialised_encoders(tmp_path):
    cfg = config()
    cfg.dump(tmp_path / 'config.py')
    assert decur.load(tmp_path / 'config.py')(dict(sar=torch.randn(1, 2, 32, 32)))['sar'].shape == (1, 64)
    cfg.model.backbone.modalities.sar.encoder.init_cfg = dict(type='Pretrained', checkpoint='no/such.pth')
    with pytest.raises(WeightsError, match='no/such.pth'):  # the config's start is not forgotten
        decur.load(cfg)


def test_a_foreign_file_with_a_config(tmp_path):
    """torchvision's names for one modality of several."""
    cfg = config()
    for entry in cfg.model.backbone.modalities.values():
        entry.encoder = dict(type='mmpretrain.ResNet', depth=18)
    torch.manual_seed(0)
    source = MODELS.build(dict(type='mmpretrain.ResNet', depth=18, in_channels=2)).state_dict()
    path = save_file(dict(source, **{'fc.weight': torch.zeros(5, 512), 'fc.bias': torch.zeros(5)}), tmp_path / 'resnet18.pth')
    encoder = decur.load(path, config=cfg)
    assert list(encoder.modalities) == ['sar']
    assert torch.equal(encoder.backbone.streams['sar'].encoder.conv1.weight, source['conv1.weight'])
    with pytest.raises(WeightsError, match="no encoder for"):
        decur.load(path, config=cfg, modalities=['optical', 'sar'])


def test_parts_that_the_file_lacks_are_not_random(tmp_path):
    """A published MiT without its linear layer, a ResNet for a config with attention, and converted files with one encoder of two."""
    cfg = config()
    torch.manual_seed(0)
    source = MODELS.build(dict(cfg.model.backbone.modalities.sar.encoder, in_channels=2)).state_dict()
    path = save_file(source, tmp_path / 'sar.pth')
    converted, _ = convert(path, cfg)
    for file in (save_file(converted, tmp_path / 'converted.pth'),
                 save_file(converted['state_dict'], tmp_path / 'c.safetensors', dict(decur=json.dumps(converted['meta']['decur'])))):
        assert list(decur.load(file).modalities) == ['sar']
        with pytest.raises(WeightsError, match=r'no weights for backbone.streams.optical.encoder: .* Leave that modality out'):
            decur.load(file, modalities=['sar', 'optical'])
        with pytest.raises(WeightsError, match=r'Leave that modality out'):
            decur.load(file, config=cfg, modalities=['sar', 'optical'])
    sar = cfg.model.backbone.modalities.sar
    sar.feature_channels = 8
    with pytest.raises(WeightsError, match=r'no weights for backbone.streams.sar.head: .* modalities.sar.feature_channels is None'):
        decur.load(path, config=cfg)
    with pytest.raises(WeightsError, match='feature_channels is None'):
        decur.load(save_file(convert(path, cfg)[0], tmp_path / 'head.pth'))
    sar.feature_channels = None
    sar.attention = {'3': dict(type='CBAM')}
    with pytest.raises(WeightsError, match=r'no weights for backbone.streams.sar.attention.3: .* without that attention'):
        decur.load(path, config=cfg)


def test_encoders_that_interact_stay_together(tmp_path):
    cfg = config(interactions={'3': dict(type='CrossDA', num_heads=8, groups=4, stride=1, kernel_size=3, map_size=7)})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    path = save_file(dict(meta=dict(decur=describe(cfg.model)), state_dict=model.state_dict()), tmp_path / 'crossed.pth')
    inputs = dict(sar=torch.randn(1, 2, 32, 32), optical=torch.randn(1, 13, 32, 32))
    with torch.no_grad():
        for name, feature in decur.load(path)(inputs).items():
            assert torch.allclose(feature, model.extract_feat(inputs)[name], atol=1e-5)
    with pytest.raises(ConfigError, match='interact'):
        decur.load(path, modalities=['sar'])


def test_bad_files_are_refused(trained, tmp_path):
    model, path, cfg = trained
    truncated = tmp_path / 'truncated.pth'
    truncated.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match='truncated or damaged'):
        decur.load(truncated)

    class Code:
        def __reduce__(self):
            return (print, ('code ran', ))

    evil = tmp_path / 'evil.pth'
    evil.write_bytes(pickle.dumps(dict(state_dict=Code())))
    with pytest.raises(WeightsError, match='evil.pth'):
        decur.load(evil)
    state = model.state_dict()
    state.pop('backbone.streams.sar.encoder.conv1.weight')
    state['backbone.streams.sar.encoder.extra'] = torch.zeros(1)
    lacking = save_file(dict(meta=dict(decur=describe(cfg.model)), state_dict=state), tmp_path / 'lacking.pth')
    with pytest.raises(WeightsError, match=r'1 missing .*: streams.sar.encoder.conv1.weight; 1 surplus .*: streams.sar.encoder.extra'):
        decur.load(lacking)
    with pytest.raises(WeightsError, match='SHA-256'):
        decur.load(path, sha256='00')
    with pytest.raises(ConfigError, match="unknown modality 'thermal'"):
        decur.load(path, modalities=['thermal'])
    with pytest.raises(ConfigError, match='does not exist'):
        decur.load('no/such/config.py')
    with pytest.raises(DataError, match=r"'sar' takes images \(H, W, 2\), got \(8, 8, 3\)"):
        decur.load(path).transforms['sar'](np.zeros((8, 8, 3)))


def test_metadata_holds_plain_values_only():
    described = describe(config().model)
    assert json.loads(json.dumps(described)) == described
    with pytest.raises(WeightsError, match='no plain value'):
        describe(dict(backbone=dict(modalities=dict(a=dict(channels=1, encoder=dict(type=torch.nn.Conv2d))))))

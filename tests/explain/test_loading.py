import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from decur.errors import ConfigError, WeightsError
from decur.explain import load_explained


def modalities():
    encoder = dict(type='SmallResNet', stem_channels=4, base_channels=4, strides=(2, 2, 2, 2))
    return dict(sar=dict(channels=2, encoder=encoder), optical=dict(channels=4, encoder=encoder))


def pretraining():
    return dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities()),
                neck=dict(type='MultimodalProjector', hid_channels=8, out_channels=8), head=dict(type='DeCURHead', common_dim=6))


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(pretraining())
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'c.pth')
    return model, tmp_path / 'c.pth'


def test_embeddings_of_the_loaded_model_are_those_of_the_saved_one(checkpoint):
    model, path = checkpoint
    loaded = load_explained(Config(dict(model=pretraining())), path)
    x = dict(sar=torch.randn(3, 2, 16, 16), optical=torch.randn(3, 4, 16, 16))
    expected = model.eval().extract_embeddings(x)
    for name, z in loaded.extract_embeddings(x).items():
        torch.testing.assert_close(z, expected[name])
    assert not loaded.training and loaded.head.common_dim == 6


def test_encoders_for_a_segmentation_config(checkpoint):
    model, path = checkpoint
    cfg = Config(dict(model=dict(type='EncoderDecoder', decode_head=dict(type='Whatever'), backbone=dict(
        type='MultimodalBackbone', modalities=modalities(), fusion=dict(type='ConcatFusion'), pretrained='absent.pth'))))
    loaded = load_explained(cfg, path, 'encoder')
    x = dict(sar=torch.randn(3, 2, 16, 16))
    torch.testing.assert_close(loaded.extract_feat(x), model.eval().extract_feat(x))
    with pytest.raises(ConfigError, match='config has none.*--level encoder'):
        load_explained(cfg, path)


def test_errors(checkpoint, tmp_path):
    model, path = checkpoint
    cfg = Config(dict(model=pretraining()))
    with pytest.raises(WeightsError, match='no such'):
        load_explained(cfg, tmp_path / 'none.pth')
    torch.save({k: v for k, v in model.state_dict().items() if k.startswith('backbone')}, tmp_path / 'b.pth')
    with pytest.raises(WeightsError, match='no projector'):
        load_explained(cfg, tmp_path / 'b.pth')
    cfg.model.neck.out_channels = 16
    with pytest.raises(WeightsError, match=r'fc2.weight is \(8, 8\), the model has \(16, 8\)'):
        load_explained(cfg, path)
    with pytest.raises(ConfigError, match='level'):
        load_explained(cfg, path, 'pixels')

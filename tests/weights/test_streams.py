import copy

import pytest
import torch
from helpers import entries, tiny_encoder
from mmengine.config import Config

import decur
from decur.apis import load_model
from decur.errors import WeightsError
from decur.explain.loading import load_explained
from decur.models import MultimodalBackbone, MultimodalPretraining
from decur.weights.convert import convert
from decur.weights.metadata import describe
from decur.weights.streams import load_streams


@pytest.fixture
def checkpoint(tmp_path):
    """A pretraining checkpoint as the runner writes it, and its model."""
    torch.manual_seed(0)
    net = MultimodalPretraining(
        backbone=dict(type='MultimodalBackbone', modalities=entries()),
        neck=dict(type='MultimodalProjector', hid_channels=8, out_channels=8))
    path = tmp_path / 'epoch_1.pth'
    described = dict(describe(dict(backbone=dict(modalities=entries()))), objective='DeCURHead')
    torch.save(dict(meta=dict(epoch=1, decur=described), state_dict=net.state_dict()), path)
    return str(path), net


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_one_line_takes_every_stream(checkpoint):
    path, net = checkpoint
    backbone = MultimodalBackbone(entries(), fusion=dict(type='ConcatFusion'), pretrained=path)
    assert not equal(backbone.streams['sar'], net.backbone.streams['sar'])
    backbone.init_weights()
    assert equal(backbone.streams, net.backbone.streams)


def test_one_modality_alone_or_under_another_name(checkpoint):
    path, net = checkpoint
    one = MultimodalBackbone(dict(optical=entries()['optical']), pretrained=path)
    one.init_weights()
    assert equal(one.streams['optical'], net.backbone.streams['optical'])
    renamed = MultimodalBackbone(dict(s1=entries()['sar'], s2=entries()['optical']), pretrained=dict(s1=f'{path}::sar'))
    renamed.init_weights()
    assert equal(renamed.streams['s1'], net.backbone.streams['sar'])
    assert not equal(renamed.streams['s2'], net.backbone.streams['optical'])
    assert renamed.started_from == dict(s1=dict(file=f'{path}::sar', objective='DeCURHead'))  # s2: at random


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(checkpoint):
    path, _ = checkpoint
    other = entries()
    other['optical'] = dict(other['optical'], encoder=dict(tiny_encoder(), base_channels=16))
    backbone = MultimodalBackbone(other, pretrained=path)
    before = {k: v.clone() for k, v in backbone.streams['sar'].state_dict().items()}
    message = r"encoder of modality 'optical', nothing was loaded: .*layer1.0.conv1.weight is \(8, 8, 3, 3\), the model has"
    with pytest.raises(WeightsError, match=message):
        load_streams(backbone, path)
    assert all(torch.equal(value, before[key]) for key, value in backbone.streams['sar'].state_dict().items())
    deeper = dict(sar=dict(entries()['sar'], encoder=tiny_encoder(depth=18)))
    with pytest.raises(WeightsError, match='missing in the file: encoder.layer1.1.conv1.weight'):
        MultimodalBackbone(deeper, pretrained=path).init_weights()


def test_prefixes_of_a_distributed_run(checkpoint, tmp_path):
    path, net = checkpoint
    torch.save({f'module.{key}': value for key, value in net.state_dict().items()}, tmp_path / 'ddp.pth')
    backbone = MultimodalBackbone(entries(), pretrained=str(tmp_path / 'ddp.pth'))
    backbone.init_weights()
    assert equal(backbone.streams, net.backbone.streams)


@pytest.mark.parametrize('part', ['encoder', 'attention.3'])
def test_encoders_that_a_conversion_made_up_are_not_taken(checkpoint, tmp_path, part):
    """A converted file has random weights where its source had none, and says so."""
    path, net = checkpoint
    content = torch.load(path, weights_only=False)
    content['meta']['decur']['initialised'] = [f'backbone.streams.optical.{part}', 'backbone.streams.sar.head']
    torch.save(content, tmp_path / 'converted.pth')
    with pytest.raises(WeightsError, match=rf'no trained weights for backbone.streams.optical.{part}.*pretrained=dict'):
        MultimodalBackbone(entries(), pretrained=str(tmp_path / 'converted.pth')).init_weights()
    one = MultimodalBackbone(entries(), pretrained=dict(sar=str(tmp_path / 'converted.pth')))
    one.init_weights()
    assert equal(one.streams['sar'], net.backbone.streams['sar'])


@pytest.mark.parametrize('content', [dict(a=1), dict(state_dict={}), dict(state_dict=dict(w='text')), {1: torch.zeros(1)}])
def test_files_without_weights(tmp_path, content):
    torch.save(content, tmp_path / 'empty.pth')
    with pytest.raises(WeightsError, match='empty.pth') as info:
        MultimodalBackbone(entries(), pretrained=str(tmp_path / 'empty.pth')).init_weights()
    assert '\n' not in str(info.value)


def test_absent_modality_and_foreign_files_are_explained(checkpoint, tmp_path):
    path, _ = checkpoint
    with pytest.raises(WeightsError, match=r"no encoder for modality 'dem'; it has \['optical', 'sar'\]"):
        MultimodalBackbone(dict(dem=dict(channels=1, encoder=tiny_encoder())), pretrained=path).init_weights()
    torch.save({'conv1.weight': torch.zeros(1)}, tmp_path / 'foreign.pth')
    with pytest.raises(WeightsError, match='Known: published DeCUR'):
        MultimodalBackbone(entries(), pretrained=str(tmp_path / 'foreign.pth')).init_weights()
    with pytest.raises(WeightsError, match='no such checkpoint'):
        MultimodalBackbone(entries(), pretrained=str(tmp_path / 'nowhere.pth')).init_weights()
    with pytest.raises(WeightsError, match="names modality .'dem'."):
        MultimodalBackbone(entries(), pretrained=dict(dem=path)).init_weights()


def named_bands():
    """The entries with named bands of one sensor."""
    return dict(entries(), sar=dict(entries()['sar'], bands=('VV', 'VH')))


def test_the_bands_of_a_checkpoint_have_one_order_however_it_is_loaded(tmp_path):
    """A model of the same shapes whose images have VH first would give other features, and no error of its own."""
    backbone = dict(type='MultimodalBackbone', modalities=named_bands())
    neck = dict(type='MultimodalProjector', hid_channels=8, out_channels=8)
    net = MultimodalPretraining(backbone=backbone, neck=neck)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta=dict(decur=describe(dict(backbone=backbone))), state_dict=net.state_dict()), path)
    head = dict(type='DeCURHead', common_dim=6)
    good = Config(dict(default_scope='mmpretrain', modalities=named_bands(), model=dict(
        type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone'), neck=neck, head=head)))
    wrong = copy.deepcopy(good)
    wrong.modalities.sar.bands = ('vh', 'vv')
    ways = (lambda cfg: load_streams(MultimodalBackbone(cfg.modalities), str(path)), lambda cfg: load_model(cfg, path),
            lambda cfg: decur.load(path, config=cfg), lambda cfg: convert(path, cfg), lambda cfg: load_explained(cfg, path))
    for way in ways:
        assert way(good) is not None
        with pytest.raises(WeightsError, match=r"epoch_1.pth: its encoder was trained on the bands VV, VH, modality 'sar' gives it VH, VV"):
            way(wrong)

"""Late fusion: what is learned, what is frozen, what stands for a missing modality."""
import pytest
import torch
from helpers import tiny_encoder
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from decur.errors import ConfigError, DataError


def build(names=('sar', 'optical'), frozen=False, **kwargs):
    channels = dict(sar=2, optical=5)
    modalities = {name: dict(channels=channels[name], encoder=tiny_encoder(), mean=[0.], std=[1.]) for name in names}
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='MultimodalClassifier', backbone=dict(type='MultimodalBackbone', modalities=modalities, frozen=frozen, **kwargs),
        head=dict(type='LateFusionHead', num_classes=4)))
    model.init_weights()
    return model


def batch(n=4, names=('sar', 'optical'), present=None):
    torch.manual_seed(1)
    inputs = {name: torch.randn(n, dict(sar=2, optical=5)[name], 32, 32) for name in names}
    samples = []
    for i in range(n):
        sample = DataSample().set_gt_score(torch.tensor([1., 0., float(i % 2), 0.]))
        if present is not None:
            sample.set_field(present[i], 'present', field_type='metainfo')
        samples.append(sample)
    return inputs, samples


@pytest.mark.parametrize('names', [('sar', ), ('sar', 'optical')])
def test_logits_and_loss_are_a_linear_layer_on_concatenated_features(names):
    model = build(names).eval()
    inputs, samples = batch(names=names)
    features = torch.cat([model.backbone.features(inputs)[name] for name in names], dim=1)
    logits = features @ model.head.fc.weight.T + model.head.fc.bias
    assert torch.allclose(model(inputs), logits, atol=1e-6)
    target = torch.stack([s.gt_score for s in samples])
    expected = -(target * logits.sigmoid().log() + (1 - target) * (1 - logits.sigmoid()).log()).mean()
    assert torch.allclose(model(inputs, samples, mode='loss')['loss'], expected, atol=1e-5)
    predicted = model(inputs, samples, mode='predict')
    assert torch.allclose(predicted[0].pred_score, logits[0].sigmoid())
    assert predicted[0].pred_label.tolist() == torch.where(logits[0] >= 0)[0].tolist()


def test_linear_protocol_trains_the_last_layer_only():
    model = build(frozen=True).train()
    inputs, samples = batch()
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    model(inputs, samples, mode='loss')['loss'].backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {'head.fc.weight', 'head.fc.bias'}
    assert all(torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())  # statistics too
    fine = build().train()
    fine(inputs, samples, mode='loss')['loss'].backward()
    assert all(p.grad is not None for p in fine.parameters())


def test_a_missing_modality_is_its_mean_feature():
    model = build(frozen=True).train()
    inputs, samples = batch(8)
    model(inputs, samples, mode='loss')
    model.eval()
    features = model.backbone.features(inputs)
    mean = features['optical'].mean(0)
    assert torch.allclose(model.head.mean_optical, mean, atol=1e-5)
    expected = torch.cat([features['sar'], mean.expand(8, -1)], 1) @ model.head.fc.weight.T + model.head.fc.bias
    assert torch.allclose(model(dict(sar=inputs['sar'])), expected, atol=1e-5)
    present = [dict(sar=True, optical=i % 2 == 0) for i in range(8)]
    mixed = model(*batch(8, present=present))
    assert torch.allclose(mixed[1::2], expected[1::2], atol=1e-5)
    assert torch.allclose(mixed[::2], model(inputs)[::2], atol=1e-5)


def test_bad_input():
    model = build()
    inputs, _ = batch()
    with pytest.raises(DataError, match='no labels'):
        model(inputs, [DataSample()] * 4, mode='loss')
    with pytest.raises(DataError, match='2 labels'):
        model(inputs, [DataSample().set_gt_score(torch.zeros(2))] * 4, mode='loss')
    with pytest.raises(ConfigError, match='dict of tensors'):
        model(inputs['sar'])
    with pytest.raises(ConfigError, match='unknown modality'):
        model(dict(dem=inputs['sar']))

"""Single-label and regression heads of scenes, numbers for pixels, change between two dates."""
import pytest
import torch
from helpers import tiny_encoder
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from decur.errors import ConfigError, DataError
from decur.models import MultimodalBackbone
from decur.models.heads import LateFusionHead, PixelRegressionHead


def head(task, classes=3):
    torch.manual_seed(0)
    return LateFusionHead(classes, dict(sar=4, optical=5), task=task)


FEATURES = dict(sar=torch.randn(6, 4, generator=torch.Generator().manual_seed(1)),
                optical=torch.randn(6, 5, generator=torch.Generator().manual_seed(2)))


def test_single_label():
    samples = [DataSample().set_gt_label(i % 3) for i in range(6)]
    model = head('single-label')
    loss = model.loss(FEATURES, samples)['loss']
    torch.testing.assert_close(loss, F.cross_entropy(model(FEATURES), torch.tensor([0, 1, 2, 0, 1, 2])))
    found = model.predict(FEATURES, samples)
    assert torch.stack([s.pred_score for s in found]).sum(1).allclose(torch.ones(6))
    assert [int(s.pred_label) for s in found] == model(FEATURES).argmax(1).tolist()
    with pytest.raises(DataError, match="has \\[3\\], the head takes one of 3 classes"):
        model.loss(FEATURES, [DataSample().set_gt_label(3)] * 6)
    with pytest.raises(DataError, match='has no class'):
        model.loss(FEATURES, [DataSample()] * 6)


def test_numbers_of_scenes():
    target = torch.rand(6, 3) * 100
    samples = [DataSample().set_gt_score(row) for row in target]
    model = head('regression')
    torch.testing.assert_close(model.loss(FEATURES, samples)['loss'], F.mse_loss(model(FEATURES), target))
    found = model.predict(FEATURES, samples)
    assert torch.stack([s.pred_score for s in found]).equal(model(FEATURES)) and 'pred_label' not in found[0]
    with pytest.raises(ConfigError, match="task must be .* got 'ordinal'"):
        head('ordinal')


def test_a_number_for_every_pixel():
    """Loss in units of the standard deviation, pixels without a target left out, predictions in the units of the target."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = PixelRegressionHead(in_channels=[4, 8], in_index=(0, 1), target_mean=50., target_std=10., align_corners=False)
    maps = torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)
    found = model(maps)
    assert found.shape == (2, 1, 8, 8)
    target = torch.full((2, 1, 16, 16), 70.)
    target[0, :, :8] = float('nan')
    samples = [SegDataSample(gt_depth_map=PixelData(data=one)) for one in target]
    loss = model.loss_by_feat(found, samples)['loss_regression']
    full = F.interpolate(found, (16, 16), mode='bilinear', align_corners=False)
    known = torch.isfinite(target)
    torch.testing.assert_close(loss, F.smooth_l1_loss(full[known] / 10, target[known] / 10))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    with pytest.raises(DataError, match='has no target map: put LoadTargetMap'):
        model.loss_by_feat(found, [SegDataSample()])
    with pytest.raises(ConfigError, match='target_std must be above 0'):
        PixelRegressionHead(in_channels=[4], in_index=(0, ), target_std=0)


@pytest.mark.parametrize('kind, more', [('UPerHead', dict(pool_scales=(1, 2))), ('SegformerHead', {})])
def test_heads_of_mmseg_take_several_modalities(kind, more):
    """in_channels follow, and every modality gets a gradient."""
    init_default_scope('mmseg')
    entries = {name: dict(channels=c, mean=[0.] * c, std=[1.] * c, encoder=tiny_encoder()) for name, c in (('rgb', 3), ('dem', 1))}
    model = MODELS.build(dict(
        type='MultimodalSegmentor', data_preprocessor=dict(type='MultimodalSegDataPreprocessor', modalities=entries),
        backbone=dict(type='MultimodalBackbone', modalities=entries, fusion=dict(type='ConcatFusion')),
        decode_head=dict(type=kind, in_index=(0, 1, 2, 3), channels=8, num_classes=3, align_corners=False, norm_cfg=dict(type='BN'),
                         **more)))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(3, (1, 64, 64)))) for _ in range(2)]
    losses = model(torch.randn(2, 4, 64, 64), samples, mode='loss')
    losses['decode.loss_ce'].backward()
    assert all(stream.encoder.parameters().__next__().grad.abs().sum() > 0 for stream in model.backbone.streams.values())


DATES = {f'sar_{date}': dict(channels=2, encoder=tiny_encoder()) for date in ('before', 'after')}
PAIRS = dict(type='DifferenceFusion', pairs=(('sar_before', 'sar_after'), ))


def test_two_dates_go_through_one_stream():
    model = MultimodalBackbone(DATES, shared=dict(sar_after='sar_before'), fusion=PAIRS).eval()
    single = MultimodalBackbone({'sar_before': DATES['sar_before']})
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in single.parameters())
    x, y = torch.randn(2, 1, 2, 64, 64)
    with torch.no_grad():
        assert all(not m.abs().any() for m in model(dict(sar_before=x, sar_after=x)))  # nothing changed
        forth, back = model(dict(sar_before=x, sar_after=y)), model(dict(sar_before=y, sar_after=x))
        assert all(m.equal(n) and m.abs().sum() > 0 for m, n in zip(forth, back))
        maps = model.step(dict(sar_before=x, sar_after=y))
        assert all(m.equal((a - b).abs()) for m, a, b in zip(forth, maps['sar_after'], maps['sar_before']))


@pytest.mark.parametrize('change, message', [
    (dict(shared=dict(sar_after='sar_bfore')), "unknown modality 'sar_bfore' .did you mean 'sar_before'"),
    (dict(shared=dict(sar_after='sar_before', sar_before='sar_after')), 'share a stream already'),
    (dict(fusion=dict(PAIRS, pairs=(('sar_before', ), ))), 'DifferenceFusion takes pairs='),
    (dict(fusion=dict(PAIRS, pairs=(('sar_before', 'sar_before'), ))), "the modality 'sar_after' is in no pair"),
    (dict(modalities=dict(DATES, sar_after=dict(channels=1, encoder=tiny_encoder())), shared=dict(sar_after='sar_before')),
     'differ in channels'),
])
def test_dates_that_do_not_fit_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        MultimodalBackbone(**dict(dict(modalities=DATES, fusion=PAIRS), **change))

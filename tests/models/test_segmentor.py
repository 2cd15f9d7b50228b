"""Heads of a segmentation model take the channels that modalities, encoders and fusion give."""
import pytest
from helpers import tiny_encoder
from mmengine.registry import MODELS, DefaultScope

from decur.errors import ConfigError

LOSS = dict(type='CrossEntropyLoss', avg_non_ignore=True)
FCN = dict(type='FCNHead', channels=4, num_classes=3, loss_decode=LOSS)


def build(names=('rgb', 'hha'), decode_head=None, fusion='ConcatFusion', out_indices=(0, 1, 2, 3), **model):
    modalities = {name: dict(channels=3, encoder=tiny_encoder()) for name in names}
    head = dict(type='MultiLevelFCNHead', num_classes=3, loss_decode=LOSS) if decode_head is None else decode_head
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(dict(
            type='MultimodalSegmentor', decode_head=head, train_cfg={}, test_cfg=dict(mode='whole'),
            backbone=dict(type='MultimodalBackbone', modalities=modalities, out_indices=out_indices, fusion=fusion and dict(type=fusion)),
            data_preprocessor=dict(type='MultimodalSegDataPreprocessor', modalities=modalities), **model))


def widths(model):
    return model.backbone.fusion.out_channels


def test_a_removed_modality_is_said_once():
    two, one = build(), build(('rgb', ))
    assert tuple(two.decode_head.in_channels) == widths(two)[1:]
    assert tuple(2 * c for c in one.decode_head.in_channels) == widths(two)[1:]


def test_every_form_of_in_index():
    model = build(decode_head=dict(FCN, in_index=2), auxiliary_head=[dict(FCN), dict(FCN, in_index=0)])
    assert model.decode_head.in_channels == widths(model)[2]
    assert [head.in_channels for head in model.auxiliary_head] == [widths(model)[-1], widths(model)[0]]  # mmseg's default is the last map
    model = build(decode_head=dict(type='CMXHead', channels=8, num_classes=3, loss_decode=LOSS), auxiliary_head=dict(FCN, in_index=1))
    assert tuple(model.decode_head.in_channels) == widths(model) and model.auxiliary_head.in_channels == widths(model)[1]
    model = build(decode_head=dict(FCN, in_index=0), out_indices=(2, 3))
    assert model.decode_head.in_channels == widths(model)[2]


def test_what_the_config_says_must_agree():
    given = widths(build())[1:]
    head = dict(type='MultiLevelFCNHead', num_classes=3, loss_decode=LOSS)
    assert tuple(build(decode_head=dict(head, in_channels=list(given))).decode_head.in_channels) == given
    with pytest.raises(ConfigError, match=r'model.decode_head.in_channels=\(1, 2, 3\), but the maps .*Leave in_channels out'):
        build(decode_head=dict(head, in_channels=(1, 2, 3)))
    with pytest.raises(ConfigError, match='model.auxiliary_head.in_index=4: the backbone gives 4 maps'):
        build(auxiliary_head=dict(FCN, in_index=4))
    with pytest.raises(ConfigError, match='give model.backbone a fusion'):
        build(fusion=None)

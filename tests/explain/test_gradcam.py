import numpy as np
import pytest
import torch
from constructions import linear_projector, model

from decur.errors import ConfigError
from decur.explain import BlockMeans, blocks_of, grad_cam, normalize_maps
from decur.explain.representation import token_grid


def square_model():
    """Channel 0 of the encoder sees band 0, channel 1 band 1; common dimensions read channel 0, unique ones channel 1."""
    m = model(dict(a=2, b=2))
    for name in 'ab':
        weight = torch.zeros(4, 2, 1, 1)
        weight[0, 0] = weight[1, 1] = 1
        m.backbone.streams[name].encoder.conv.weight.data.copy_(weight)
        linear_projector(m, name, torch.tensor([[1., 0, 0, 0], [2, 0, 0, 0], [0, 1, 0, 0], [0, 3, 0, 0]]))
    return m


def planted(n=3):
    """A bright square in band 0 at the top left, another in band 1 at the bottom right."""
    x = torch.rand(n, 2, 16, 16) * 0.01
    x[:, 0, 2:6, 2:6] = 1
    x[:, 1, 9:14, 9:14] = 1
    return x


def means_of(m, name='a', **kwargs):
    return BlockMeans(m, name, blocks_of(m, 4), np.zeros(4), np.ones(4), **kwargs)


def test_a_planted_square_is_found_by_the_block_that_sees_it():
    x = planted()
    maps = grad_cam(means_of(square_model()), x)
    assert list(maps) == ['common', 'unique'] and maps['common'].shape == (3, 16, 16)
    truth = dict(common=x[:, 0] > 0.5, unique=x[:, 1] > 0.5)
    for block, where in truth.items():
        found = normalize_maps(maps[block])
        assert found[where].min() > 0.9 and found[~where].max() < 0.1


def test_values_are_weight_times_activation():
    # d mean(common) / d map = (1 + 2) / 2 / 256 in channel 0, constant over pixels; captum averages it over the map.
    x = planted()
    maps = grad_cam(means_of(square_model()), x)
    np.testing.assert_allclose(maps['common'], 1.5 / 256 * x[:, 0], rtol=1e-4)


def test_standardisation_scales_the_attribution_by_constants():
    m, x = square_model(), planted()
    scaled = BlockMeans(m, 'a', blocks_of(m, 4), np.full(4, 7.), np.full(4, 2.))
    np.testing.assert_allclose(grad_cam(scaled, x)['unique'], grad_cam(means_of(m), x)['unique'] / 2, rtol=1e-4)
    # A sample's map depends on that sample alone.
    np.testing.assert_allclose(grad_cam(scaled, x[:1])['unique'], grad_cam(scaled, x)['unique'][:1], rtol=1e-5)


def test_sign():
    m, x = square_model(), planted()
    linear_projector(m, 'a', -m.neck.projectors['a'].weight.data)
    signed, positive, absolute = (grad_cam(means_of(m), x, sign=s)['common'] for s in ('signed', 'positive', 'absolute'))
    assert signed.min() < -1e-3 and not positive.any()
    np.testing.assert_allclose(absolute, -signed)
    with pytest.raises(ConfigError, match='sign'):
        grad_cam(means_of(m), x, sign='both')


def test_any_named_layer_and_frozen_weights():
    m, x = square_model(), planted()
    m.requires_grad_(False)
    named = grad_cam(means_of(m, layer='backbone.streams.a.encoder'), x)
    np.testing.assert_allclose(named['common'], grad_cam(means_of(m), x)['common'], rtol=1e-5)
    assert not m.backbone.streams['a'].encoder._forward_hooks  # nothing is left behind
    with pytest.raises(ConfigError, match='no layer'):
        means_of(m, layer='backbone.streams.a.encoder.layer4')
    with pytest.raises(ConfigError, match="'c'"):
        means_of(m, 'c')


def transformer():
    return model(dict(a=1, b=1), encoder='mmpretrain.VisionTransformer', img_size=(16, 24), patch_size=4, out_indices=(0, ),
                 arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32), out_type='raw')


def test_a_class_token_is_explained_by_the_last_map_it_reads():
    torch.manual_seed(0)
    m, x = transformer(), torch.rand(2, 1, 16, 24)
    means = means_of(m)
    maps = grad_cam(means, x, size=(4, 6))
    assert means.stage == 2  # of stages 0 to 3: the last map no longer acts on the class token
    assert np.abs(maps['common']).max() > 0
    # One layer a stage: the same through the tokens of the layer, class token and all.
    named = means_of(m, layer='backbone.streams.a.encoder.layers.2')
    np.testing.assert_allclose(grad_cam(named, x, size=(4, 6))['common'], maps['common'], atol=1e-7)
    assert not m.backbone.streams['a'].attention  # nothing is left behind
    with pytest.raises(ConfigError, match='another layer'):
        grad_cam(means_of(m, layer='backbone.streams.b.encoder.layers.2', others=dict(b=x)), x)


def test_attention_of_the_model_comes_before_the_tap():
    m, x = square_model(), planted()

    class Double(torch.nn.Module):

        def forward(self, x):
            return 2 * x

    own = m.backbone.streams['a'].attention['0'] = Double()
    maps = grad_cam(means_of(m), x)
    np.testing.assert_allclose(maps['common'], 2 * 1.5 / 256 * x[:, 0], rtol=1e-4)
    assert m.backbone.streams['a'].attention['0'] is own


def test_token_grid():
    assert token_grid(197, (224, 224)) == (14, 14, 1)
    assert token_grid(24, (16, 24)) == (4, 6, 0)
    assert token_grid(198, (224, 224)) == (14, 14, 2)
    with pytest.raises(ConfigError, match='no grid'):
        token_grid(23, (224, 224))


def test_encoder_level_and_objectives_without_a_split():
    m, x = square_model(), planted()
    encoder = BlockMeans(m, 'a', blocks_of(m, 4, 'encoder'), np.zeros(4), np.ones(4), level='encoder')
    assert list(grad_cam(encoder, x)) == ['all']
    del m.head.common_dim
    assert list(blocks_of(m, 4)) == ['all']

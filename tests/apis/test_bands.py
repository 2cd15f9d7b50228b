"""Bands by name: encoders for images with fewer bands, or the same in another order, compute what the rule says."""
import numpy as np
import pytest
import rasterio
import torch
from mmengine.registry import MODELS

import decur
from decur.apis.load import LoadedEncoder, _with_bands
from decur.errors import ConfigError, WeightsError
from decur.sensors import S2C_BANDS, STATISTICS
from decur.weights import bands as rules
from decur.weights import save_file
from decur.weights.metadata import describe

S2 = S2C_BANDS
SIXTEEN = dict(type='mmpretrain.VisionTransformer', arch=dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64),
               img_size=32, patch_size=16)
SMALL = dict(type='SmallResNet', stem_channels=8, base_channels=8, strides=(2, 2, 2, 2))
MIT = dict(type='DecurMixVisionTransformer', arch='b0')
EIGHT_BITS = dict(radiometry=[dict(type='ToEightBit', statistics='ssl4eo_s2c')], mean=[0.], std=[255.])


def saved(tmp_path, **modalities):
    """A checkpoint of encoders with random weights and running means."""
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=modalities))
    state = {f'backbone.{key}': torch.rand_like(value) + .5 if key.endswith('running_var') else torch.randn_like(value) * .2
             if value.is_floating_point() else value for key, value in backbone.state_dict().items()}
    meta = dict(decur=describe(dict(backbone=dict(modalities=modalities))))
    return save_file(dict(meta=meta, state_dict=state), tmp_path / 'weights.pth')


def optical(encoder=SIXTEEN, **kwargs):
    return dict(dict(channels=13, bands=S2, encoder=encoder, **EIGHT_BITS), **kwargs)


def image(seed=0, size=32):
    rng = np.random.default_rng(seed)
    x = rng.integers(300, 4000, (size, size, 13)).astype(np.uint16)
    x[..., 10] = rng.integers(0, 60, (size, size))
    return x


@torch.no_grad()
def feature(encoder, x, name='optical'):
    return encoder.extract_feat({name: encoder.transforms[name](x)[None]})[name]


@pytest.mark.parametrize('encoder', [SIXTEEN, SMALL, MIT], ids=['vit', 'resnet', 'mit'])
def test_another_order_gives_the_same_features(tmp_path, encoder):
    path = saved(tmp_path, optical=optical(encoder))
    order = np.random.default_rng(1).permutation(13)
    changed = decur.load(path, bands=[f'B0{S2[i][1:]}' if len(S2[i]) == 2 else S2[i].lower() for i in order])
    assert torch.allclose(feature(changed, image()[..., order]), feature(decur.load(path), image()), atol=1e-5)
    sar = saved(tmp_path, sar=dict(channels=2, bands=('VV', 'VH'), encoder=encoder, mean=[-12., -20.], std=[5., 6.]))
    x = np.random.default_rng(0).normal((-12, -20), 4, (32, 32, 2)).astype(np.float32)
    swapped = decur.load(sar, bands=('VH', 'VV'))
    assert torch.allclose(feature(swapped, x[..., ::-1], 'sar'), feature(decur.load(sar), x, 'sar'), atol=1e-5)
    assert not torch.allclose(feature(swapped, x, 'sar'), feature(decur.load(sar), x, 'sar'), atol=1e-4)


@pytest.mark.parametrize('wanted', [S2[:10] + S2[11:], ('B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12'),
                                    ('B4', 'B3', 'B2', 'B8'), ('B4', 'B3', 'B2')], ids=len)
@pytest.mark.parametrize('encoder', [SIXTEEN, SMALL, MIT], ids=['vit', 'resnet', 'mit'])
def test_dropped_bands_are_zeros(tmp_path, encoder, wanted):
    path = saved(tmp_path, optical=optical(encoder))
    whole, few = decur.load(path), decur.load(path, bands=wanted, missing='drop')
    places = [S2.index(band) for band in wanted]
    x = whole.transforms['optical'](image())
    zeros = torch.zeros_like(x)
    zeros[places] = x[places]
    assert torch.equal(few.transforms['optical'](image()[..., places]), x[places])
    with torch.no_grad():
        assert torch.allclose(feature(few, image()[..., places]), whole.extract_feat(dict(optical=zeros[None]))['optical'], atol=1e-5)
    assert few.metadata['optical']['bands'] == list(wanted) and few.metadata['optical']['missing'] == 'drop'


def filled(value):
    """An image whose bands besides B4, B3, B2 have one value each."""
    x = image().astype(np.float32)
    for i, band in enumerate(S2):
        if band not in ('B4', 'B3', 'B2'):
            x[..., i] = value[i]
    return x


@pytest.mark.parametrize('scaling', [EIGHT_BITS, dict(mean=list(range(500, 1800, 100)), std=[800.] * 13)], ids=['8 bit', 'standardized'])
def test_the_mean_of_absent_bands(tmp_path, scaling):
    """Exactly what images with the mean in these bands give, where nothing pads with zeros."""
    path = saved(tmp_path, optical=optical(**scaling))
    mean = STATISTICS['ssl4eo_s2c'].mean if 'radiometry' in scaling else scaling['mean']
    if 'radiometry' not in scaling:
        path = saved(tmp_path, optical={key: value for key, value in optical(**scaling).items() if key != 'radiometry'})
    few = decur.load(path, bands=('B4', 'B3', 'B2'), missing='mean')
    x = filled(mean)
    assert torch.allclose(feature(few, x[..., [3, 2, 1]]), feature(decur.load(path), x), atol=1e-4)


def test_the_mean_goes_to_the_batch_norm(tmp_path):
    """Inside of the border the first layer of a ResNet gives what it gave with the mean in the absent bands."""
    path = saved(tmp_path, optical=optical(SMALL))
    whole, few = decur.load(path), decur.load(path, bands=('B4', 'B3', 'B2'), missing='mean')
    x, out = filled(STATISTICS['ssl4eo_s2c'].mean), []
    for encoder, seen in ((whole, x), (few, x[..., [3, 2, 1]])):
        net = encoder.backbone.streams['optical'].encoder
        with torch.no_grad():
            out.append(net.bn1(net.conv1(encoder.transforms['optical'](seen)[None])))
    assert torch.allclose(out[0][..., 1:-1, 1:-1], out[1][..., 1:-1, 1:-1], atol=1e-4)
    assert not torch.allclose(out[0], out[1], atol=1e-3)  # the border pads with zeros
    drop = decur.load(path, bands=('B4', 'B3', 'B2'), missing='drop').backbone.streams['optical'].encoder
    assert torch.equal(drop.conv1.weight, few.backbone.streams['optical'].encoder.conv1.weight)
    assert not torch.allclose(drop.bn1.running_mean, few.backbone.streams['optical'].encoder.bn1.running_mean)


@pytest.mark.parametrize('encoder', [SIXTEEN, SMALL], ids=['vit', 'resnet'])
def test_absent_bands_that_follow_from_the_others_are_not_missed(tmp_path, encoder):
    path = saved(tmp_path, optical={key: value for key, value in optical(encoder, mean=[1000.], std=[700.]).items() if key != 'radiometry'})
    rng = np.random.default_rng(2)
    mixing = rng.random((3, 10)) * .5

    def scene(seed):
        few = np.random.default_rng(seed).integers(100, 3000, (32, 32, 3)).astype(np.float32)
        x = np.zeros((32, 32, 13), np.float32)
        x[..., [3, 2, 1]] = few
        x[..., [0, *range(4, 13)]] = few @ mixing.astype(np.float32) + 50
        return x

    few = decur.load(path, bands=('B4', 'B3', 'B2'), missing='estimate', reference=[scene(i) for i in range(3)])
    whole, x = decur.load(path), scene(9)
    expected = feature(whole, x)
    assert torch.allclose(feature(few, x[..., [3, 2, 1]]), expected, atol=1e-3 if encoder is SIXTEEN else .05 * float(expected.abs().max()))
    dropped = decur.load(path, bands=('B4', 'B3', 'B2'), missing='drop')
    assert (feature(few, x[..., [3, 2, 1]]) - expected).norm() < .2 * (feature(dropped, x[..., [3, 2, 1]]) - expected).norm()
    assert min(few.metadata['optical']['estimated'].values()) > .999 and len(few.metadata['optical']['estimated']) == 10


def test_reversed_channels_and_a_band_given_three_times(tmp_path):
    rgb = dict(channels=3, bands=('R', 'G', 'B'), channel_order='bgr', mean=[100., 110., 120.], std=[50., 60., 70.], encoder=SIXTEEN)
    dem = dict(channels=3, bands=('DEM', ) * 3, radiometry=[dict(type='PercentilesToEightBit')], mean=[0.], std=[255.], encoder=SIXTEEN)
    path = saved(tmp_path, rgb=rgb, dem=dem)
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    height = np.random.default_rng(1).random((32, 32, 1), dtype=np.float32) * 90
    whole = decur.load(path)
    changed = decur.load(path, bands=dict(rgb=('B', 'R', 'G'), dem=('DEM', )))
    assert torch.allclose(feature(changed, x[..., [2, 0, 1]], 'rgb'), feature(whole, x, 'rgb'), atol=1e-5)
    assert torch.allclose(feature(changed, height, 'dem'), feature(whole, height.repeat(3, -1), 'dem'), atol=1e-5)
    assert torch.equal(decur.load(path, bands=dict(dem=('DEM', ) * 3)).backbone.streams['dem'].encoder.patch_embed.projection.weight,
                       whole.backbone.streams['dem'].encoder.patch_embed.projection.weight)


def test_radiometry_follows_the_bands(tmp_path):
    """The offset is still found by band 10; a band that is inserted stays where it belongs, or goes."""
    steps = [dict(type='RemoveOffset'), dict(type='ToEightBit', statistics='ssl4eo_s2c')]
    path = saved(tmp_path, optical=optical(radiometry=steps))
    wanted = ('B12', 'B10', 'B4')
    places = [S2.index(band) for band in wanted]
    few, whole = decur.load(path, bands=wanted, missing='drop'), decur.load(path)
    offset = image() + np.uint16(1000)
    assert torch.equal(few.transforms['optical'](offset[..., places]), whole.transforms['optical'](offset)[places])
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('decur.apis.bands.print_log', lambda text, **kwargs: said.append(text))
        rgb = decur.load(path, bands=('B4', 'B3', 'B2'), missing='drop')
    assert 'without band B10 nothing tells' in said[0]
    assert torch.equal(rgb.transforms['optical'](image()[..., [3, 2, 1]]), whole.transforms['optical'](image())[[3, 2, 1]])
    twelve = [dict(type='ToEightBit', statistics='bigearthnet_s2'), dict(type='InsertEmptyBand')]
    path = saved(tmp_path, optical=optical(radiometry=twelve))
    l2a = np.delete(image(), 10, -1)
    expected = decur.load(path).transforms['optical'](l2a)
    assert torch.equal(decur.load(path, bands=('B10', 'B4'), missing='drop').transforms['optical'](l2a[..., [3]]), expected[[10, 3]])
    assert torch.equal(decur.load(path, bands=('B8A', 'B4'), missing='drop').transforms['optical'](l2a[..., [8, 3]]), expected[[8, 3]])


def test_bad_bands(tmp_path):
    path = saved(tmp_path, optical=optical())
    for kwargs, error, says in (
            (dict(bands=('B4', 'B3', 'B14')), WeightsError, "no band 'B14' .did you mean 'B4'"),
            (dict(bands=('B4', 'B3', 'B2')), WeightsError, r"trained on B1, B5, .*B12 too\. Say what stands for them: missing='drop'"),
            (dict(bands=('B4', 'B3'), missing='zero'), ConfigError, "missing must be 'drop', 'mean' or 'estimate', got 'zero'"),
            (dict(bands=('B4', 'B4'), missing='drop'), WeightsError, "band 'B4' was named 2 times"),
            (dict(bands=(), missing='drop'), WeightsError, 'no band was named'),
            (dict(bands='B4', missing='drop'), ConfigError, 'bands must name them by modality'),
            (dict(bands=dict(sar=('VV', ))), ConfigError, "bands names modality 'sar'; there are .'optical'."),
            (dict(bands=('B4', 'B3'), missing='estimate'), WeightsError, r'needs reference=: images \(H, W, 13\)'),
            (dict(bands=('B4', 'B3'), missing='estimate', reference=[image(size=5)]), WeightsError, 'has 25 pixels; at least 30'),
            (dict(missing='drop'), ConfigError, 'name those that are there')):
        with pytest.raises(error, match=says) as info:
            decur.load(path, **kwargs)
        assert '\n' not in str(info.value)
    nameless = {key: value for key, value in optical().items() if key not in ('bands', 'radiometry', 'mean')}
    path = saved(tmp_path, optical=nameless)
    with pytest.raises(WeightsError, match='has no names of its 13 bands'):
        decur.load(path, bands=('B4', ))
    path = saved(tmp_path, optical=dict(nameless, bands=S2))
    with pytest.raises(WeightsError, match='the mean of its bands is not known'):
        decur.load(path, bands=('B4', ), missing='mean')


def test_a_first_layer_without_a_place_for_a_constant():
    state = {'conv1.weight': torch.randn(4, 3, 3, 3), 'gn1.weight': torch.ones(4)}
    with pytest.raises(WeightsError, match="has no bias, and no batch norm after it"):
        rules.change_first_layer(state, [[0]], [1, 2], offset=torch.ones(2))
    with pytest.raises(WeightsError, match='no first layer is known'):
        rules.change_first_layer({'stem.weight': torch.zeros(1)}, [[0]])


def entries(**kwargs):
    return dict(sar=dict(dict(channels=2, bands=('VV', 'VH'), encoder=SMALL), **kwargs))


def test_configs_find_bands_in_another_order(tmp_path):
    path = saved(tmp_path, **entries())
    for modalities, says in ((entries(bands=('VH', 'VV')), r'trained on the bands VV, VH, modality .sar. gives it VH, VV: .* order'),
                             (entries(bands=('vh', 'vv')), 'another order')):
        backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=modalities, pretrained=str(path)))
        with pytest.raises(WeightsError, match=says):
            backbone.init_weights()
    for same in (entries(bands=('vv', 'vh')), entries(bands=('first', 'second')), entries(bands=None)):
        MODELS.build(dict(type='MultimodalBackbone', modalities=same, pretrained=str(path))).init_weights()
    rgb = dict(rgb=dict(channels=3, bands=('R', 'G', 'B'), encoder=SMALL, channel_order='bgr'))
    path = saved(tmp_path, **rgb)
    MODELS.build(dict(type='MultimodalBackbone', modalities=rgb, pretrained=str(path))).init_weights()
    rgb['rgb'].pop('channel_order')
    with pytest.raises(WeightsError, match="another order. Set modalities.rgb.channel_order='bgr'"):
        MODELS.build(dict(type='MultimodalBackbone', modalities=rgb, pretrained=str(path))).init_weights()


def test_an_init_cfg_places_bands_by_name(tmp_path):
    torch.manual_seed(0)
    file = save_file(MODELS.build(dict(SMALL, in_channels=13)).state_dict(), tmp_path / 'optical.pth')
    init = dict(type='Pretrained', checkpoint=str(file), first_layer='by_name', bands=S2)
    weight = torch.load(file)['conv1.weight']

    def first(names, **changes):
        entry = dict(channels=len(names), bands=names, encoder=dict(SMALL, init_cfg=dict(init, **changes)))
        backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=dict(optical=entry)))
        backbone.init_weights()
        return backbone.streams['optical'].encoder.conv1.weight

    found = first(('B8', 'B04', 'NDVI'))
    assert torch.equal(found[:, :2], weight[:, [7, 3]]) and not found[:, 2].any()
    thrice = ('DEM', ) * 3 + S2[3:]
    assert torch.equal(first(('DEM', 'B4'), bands=thrice), torch.stack([weight[:, :3].sum(1), weight[:, 3]], 1))
    assert torch.equal(first(('DEM', ) * 3, bands=thrice), weight[:, :3])
    equal = first(('DEM', ) * 2, bands=thrice)  # equal channels give what they gave
    assert torch.allclose(equal.sum(1), weight[:, :3].sum(1), atol=1e-6)
    for names, changes, says in ((('B4', ), dict(bands=None), 'needs the names of the 13 bands that the weights'),
                                 (('B4', ), dict(bands=S2[:3]), r'init_cfg=dict\(..., bands=\(...\)\), got 3'),
                                 (('NDVI', ), {}, 'has none of them: NDVI')):
        with pytest.raises(WeightsError, match=says):
            first(names, **changes)


def test_real_chips_are_estimated_better_than_they_are_dropped(sample_data):
    """On four sites the regression is made, on the fifth it is judged: the features change least with it."""
    chips = []
    for path in sorted((sample_data / 'sites_s1_s2_dem' / 'S2L1C').glob('*.tif')):
        with rasterio.open(path) as file:
            chips.append(file.read().transpose(1, 2, 0)[:96, :96].astype(np.float32))
    torch.manual_seed(0)
    encoder = LoadedEncoder(dict(optical=dict(optical(SMALL), radiometry=[dict(type='RemoveOffset'), *EIGHT_BITS['radiometry']])))
    wanted = ('B2', 'B3', 'B4', 'B8')
    x = chips[-1]
    expected = feature(encoder, x)
    error = {}
    for rule in ('drop', 'mean', 'estimate'):
        few = _with_bands(encoder, 'weights', wanted, rule, chips[:-1] if rule == 'estimate' else None)
        offset = 1000 if np.percentile(x[..., 10], 5) > 900 else 0
        error[rule] = float((feature(few, x[..., [1, 2, 3, 7]] - offset) - expected).norm() / expected.norm())
    assert error['estimate'] < error['mean'] < error['drop'], error

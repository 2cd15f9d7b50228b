"""Views on the device: the draws of the CPU path, and for the same draws its values to one grey level."""
import numpy as np
import pytest
import torch
from helpers import entries, tiny_encoder, write_pairs

from decur.datasets import PairedRasterDataset, multimodal_collate
from decur.errors import ConfigError, DataError
from decur.models import MultimodalPretraining
from decur.models.device_views import DeviceViews
from decur.transforms import MakeViews, ViewAugmentation
from decur.transforms.augmentation import Draws, Geometry

WHOLE = Geometry(0, 0, 1, 1, False, False)
CROP = Geometry(.13, .2, .61, .5, True, False)


def images(n=4, channels=5, size=(40, 48), dtype=np.uint8, seed=0):
    """Smooth images with some noise, over the whole range."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(np.cumsum(rng.normal(size=(n, channels, *size)), axis=2), axis=3)
    x = (x - x.min((2, 3), keepdims=True)) / np.ptp(x, axis=(2, 3), keepdims=True)
    x = np.clip(x * 230 + 12 + rng.normal(0, 6, x.shape), 0, 255)
    return x.astype(dtype)


def both(augment, batch, draws):
    """Views by the batched operations and by the CPU path, float64."""
    x = torch.from_numpy(batch)
    parameters = DeviceViews.parameters(draws, batch.shape[1], batch.shape[2:])
    ours = DeviceViews(augment, batched=True)(x, parameters).double().numpy()
    there = np.stack([augment.apply(image.transpose(1, 2, 0), one).transpose(2, 0, 1) for image, one in zip(batch, draws)])
    assert ours.shape == there.shape
    return ours, there.astype(np.float64)


STEPS = dict(
    resize=dict(geometry=CROP), both_flips=dict(geometry=CROP._replace(vflip=True)), whole=dict(),
    brighter=dict(brightness=1.35, contrast=1.), darker=dict(brightness=.7, contrast=.8), contrast=dict(brightness=1.2, contrast=1.4),
    flat=dict(brightness=1., contrast=0.), gray=dict(gray=True),
    blur=dict(sigma=1.7), small_blur=dict(sigma=.5), solarize=dict(solarize=True), dropped=dict(dropped=(1, 3)))


@pytest.mark.parametrize('name', STEPS)
def test_each_step_is_the_cpu_s_to_a_grey_level(name):
    draws = [Draws(**dict(dict(geometry=WHOLE), **STEPS[name]))] * 4
    ours, there = both(ViewAugmentation(size=(32, 36)), images(), draws)
    assert np.abs(ours - there).max() <= 1 and (ours != there).mean() < .02
    assert name == 'whole' or (ours != both(ViewAugmentation(size=(32, 36)), images(), [Draws(WHOLE)] * 4)[0]).mean() > .05


@pytest.mark.parametrize('channels', [1, 2, 13, 200])
def test_whole_chains_of_every_sample_s_own_draws(channels):
    augment = ViewAugmentation(size=24, solarize_prob=.2, channel_drop_prob=.3)
    np.random.seed(3)
    draws = [augment.draw((40, 48, channels)) for _ in range(24)]
    ours, there = both(augment, images(24, channels), draws)
    # A level after resizing may become three by brightness and contrast of up to 1.4 each.
    assert np.abs(ours - there).max() <= 3 and (np.abs(ours - there) > 1).mean() < 1e-3 and (ours != there).mean() < .02
    alone = DeviceViews(augment, batched=True)(torch.from_numpy(images(24, channels)[5:6]),
                                               DeviceViews.parameters(draws[5:6], channels, (40, 48)))
    assert np.array_equal(alone[0].numpy(), ours[5]), 'a view does not depend on the others of its batch'


@pytest.mark.parametrize('dtype', [np.float32, np.int16])
def test_floats(dtype):
    augment = ViewAugmentation(size=24, solarize_prob=.2, channel_drop_prob=.3, value_range=(-10., 300.))
    np.random.seed(3)
    batch = images(16, dtype=dtype)
    draws = [augment.draw((40, 48, 5)) for _ in range(16)]
    x = batch.astype(np.float32)
    ours = both(augment, x, draws)[0] if dtype == np.float32 else DeviceViews(augment, True)(
        torch.from_numpy(batch), DeviceViews.parameters(draws, 5, (40, 48))).double().numpy()
    assert np.abs(ours - both(augment, x, draws)[1]).max() < .01
    with pytest.raises(ConfigError, match='value_range'):
        parameters = DeviceViews.parameters([Draws(WHOLE, 1.1, 1.1)] * 16, 5, (40, 48))
        DeviceViews(ViewAugmentation(size=24), True)(torch.from_numpy(x), parameters)
    with pytest.raises(DataError, match='torch.float64'):
        DeviceViews(augment)(torch.from_numpy(x).double(), DeviceViews.parameters(draws, 5, (40, 48)))


def test_nearest_and_what_is_refused():
    augment = ViewAugmentation(size=24, interpolation='nearest')
    ours, there = both(augment, images(), [Draws(CROP), Draws(WHOLE), Draws(CROP._replace(vflip=True)), Draws(WHOLE._replace(h=.3))])
    assert np.array_equal(ours, there)
    with pytest.raises(ConfigError, match='bicubic'):
        DeviceViews(ViewAugmentation(size=24, interpolation='bicubic'))
    for kwargs in (dict(on='gpu'), dict(on='device', num_views=1)):
        with pytest.raises(ConfigError, match='on must be'):
            MakeViews(**kwargs)


def test_on_a_cpu_opencv_makes_them():
    augment = ViewAugmentation(size=24, solarize_prob=.3)
    np.random.seed(1)
    draws = [augment.draw((40, 48, 5)) for _ in range(12)]
    x = images(12)
    made = DeviceViews(augment)(torch.from_numpy(x), DeviceViews.parameters(draws, 5, (40, 48))).numpy()
    assert np.array_equal(made, np.stack([augment.apply(i.transpose(1, 2, 0), d).transpose(2, 0, 1) for i, d in zip(x, draws)]))


def test_the_distributions_are_those_of_the_options():
    """Shares and means over many draws; the crops' areas are uniform, their ratios uniform on a log scale."""
    augment = ViewAugmentation(size=24, jitter_prob=.8, grayscale_prob=.2, blur_prob=(.9, .1), solarize_prob=.3, channel_drop_prob=.25)
    np.random.seed(0)
    count = 4000
    for view, blurred in ((0, .9), (1, .1)):
        draws = [augment.draw((100, 100, 13), view) for _ in range(count)]
        shares = dict(jitter=(.8, [d.brightness is not None for d in draws]), gray=(.2, [d.gray for d in draws]),
                      blur=(blurred, [d.sigma > 0 for d in draws]), solarize=(.3, [d.solarize for d in draws]),
                      drop=(.25, [bool(d.dropped) for d in draws]), hflip=(.5, [d.geometry.hflip for d in draws]),
                      vflip=(.5, [d.geometry.vflip for d in draws]))
        for name, (wanted, found) in shares.items():
            assert abs(np.mean(found) - wanted) < 4 * (wanted * (1 - wanted) / count)**.5, (name, view)
        factors = np.array([(d.brightness, d.contrast) for d in draws if d.brightness is not None])
        assert np.abs(factors.mean(0) - 1).max() < .02 and factors.min() >= .6 and factors.max() <= 1.4
        sigmas = [d.sigma for d in draws if d.sigma]
        assert abs(np.mean(sigmas) - 1.05) < .08 and min(sigmas) >= .1 and max(sigmas) <= 2
        assert {len(d.dropped) for d in draws} == set(range(7))


def test_a_pipeline_draws_the_same_on_either_side(tmp_path):
    """Views by MakeViews on the CPU and by the preprocessor, from the same seed, epoch and sample; with and without micro-batches."""
    write_pairs(tmp_path)
    modalities = entries()
    for entry in modalities.values():
        entry.update(radiometry=[dict(type='PercentilesToEightBit')], mean=[0.], std=[255.],
                     augmentation=dict(type='ViewAugmentation', size=24, solarize_prob=.2), encoder=tiny_encoder())

    def batch_of(on):
        steps = [dict(type='LoadModalities'), dict(type='MakeViews', on=on), dict(type='PackModalities')]
        dataset = PairedRasterDataset(modalities, str(tmp_path), pipeline=steps)
        dataset.seed = 4
        return multimodal_collate([dataset[i] for i in (0, 5, 10, 3)])

    def model(micro_batch=None):
        torch.manual_seed(0)
        return MultimodalPretraining(backbone=dict(type='MultimodalBackbone', modalities=modalities),
                                     neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=16),
                                     head=dict(type='DeCURHead', common_dim=12), micro_batch=micro_batch).train()

    here, there = batch_of('cpu'), batch_of('device')
    assert tuple(there['inputs']['optical'][0].shape) == (4, 13, 32, 40) and there['inputs']['sar'][0].dtype == torch.uint8
    plain = model()
    expected, found = plain.data_preprocessor(here, True)['inputs'], plain.data_preprocessor(there, True)['inputs']
    for name, views in expected.items():
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(views, found[name])) and views[0].shape[2:] == (24, 24)
    losses = []
    for data, micro_batch in ((here, None), (there, None), (there, 4)):
        net = model(micro_batch)
        losses.append(net.loss(**net.data_preprocessor(data, True))['loss'].item())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_missing_pixels_are_refused(tmp_path):
    write_pairs(tmp_path)
    modalities = dict(sar=dict(entries(False)['sar'], reader=dict(type='RasterioReader', missing=float('-inf'))))
    dataset = PairedRasterDataset(modalities, str(tmp_path), pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', on='device')])
    results = dataset.pipeline.transforms[0](dataset.get_data_info(0))
    results['masks'] = dict(sar=np.ones(results['images']['sar'].shape, bool))
    with pytest.raises(DataError, match=r"'sar' has missing pixels.*nodata=NUMBER.*on='cpu'"):
        dataset.pipeline.transforms[1](results)


def test_a_sample_without_a_modality_has_whole_images_beside_it():
    """Absent images take the size of those that are there."""
    from mmpretrain.structures import DataSample
    full = dict(inputs=dict(a=[torch.ones(2, 9, 9, dtype=torch.uint8)] * 2), data_samples=DataSample())
    lacking = dict(inputs=dict(a=[torch.zeros(2, 4, 4)] * 2), data_samples=DataSample())
    lacking['data_samples'].set_field(dict(a=False), 'present', field_type='metainfo')
    batch = multimodal_collate([lacking, full])['inputs']['a'][0]
    assert batch.shape == (2, 2, 9, 9) and batch.dtype == torch.uint8 and batch.sum(dim=(1, 2, 3)).tolist() == [0, 162]

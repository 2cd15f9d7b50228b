"""Our transforms as TorchGeo's: a callable on their sample dict."""
import numpy as np
import pytest
import torch

from decur.errors import ConfigError, DataError
from decur.transforms import TorchGeoTransform

SAR = dict(channels=2, bands=('VV', 'VH'), mean=[-12., -20.], std=[5., 6.])
OPTICAL = dict(channels=3, bands=('B4', 'B3', 'B2'), mean=[1., 2., 3.], std=2., channel_order='rgb')
NAMES = dict(image=('VH', 'VV', 'B2', 'B3', 'B4'))


def sample(size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(5, size, size, generator=generator)
    return dict(image=image, mask=(image[2] > .5).long(), label=torch.tensor(3))


def test_bands_in_the_order_of_the_weights_and_normalised():
    before = sample()
    after = TorchGeoTransform(dict(sar=SAR, optical=OPTICAL), channels=NAMES)(before)
    want = (before['image'][[1, 0, 4, 3, 2]] - torch.tensor([-12., -20., 1., 2., 3.])[:, None, None]) / torch.tensor(
        [5., 6., 2., 2., 2.])[:, None, None]
    torch.testing.assert_close(after['image'], want)
    assert after['mask'].equal(before['mask']) and after['mask'].dtype == torch.int64 and int(after['label']) == 3
    assert before.keys() == sample().keys() and before['image'].equal(sample()['image'])  # what it was given is not changed
    apart = TorchGeoTransform(dict(sar=SAR, optical=OPTICAL), channels=NAMES, join=False, normalize=False)(before)
    assert set(apart) == {'image_sar', 'image_optical', 'mask', 'label'} and apart['image_sar'].equal(before['image'][[1, 0]])


def test_image_and_mask_are_cut_together():
    transform = TorchGeoTransform(
        dict(sar=SAR, optical=OPTICAL), channels=NAMES, normalize=False,
        transforms=[dict(type='ConcatModalities'), dict(type='RandomCrop', crop_size=(8, 8)), dict(type='RandomFlip', prob=1.0)])
    np.random.seed(3)
    after = transform(sample())
    assert after['image'].shape == (5, 8, 8) and after['mask'].shape == (8, 8)
    assert after['mask'].equal((after['image'][4] > .5).long())  # B2 is the last channel


def test_two_views_for_pretraining():
    view = dict(augmentation=dict(size=8, value_range=(-30, 10)))
    transform = TorchGeoTransform(dict(sar=dict(SAR, **view), optical=dict(OPTICAL, **view)), channels=NAMES,
                                  transforms=[dict(type='MakeViews', aligned=True)])
    assert transform(sample())['image'].shape == (2, 5, 8, 8)


class Named:
    """As a data set of TorchGeo says what its channels are called."""

    transforms, bands = None, ('VH', 'VV', 'B02', 'B03', 'B04')


def test_names_from_the_data_set_and_a_band_that_the_radiometry_inserts():
    """Weights of 13 bands, of which B10 is set to 0, take the images that lack it."""
    entry = dict(channels=4, bands=('B4', 'B3', 'B10', 'B2'), radiometry=[dict(type='InsertEmptyBand', index=2)])
    apart = TorchGeoTransform(dict(sar=SAR, optical=entry), channels=Named(), join=False, normalize=False)(sample())
    assert apart['image_sar'].equal(sample()['image'][[1, 0]])
    assert apart['image_optical'][[0, 1, 3]].equal(sample()['image'][[4, 3, 2]]) and not apart['image_optical'][2].any()


@pytest.mark.parametrize('change, message', [
    (dict(mask=torch.zeros(8, 8)), r"'mask' is \(8, 8\), the images are \(16, 16\). With dict\(type='ConcatModalities'\) first"),
    (dict(mask=torch.zeros(3, 16, 16)), r"'mask' has shape \(3, 16, 16\)"),
    (dict(mask=torch.full((16, 16), .5)), 'has values from 0.5 to 0.5; class indices are whole numbers'),
    (dict(mask=torch.full((16, 16), 70000)), 'has values from 70000 to 70000; class indices are whole numbers below 32768'),
    (dict(image=torch.zeros(5, 0, 16)), r"'image' has shape \(5, 0, 16\): there is no pixel"),
    (dict(image=torch.zeros(5, 16, 16, dtype=torch.complex64)), 'holds complex numbers'),
    (dict(image=None), r"'image' has shape \(\), expected"),
])
def test_a_spoilt_sample_is_named(change, message):
    transform = TorchGeoTransform(dict(sar=SAR, optical=OPTICAL), channels=NAMES)
    with pytest.raises(DataError, match=message) as raised:
        transform(dict(sample(), **change))
    assert '\n' not in str(raised.value)
    whole = transform(dict(sample(), mask=torch.full((1, 16, 16), 300.)))  # floats that are whole numbers are class indices
    assert whole['mask'].eq(300).all() and whole['mask'].shape == (16, 16)


def test_what_is_no_sample_and_no_name_is_refused():
    with pytest.raises(DataError, match='a dict of tensors, got Tensor'):
        TorchGeoTransform(dict(sar=SAR), channels=NAMES)(torch.zeros(5, 16, 16))
    for channels in (('VH', 'VV'), object()):
        with pytest.raises(ConfigError, match=f'or be a TorchGeo data set .*; {type(channels).__name__} does not'):
            TorchGeoTransform(dict(sar=SAR), channels=channels)


def test_bad_input_is_named():
    with pytest.raises(DataError, match="has no 'image_s1'"):
        TorchGeoTransform(dict(sar=dict(SAR, files=dict(key='image_s1'))))(sample())
    with pytest.raises(DataError, match='has 2 dates. Say which'):
        TorchGeoTransform(dict(sar=SAR))(dict(image=torch.zeros(2, 2, 4, 4)))
    with pytest.raises(ConfigError, match='leave dataset out'):
        TorchGeoTransform(dict(sar=dict(SAR, files=dict(dataset='s1'))))
    sizes = dict(sar=dict(SAR, augmentation=dict(size=8)), optical=OPTICAL)
    with pytest.raises(DataError, match='cannot be joined, they differ in size'):
        TorchGeoTransform(sizes, channels=NAMES, transforms=[dict(type='CenterView')])(sample())

"""What a modality takes of TorchGeo's sample dict: the key, the channels by name, the date."""
import numpy as np
import pytest
import torch

from decur.errors import ConfigError, DataError
from decur.readers.torchgeo import channels_of, images_of

SAR = dict(channels=2, bands=('VV', 'VH'))


def images(sample, entry, **kwargs):
    return [source.array for source in images_of(sample, 'sar', entry, **kwargs)]


def test_channels_are_taken_by_name_in_the_order_of_the_entry():
    sample = dict(image=torch.arange(3 * 4 * 5).reshape(3, 4, 5).float())
    found, = images(sample, SAR, names=('B01', 'vh', 'VV'))
    assert found.shape == (4, 5, 2) and found.flags['C_CONTIGUOUS']
    np.testing.assert_array_equal(found, sample['image'].numpy()[[2, 1]].transpose(1, 2, 0))
    # B01 and B1 are one band.
    assert channels_of('optical', dict(channels=1, bands=('B1', )), 3, ('B01', 'VH', 'VV')) == [0]


def test_without_names_by_index_or_all():
    sample = dict(image_s1=torch.rand(2, 3, 3), dem=torch.rand(3, 3))
    assert images(sample, dict(channels=2, files=dict(key='image_s1')))[0].shape == (3, 3, 2)
    assert images(sample, dict(channels=1, files=dict(key='dem')))[0].shape == (3, 3, 1)
    found, = images(sample, dict(channels=1, files=dict(key='image_s1', channels=(1, ))))
    np.testing.assert_array_equal(found[..., 0], sample['image_s1'][1])


def test_dates_are_ordered_by_time():
    values = torch.rand(3, 2, 4, 4)
    flat = dict(image=values.reshape(6, 4, 4), t=torch.tensor([20., 30., 10.]))
    for sample, dates in ((flat, 3), (dict(flat, image=values), 1)):
        for found, want in zip(images(sample, SAR, names=('VV', 'VH'), dates=dates), values[[2, 0, 1]]):
            np.testing.assert_array_equal(found, want.permute(1, 2, 0))
    last, = images(flat, dict(SAR, files=dict(date=-1)), dates=3)
    np.testing.assert_array_equal(last, values[1].permute(1, 2, 0))


@pytest.mark.parametrize('entry, kwargs, error, message', [
    (dict(SAR, files=dict(key='image_s1')), {}, DataError, "has no 'image_s1'.*it has \\['image'\\]"),
    (dict(SAR, files=dict(folder='s1')), {}, ConfigError, "has 'folder'; of a TorchGeo sample"),
    (dict(channels=2), {}, ConfigError, 'has 3 channels, modality .sar. has 2. Say which'),
    (SAR, dict(names=('VV', 'B1', 'B2')), ConfigError, "takes the channel 'VH'; .* has \\['VV', 'B1', 'B2'\\]"),
    (dict(SAR, files=dict(channels=('VV', 'VH'))), {}, ConfigError, 'is not known. Name them in the data set'),
    (dict(SAR, files=dict(channels=(0, 3))), {}, ConfigError, 'takes channel 3, .* has 3'),
    (dict(SAR, reader=dict(type='BandReader', bands=('VV', 'VH'))), {}, ConfigError, "reader 'BandReader' reads files.* set reader=None"),
    (dict(channels=3, files=dict(date=2)), {}, DataError, 'has 1 dates, modality .sar. takes date 2'),
    (dict(channels=3, files=dict(date='first')), {}, ConfigError, 'must be an index'),
    (SAR, dict(dates=2), DataError, 'has 3 channels, which are not those of 2 dates'),
])
def test_what_cannot_be_is_named(entry, kwargs, error, message):
    with pytest.raises(error, match=message) as raised:
        images(dict(image=torch.zeros(3, 4, 4)), entry, **kwargs)
    assert '\n' not in str(raised.value)

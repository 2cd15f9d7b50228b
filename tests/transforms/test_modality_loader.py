import numpy as np
import pytest
from helpers import write_tif

from decur.errors import DataError
from decur.transforms.loading import ModalityLoader


def loader(mean, **entry):
    return ModalityLoader('s2', dict(channels=2, mean=mean, std=[1., 1.], encoder=dict(), **entry))


def test_eight_bits_for_a_model_of_sixteen_are_refused(tmp_path):
    write_tif(tmp_path / 'a.tif', np.full((4, 4, 2), 200, np.uint8))
    write_tif(tmp_path / 'b.tif', np.full((4, 4, 2), 200, np.uint16))
    sixteen = loader([120., 1500.])
    with pytest.raises(DataError, match=r"a\.tif: modality 's2' is uint8, of 0 to 255, but its mean is 1500 in channel 1"):
        sixteen(tmp_path / 'a.tif')
    with pytest.raises(DataError, match="the image: modality 's2' is uint8"):
        sixteen.finish(np.full((4, 4, 2), 200, np.uint8))
    assert np.array_equal(sixteen(tmp_path / 'b.tif')[0], np.full((4, 4, 2), 200))
    assert loader([120., 130.])(tmp_path / 'a.tif')[0].dtype == np.uint8
    # The statistics are those of what radiometry makes of the file.
    stretched = loader([120., 130.], radiometry=[dict(type='PercentilesToEightBit')])
    assert stretched(tmp_path / 'b.tif')[0].dtype == np.uint8


def test_eight_bits_for_a_model_of_decibels_are_refused(tmp_path):
    write_tif(tmp_path / 'a.tif', np.full((4, 4, 2), 200, np.uint8))
    with pytest.raises(DataError, match="is uint8, of 0 to 255, but its mean is -12.5 in channel 0"):
        loader([-12.5, -20.])(tmp_path / 'a.tif')
    assert loader([-12.5, -20.])(write(tmp_path / 'b.tif'))[0].dtype == np.float32
    said = loader([-12.5, -20.], reader=dict(type='AutoReader', dtype='float32'))
    assert said(tmp_path / 'a.tif')[0].dtype == np.float32, 'what the error offers if the values are right'


def test_fractions_for_a_model_of_thousands_are_refused(tmp_path):
    reflectances = np.random.default_rng(0).uniform(.02, .4, (40, 40, 2)).astype(np.float32)
    write_tif(tmp_path / 'a.tif', reflectances)
    message = r"a\.tif: modality 's2' has values from 0.02\d* to 0.[34]\d*, but its mean is 1200 or more in every channel"
    with pytest.raises(DataError, match=message):
        loader([1200., 1500.])(tmp_path / 'a.tif')
    with pytest.raises(DataError, match='the image: modality'):
        loader([1200., 1500.]).finish(np.ma.masked_array(reflectances, reflectances < .05))  # with missing pixels too
    written = reflectances.copy()
    written[:4] = -9999
    write_tif(tmp_path / 'b.tif', written, nodata=-9999)
    for reader in (dict(type='AutoReader'), dict(type='AutoReader', nodata=-9999.)):  # what missing pixels become does not matter
        with pytest.raises(DataError, match=message.replace('a', 'b', 1)):
            loader([1200., 1500.], reader=reader)(tmp_path / 'b.tif')
    scaled = np.rint(reflectances * 10000)
    scaled[0, 0] = 0.5  # one pixel of a fraction, among others
    # In the units of the statistics; statistics of fractions; empty; all missing; one channel, as a flat coast.
    for image, means in ((scaled, [1200., 1500.]), (reflectances, [.12, .15]), (np.zeros_like(reflectances), [1200., 1500.]),
                         (np.ma.masked_all_like(reflectances), [1200., 1500.])):
        assert loader(means).finish(image)[0].dtype == np.float32
    coast = ModalityLoader('dem', dict(channels=1, mean=[150.], std=[100.], encoder=dict()))
    assert np.array_equal(coast.finish(reflectances[..., :1])[0], reflectances[..., :1])


def write(path):
    write_tif(path, np.full((4, 4, 2), -9., np.float32))
    return path

"""Resizing against computations of its own: nearest by index, means over what is not missing, any number of channels and any type."""
from fractions import Fraction

import cv2
import numpy as np
import pytest

from decur.errors import ConfigError, DataError
from decur.resizing import nearest_indices, resize, resize_missing, resize_plane


@pytest.mark.parametrize('size, out', [(7, 3), (3, 7), (10, 10), (1, 9), (9, 1), (640, 224), (531, 480), (264, 65536), (100000, 33)])
def test_nearest_takes_the_pixel_that_holds_the_centre(size, out):
    expected = [int((Fraction(2 * i + 1, 2) * size / out).__floor__()) for i in range(out)]
    assert nearest_indices(size, out).tolist() == expected and max(expected) < size


def test_nearest_has_no_shift():
    """A picture that is mirrored stays the mirror of its resized self, which OpenCV's INTER_NEAREST is not."""
    image = np.arange(5 * 8).reshape(5, 8, 1).astype(np.int32)
    out = resize(image, (15, 24), 'nearest')
    assert np.array_equal(resize(image[::-1, ::-1], (15, 24), 'nearest'), out[::-1, ::-1])
    assert np.array_equal(out, image.repeat(3, 0).repeat(3, 1))
    assert np.array_equal(resize(image.repeat(3, 0).repeat(3, 1), (5, 8), 'nearest'), image)
    by_opencv = cv2.resize(np.arange(4, dtype=np.float32)[None], (3, 1), interpolation=cv2.INTER_NEAREST)[0]
    assert by_opencv.tolist() == [0, 1, 2] and nearest_indices(4, 3).tolist() == [0, 2, 3]


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear', 'bicubic', 'area'])
@pytest.mark.parametrize('channels', [1, 3, 5, 200, 600])
def test_any_number_of_channels(interpolation, channels):
    image = np.random.default_rng(0).integers(0, 60000, (12, 10, channels), dtype=np.uint16)
    out = resize(image, (6, 15), interpolation)
    assert out.shape == (6, 15, channels) and out.dtype == np.uint16
    for c in {0, channels // 2, channels - 1}:
        assert np.array_equal(out[..., c:c + 1], resize(image[..., c:c + 1], (6, 15), interpolation))


@pytest.mark.parametrize('dtype', ['int8', 'int32', 'uint32', 'int64', 'float16', 'bool', 'uint8', 'uint16', 'int16', 'float32', 'float64'])
def test_any_real_type_keeps_its_type(dtype):
    image = np.random.default_rng(0).integers(0, 2 if dtype == 'bool' else 100, (8, 8, 2)).astype(dtype)
    for interpolation in ('nearest', 'bilinear', 'area'):
        out = resize(image, (4, 4), interpolation)
        assert out.dtype == dtype and out.shape == (4, 4, 2)
    exact = cv2.resize(image[..., 0].astype(np.float64), (4, 4), interpolation=cv2.INTER_LINEAR)
    assert np.abs(resize(image, (4, 4))[..., 0].astype(np.float64) - exact).max() <= (.6 if np.dtype(dtype).kind in 'iub' else .05)


def test_complex_numbers_and_unknown_interpolations_are_errors():
    with pytest.raises(DataError, match='complex64 cannot be interpolated'):
        resize(np.ones((4, 4, 1), np.complex64), (2, 2))
    with pytest.raises(ConfigError, match="'nearest'.*got 'cubic'"):
        resize(np.ones((4, 4, 1)), (2, 2), 'cubic')


@pytest.mark.parametrize('interpolation', ['bilinear', 'area', 'bicubic'])
@pytest.mark.parametrize('size', [(7, 11), (40, 33), (13, 60)])
@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.float32, np.int32])
def test_missing_pixels_do_not_leak_into_their_neighbours(interpolation, size, dtype):
    """Values within 90..110, holes of 0: every pixel that is not missing stays within 90..110, whatever the holes hold."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 111, (20, 30, 3)).astype(dtype)
    missing = rng.random(image.shape) < .3
    missing[5:12, 4:20] = True
    out = resize(np.where(missing, 0, image).astype(dtype), size, interpolation, missing)
    gone = resize_missing(missing, size)
    assert out.dtype == dtype and gone.any() and not gone.all()
    assert out[~gone].min() >= 90 and out[~gone].max() <= 110 and (out[gone] == 0).all()
    other = resize(np.where(missing, 77, image).astype(dtype), size, interpolation, missing)
    assert np.array_equal(other[~gone], out[~gone]) and (other[gone] == 77).all()


def test_weights_are_renormalised_over_what_is_there():
    plane = np.array([[10., 20.], [30., 40.]])
    missing = np.array([[False, False], [False, True]])
    got = resize_plane(plane, (4, 4), 'bilinear', missing)
    # The second row and column of the result lie a quarter of a pixel from the first pixel: weights 9, 3, 3, 1 of 16.
    assert got[1, 1] == pytest.approx((9 * 10 + 3 * 20 + 3 * 30) / 15) and got[3, 3] == 40


def test_an_image_of_that_size_is_returned_as_it_is():
    image = np.zeros((4, 6, 2), np.int8)
    assert resize(image, (4, 6), 'area') is image and resize_missing(None, (3, 3)) is None

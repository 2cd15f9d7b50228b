"""mmcv's image functions on more channels than OpenCV takes: each channel is as if it came alone."""
import mmcv
import numpy as np
import pytest

import decur  # noqa: F401


@pytest.mark.parametrize('channels', [3, 5, 129, 300])
@pytest.mark.parametrize('function', [
    lambda x: mmcv.imresize(x, (13, 9)), lambda x: mmcv.imresize(x, (13, 9), interpolation='nearest'), lambda x: mmcv.imrescale(x, 0.7),
    lambda x: mmcv.imrotate(x, 30), lambda x: mmcv.impad(x, padding=(1, 2, 3, 4), pad_val=7), lambda x: mmcv.imflip(x)],
    ids=['resize', 'nearest', 'rescale', 'rotate', 'pad', 'flip'])
def test_every_channel_is_as_if_alone(function, channels):
    image = np.random.default_rng(0).normal(size=(10, 12, channels)).astype(np.float32)
    out = function(image)
    assert out.ndim == 3 and out.shape[2] == channels and out.dtype == image.dtype
    for c in (0, 1, channels - 2, channels - 1):
        np.testing.assert_allclose(out[..., c], function(np.ascontiguousarray(image[..., c])), atol=1e-5)


def test_scale_factors_are_kept():
    image = np.zeros((10, 12, 200), np.float32)
    out, width, height = mmcv.imresize(image, (24, 30), return_scale=True)
    assert out.shape == (30, 24, 200) and (width, height) == (2, 3)


def test_a_value_to_pad_with_for_every_channel():
    image = np.zeros((2, 2, 6), np.float32)
    out = mmcv.impad(image, shape=(3, 2), pad_val=tuple(range(6)))
    np.testing.assert_array_equal(out[2], [range(6)] * 2)

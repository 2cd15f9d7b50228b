import numpy as np
import pytest

from decur.errors import ConfigError
from decur.transforms import NoiseAugmentation


def test_noise_has_the_standard_deviation_asked_for():
    np.random.seed(0)
    image = np.full((64, 64, 3), 0.5, np.float32)
    view = NoiseAugmentation(std=0.2)(image)
    assert view.dtype == np.float32
    assert abs(view.std() - 0.2) < 0.01 and abs(view.mean() - 0.5) < 0.01
    assert (image == 0.5).all()  # the source is cached: it must not change


def test_shift_moves_the_picture_and_repeats_the_edge():
    image = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
    view = NoiseAugmentation(std=0, shift=2)(image, geometry=(1, -2))
    np.testing.assert_array_equal(view[:4, 2:, 0], image[1:, :3, 0])
    np.testing.assert_array_equal(view[4], view[3])
    np.testing.assert_array_equal(view[:, 0], view[:, 2])


def test_geometry_covers_the_range():
    np.random.seed(0)
    augmentation = NoiseAugmentation(shift=2)
    drawn = {augmentation.sample_geometry() for _ in range(400)}
    assert drawn == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
    assert NoiseAugmentation().sample_geometry() == (0, 0)


def test_brightness_is_one_offset_per_view():
    np.random.seed(0)
    augmentation = NoiseAugmentation(std=0, brightness=0.3)
    views = [augmentation(np.zeros((4, 4, 2), np.float32)) for _ in range(200)]
    assert all(np.ptp(view) == 0 for view in views)
    offsets = np.array([view[0, 0, 0] for view in views])
    assert 0.25 < np.abs(offsets).max() <= 0.3 and abs(offsets.mean()) < 0.05


def test_negative_sizes():
    with pytest.raises(ConfigError, match='negative'):
        NoiseAugmentation(std=-1)

import numpy as np

from decur.transforms import CenterView


def view(image, size=None, entry=None):
    transform = CenterView(size)
    transform.bind(dict(a=dict(channels=image.shape[2], **(entry or {})), b=dict(channels=1)), None)
    return transform.transform(dict(images=dict(a=image, b=None)))['images']


def test_the_middle_of_a_wide_image_at_its_scale():
    image = np.arange(8 * 16, dtype=np.float32).reshape(8, 16, 1)
    np.testing.assert_array_equal(view(image, 8)['a'], image[:, 4:12])
    assert view(image, 8)['b'] is None


def test_many_bands_are_scaled_alike():
    image = np.random.default_rng(0).normal(size=(40, 60, 13)).astype(np.float32)
    whole = view(image, 20)['a']
    assert whole.shape == (20, 20, 13)
    np.testing.assert_allclose(view(image[..., 5:6], 20)['a'], whole[..., 5:6])
    np.testing.assert_allclose(whole, image[:, 10:50].reshape(20, 2, 20, 2, 13).mean(axis=(1, 3)), atol=1e-5)


def test_the_size_of_the_augmentation_and_none():
    image = np.zeros((30, 30, 2), np.uint8)
    assert view(image, entry=dict(augmentation=dict(size=12)))['a'].shape == (12, 12, 2)
    assert view(image, entry=dict(augmentation=dict(type='NoiseAugmentation')))['a'] is image
    assert view(image)['a'] is image


def test_nearest_keeps_values():
    image = np.where(np.random.default_rng(0).uniform(size=(9, 9, 1)) > 0.5, 7, 0).astype(np.uint8)
    assert set(np.unique(view(image, 24, dict(interpolation='nearest'))['a'])) == {0, 7}

"""The augmentation of one view: ranges, alignment, determinism, and the distribution of the published form."""
import sys

import cv2
import numpy as np
import pytest

from decur.errors import ConfigError, DataError
from decur.transforms import Geometry, ViewAugmentation

OFF = dict(jitter_prob=0, grayscale_prob=0, blur_prob=0, hflip_prob=0, vflip_prob=0)
WHOLE = Geometry(0, 0, 1, 1, False, False)


def image(channels, dtype=np.uint8, size=(66, 66), seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.stack([cv2.GaussianBlur(rng.integers(0, 256, size).astype(np.float32), (0, 0), 2) for _ in range(channels)], -1)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (smooth * 255.9).astype(np.uint8) if dtype == np.uint8 else smooth.astype(np.float32)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('channels', [1, 2, 3, 4, 5, 13])
def test_shape_type_and_range(channels, dtype):
    augment = ViewAugmentation((24, 32), brightness=.9, contrast=.9, jitter_prob=1, grayscale_prob=.5, blur_prob=1, solarize_prob=.5,
                               channel_drop_prob=.5, value_range=(0, 1))
    source = image(channels, dtype)
    before = source.copy()
    for seed in range(20):
        np.random.seed(seed)
        out = augment(source, seed % 2)
        assert out.shape == (24, 32, channels) and out.dtype == dtype
        assert out.min() >= 0 and out.max() <= (255 if dtype == np.uint8 else 1)
    assert np.array_equal(source, before)


def test_same_seed_same_view_and_read_only_or_planar_input():
    augment = ViewAugmentation(24)
    source = image(13)
    planar = np.ascontiguousarray(source.transpose(2, 0, 1)).transpose(1, 2, 0)
    planar.flags.writeable = False
    outs = []
    for x in (source, source, planar):
        np.random.seed(5)
        outs.append(augment(x))
    np.random.seed(6)
    assert np.array_equal(outs[0], outs[1]) and np.array_equal(outs[0], outs[2])
    assert not np.array_equal(outs[0], augment(source))
    assert outs[0].transpose(2, 0, 1).flags.c_contiguous


def test_geometry_is_shared_over_modalities_of_other_sizes():
    ramp = np.mgrid[:240, :240].astype(np.float32).transpose(1, 2, 0) / 240
    coarse = cv2.resize(ramp, (120, 120), interpolation=cv2.INTER_AREA)
    augment = ViewAugmentation(48, **OFF)
    for seed in range(10):
        np.random.seed(seed)
        geometry = ViewAugmentation(48).sample_geometry()
        assert np.abs(augment(ramp, 0, geometry) - augment(coarse, 0, geometry)).max() < 1.5 / 120


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_flips_mirror(dtype):
    augment, source = ViewAugmentation(66, **OFF), image(5, dtype)
    assert np.array_equal(augment(source, 0, WHOLE), source)
    assert np.array_equal(augment(source, 0, WHOLE._replace(hflip=True)), source[:, ::-1])
    assert np.array_equal(augment(source, 0, WHOLE._replace(vflip=True)), source[::-1])
    assert np.array_equal(augment(source, 0, WHOLE._replace(hflip=True, vflip=True)), source[::-1, ::-1])


def test_crops_have_the_asked_area_and_pixel_ratio():
    augment = ViewAugmentation(24, scale=(.2, 1.))
    np.random.seed(0)
    draws = [augment.sample_geometry(aspect=1.5) for _ in range(3000)]
    area = np.array([g.h * g.w for g in draws])
    ratio = np.array([g.w / g.h * 1.5 for g in draws])
    assert area.min() >= .2 - 1e-9 and ratio.min() >= .75 - 1e-9 and ratio.max() <= 4 / 3 + 1e-9
    assert area.min() < .25 and ratio.min() < .8 and ratio.max() > 1.25
    assert all(g.y + g.h <= 1 + 1e-9 and g.x + g.w <= 1 + 1e-9 for g in draws)
    assert abs(np.mean([g.hflip for g in draws]) - .5) < .05
    # A panorama has no crop of the asked area: the largest central one of an allowed ratio.
    wide = augment.sample_geometry(aspect=20)
    assert wide.h == 1 and wide.w == pytest.approx(4 / 3 / 20) and wide.x == pytest.approx((1 - wide.w) / 2)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_point_operations_against_float64(dtype):
    source = image(5, dtype)
    top = 255. if dtype == np.uint8 else 1.
    for seed in range(12):
        augment = ViewAugmentation(66, **dict(OFF, jitter_prob=1, grayscale_prob=1), value_range=(0, 1))
        np.random.seed(seed)
        out = augment(source, 0, WHOLE).astype(np.float64)
        np.random.seed(seed)
        np.random.random()
        brighter, stronger = np.random.uniform(.6, 1.4), np.random.uniform(.6, 1.4)
        x = np.clip(source.astype(np.float64) * brighter, 0, top)
        mean = x.mean((0, 1))
        gray = np.clip((x - mean) * stronger + mean, 0, top).mean(-1, keepdims=True)
        assert np.abs(out - gray).max() <= (2.2 if dtype == np.uint8 else 1e-5)


def test_solarize_mirrors_the_asked_share_of_the_range():
    source = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    out = ViewAugmentation(16, **OFF, solarize_prob=1)(source, 0, WHOLE)
    assert np.array_equal(out, np.where(source >= 128, 255 - source, source))
    published = ViewAugmentation(16, **OFF, solarize_prob=1, solarize_range=(0, .001))(source, 0, WHOLE)
    assert published[0, 0, 0] == 255 and np.array_equal(published.ravel()[1:], source.ravel()[1:])
    out = ViewAugmentation(16, **OFF, solarize_prob=1, value_range=(-1, 1))(source.astype(np.float32) / 127.5 - 1, 0, WHOLE)
    assert np.allclose(out, -np.abs(source / 127.5 - 1), atol=1e-6)


def test_channel_drop_leaves_at_least_one_channel():
    augment = ViewAugmentation(16, **OFF, channel_drop_prob=1, channel_drop=(1, 6))
    counts = set()
    for seed in range(60):
        np.random.seed(seed)
        for channels in (1, 2, 13):
            out = augment(np.full((16, 16, channels), 9, np.uint8), 0, WHOLE)
            dropped = int((out == 0).all((0, 1)).sum())
            assert (out[0, 0] != 0).sum() + dropped == channels and dropped < channels
            counts.add((channels, dropped))
    assert counts == {(1, 0), (2, 1), *((13, n) for n in range(1, 7))}


def test_probabilities_by_view_and_their_rates():
    augment = ViewAugmentation(16, **dict(OFF, blur_prob=(1., .1)), blur_sigma=(1., 2.), solarize_prob=(0., .2), solarize_range=(0., 1.))
    source = image(3, size=(16, 16))
    np.random.seed(0)
    changed = [np.mean([not np.array_equal(augment(source, view, WHOLE), source) for _ in range(400)]) for view in range(2)]
    assert changed[0] == 1 and abs(changed[1] - (1 - .9 * .8)) < .08
    with pytest.raises(ConfigError, match='view 2'):
        augment(source, 2, WHOLE)


def test_same_distribution_as_the_published_form(repository):
    sys.path.insert(0, str(repository / 'benchmarks'))
    try:
        from augmentation import FloatArithmetic
    finally:
        sys.path.pop(0)
    augment = ViewAugmentation(32, solarize_prob=.2, solarize_range=(0, .001))
    slow, source = FloatArithmetic(augment, saturate=True), image(4)
    features = []
    for seed, form in enumerate((slow, augment)):
        np.random.seed(100 + seed)
        rows = []
        for _ in range(1500):
            x = form(source).astype(np.float64)
            rows.append([x.mean(), x.std(), x[..., 0].mean(), np.abs(np.diff(x, axis=1)).mean(), x.std(-1).mean(), x.min(), x.max()])
        features.append(np.array(rows))
    # Kolmogorov-Smirnov, with one grey level of slack for rounding instead of truncation.
    for a, b in zip(features[0].T, features[1].T):
        grid = np.linspace(min(a.min(), b.min()) - 1, max(a.max(), b.max()) + 1, 200)
        share = [[np.mean(values <= g + shift) for g in grid] for values, shift in ((a, 0), (b, -1), (b, 1))]
        gap = np.maximum(np.array(share[1]) - share[0], np.array(share[0]) - share[2]).max()
        assert gap < 1.63 * np.sqrt(2 / 1500)


def test_bad_settings_and_bad_images():
    for wrong in (dict(size=0), dict(scale=(.5, 1.2)), dict(scale=(0, 1)), dict(ratio=(2, 1)), dict(blur_prob=1.5), dict(brightness=-1),
                  dict(solarize_prob=(0, 2)), dict(value_range=(1, 0)), dict(interpolation='cubic'), dict(channel_drop=(0, 3))):
        with pytest.raises(ConfigError):
            ViewAugmentation(**dict(dict(size=8), **wrong))
    with pytest.raises(DataError, match='float64'):
        ViewAugmentation(8)(np.zeros((9, 9, 2)))
    with pytest.raises(DataError, match='shape'):
        ViewAugmentation(8)(np.zeros((9, 9), np.uint8))
    with pytest.raises(ConfigError, match='value_range'):
        ViewAugmentation(8, jitter_prob=1)(np.zeros((9, 9, 2), np.float32))
    assert ViewAugmentation(8, **OFF)(np.full((9, 9, 2), 3000, np.uint16)).dtype == np.float32

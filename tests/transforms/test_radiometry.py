"""Radiometry against float64 formulas, corner cases, and the real files."""
import numpy as np
import pytest
import rasterio
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError
from decur.sensors import STATISTICS
from decur.transforms.radiometry import (
    CutOutliers,
    InsertEmptyBand,
    PercentilesToEightBit,
    RemoveOffset,
    ToEightBit,
    has_offset,
    percentiles,
)


def read(path):
    with rasterio.open(path) as file:
        return file.read().transpose(1, 2, 0)


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.float32])
def test_eight_bit_is_the_float64_formula(dtype):
    stats = STATISTICS['ssl4eo_s2c']
    image = np.random.default_rng(0).integers(0, 9000, (40, 30, 13)).astype(dtype)
    image[..., 10] = image[..., 10] // 100
    mean, std = np.array(stats.mean), np.array(stats.std)
    expected = np.floor(np.clip((image.astype(np.float64) - (mean - 2 * std)) / (4 * std) * 255, 0, 255))
    out = ToEightBit(statistics='ssl4eo_s2c')(image)
    assert out.dtype == np.uint8 and np.array_equal(out, expected)
    assert np.array_equal(ToEightBit(stats.mean, stats.std)(image), expected)


def test_wrong_statistics_are_told_by_band_10():
    image = np.full((8, 8, 13), 1022, np.uint16)
    with pytest.raises(DataError, match='RemoveOffset'):
        ToEightBit(statistics='ssl4eo_s2c')(image)
    assert ToEightBit(statistics='ssl4eo_s2c')(RemoveOffset()(image)).shape == (8, 8, 13)
    with pytest.raises(DataError, match='12 bands'):
        ToEightBit(statistics='ssl4eo_s2c')(image[..., :12])
    for wrong in (dict(), dict(mean=[1.]), dict(statistics='x'), dict(mean=[1.], std=[0.]),
                  dict(mean=[1.], std=[1.], statistics='ssl4eo_s1')):
        with pytest.raises(ConfigError):
            ToEightBit(**wrong)


def test_offset_is_removed_only_where_it_is_and_never_wraps():
    image = np.zeros((4, 4, 13), np.uint16)
    image[..., 10] = 20
    assert RemoveOffset()(image) is image
    image[...] = 1500
    image[0, 0] = 990
    out = RemoveOffset()(image)
    assert out.dtype == np.uint16 and out[0, 0, 0] == 0 and out[1, 1, 3] == 500
    with pytest.raises(DataError, match='13 bands'):
        RemoveOffset()(image[..., :3])


def test_outliers_are_cut_by_image_and_band():
    rng = np.random.default_rng(1)
    image = (rng.normal(size=(50, 50, 2)) * (1, 9) + (-12, 40)).astype(np.float32)
    out = CutOutliers()(image)
    for band in range(2):
        low, high = np.percentile(image[..., band].astype(np.float64), (1, 99))
        assert np.allclose(out[..., band], np.clip(image[..., band], low, high), atol=1e-5)
        assert np.mean(out[..., band] != image[..., band]) == pytest.approx(.02, abs=.002)
    image[0, 0, 0], image[0, 1, 0] = -np.inf, np.nan
    out = CutOutliers()(image)
    assert np.isfinite(out).all() and out[0, 0, 0] == out[..., 0].min()


def test_elevation_flat_missing_and_scaled():
    step = PercentilesToEightBit(nodata=-9999)
    assert not step(np.full((9, 9, 1), 57.3, np.float32)).any()
    assert not step(np.full((9, 9, 1), np.nan, np.float32)).any()
    ramp = np.linspace(100, 200, 10000, dtype=np.float32).reshape(100, 100, 1)
    out = step(ramp)
    low, high = np.percentile(ramp.astype(np.float64), (1, 99))
    assert np.array_equal(out, np.floor((np.clip(ramp.astype(np.float64), low, high) - low) / (high - low) * 255))
    holes = ramp.copy()
    holes[:5] = -9999
    assert not step(holes)[:5].any() and step(holes)[5:].max() == 255


def test_empty_band_and_building_from_configs():
    image = np.arange(24, dtype=np.uint8).reshape(1, 2, 12)
    out = TRANSFORMS.build(dict(type='InsertEmptyBand'))(image)
    assert out.shape == (1, 2, 13) and not out[..., 10].any()
    assert np.array_equal(np.delete(out, 10, axis=2), image)
    with pytest.raises(DataError, match='inserted'):
        InsertEmptyBand(index=14)(image)


def test_real_sar_is_cut_by_band(sample_data):
    scenes = sorted((sample_data / 'ssl4eo_s12_v1' / 's1' / '0000200').iterdir())
    seasons = [np.concatenate([read(scene / f'{band}.tif') for band in ('VV', 'VH')], axis=2) for scene in scenes]
    out = CutOutliers()(np.concatenate(seasons))
    cuts = np.stack([out.min((0, 1)), out.max((0, 1))], 1)
    assert np.allclose(cuts, [[-16.2, -4.1], [-25.8, -11.8]], atol=.05)


def test_real_sites_offset(sample_data):
    removed = []
    for path in sorted((sample_data / 'sites_s1_s2_dem' / 'S2L1C').glob('*.tif')):
        image = read(path)
        out = RemoveOffset()(image)
        removed.append(out is not image)
        assert out[..., 10].mean() < 100
    assert sorted(removed) == [False, False, True, True, True]


def tile(offset, cirrus=15., dtype=np.float32, seed=0):
    """A Sentinel-2 L1C tile with a typical spectrum, with or without the offset, under thin or thick cirrus."""
    rng, stats = np.random.default_rng(seed), STATISTICS['ssl4eo_s2c']
    image = np.stack([rng.normal(m, s / 4, (32, 32)) for m, s in zip(stats.mean, stats.std)], -1).clip(1)
    image[..., 10] = rng.normal(cirrus, cirrus / 5, (32, 32)).clip(1)
    return (image + offset).astype(dtype)


def swath(image, value, share):
    image = image.copy()
    image[:, :round(share * image.shape[1])] = value
    return image


#: What makes a tile hard: where a value stands that is no measurement, and how much of the tile it takes.
HARD = {'half cloud': lambda x: swath(x, 5000, .5), 'zeros': lambda x: swath(x, 0, .56), 'nearly empty': lambda x: swath(x, 0, .97),
        'low sentinel': lambda x: swath(x, -9999, .06),
        'masked': lambda x: np.ma.MaskedArray(swath(x, -9999, .7), np.broadcast_to(np.arange(32)[:, None] < 22, x.shape)),
        'one nan': lambda x: np.where(np.arange(x.size).reshape(x.shape) == 10, np.nan, x).astype(x.dtype), 'whole': lambda x: x}


@pytest.mark.parametrize('hard', HARD)
@pytest.mark.parametrize('cirrus', [2., 15., 300., 800., 2000.])
@pytest.mark.parametrize('offset', [0, 1000])
def test_the_offset_is_told_on_cloudy_and_half_empty_tiles(hard, cirrus, offset):
    image = tile(offset, cirrus)
    valid = image[:, -1, 3]
    out = RemoveOffset()(HARD[hard](image))
    assert np.allclose(np.asarray(out)[:, -1, 3], valid - offset)
    fits = dict(statistics='ssl4eo_s2c' if offset == 0 else 'ssl4eo_v11_s2c')
    assert ToEightBit(**fits)(HARD[hard](image)).shape == image.shape
    if offset or cirrus < 500:  # under cirrus of that height everywhere it cannot be told from band 10
        with pytest.raises(DataError, match='do not fit'):
            ToEightBit(statistics='ssl4eo_v11_s2c' if offset == 0 else 'ssl4eo_s2c')(HARD[hard](image))


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.float32])
def test_a_tile_without_valid_pixels_has_no_offset_and_is_taken(dtype):
    for empty in (np.zeros((8, 8, 13), dtype), np.ma.MaskedArray(np.full((8, 8, 13), 1500, dtype), True)):
        assert has_offset(empty[..., 10], empty) is None
        assert np.array_equal(RemoveOffset()(empty).data if isinstance(empty, np.ma.MaskedArray) else RemoveOffset()(empty), empty.data
                              if isinstance(empty, np.ma.MaskedArray) else empty)
        for statistics in ('ssl4eo_s2c', 'ssl4eo_v11_s2c'):
            assert ToEightBit(statistics=statistics)(empty).shape == (8, 8, 13)


@pytest.mark.parametrize('step', [CutOutliers(), CutOutliers(.3), PercentilesToEightBit(), PercentilesToEightBit(5, 80),
                                  ToEightBit([10.], [4.]), RemoveOffset(band=0), InsertEmptyBand(index=0)])
def test_what_lies_below_the_mask_changes_nothing_and_stays_masked(step):
    rng = np.random.default_rng(0)
    image, missing = rng.normal(10, 4, (30, 30, 1)).astype(np.float32), rng.random((30, 30, 1)) < .3
    outs = [step(np.ma.MaskedArray(np.where(missing, below, image).astype(np.float32), missing)) for below in (-9999, 0, 1e9)]
    for out in outs:
        assert np.array_equal(np.ma.getmaskarray(out)[..., -1:], missing)
        assert np.array_equal(out.data[..., -1:][~missing], outs[0].data[..., -1:][~missing])


@pytest.mark.parametrize('dtype', ['f2', 'f4', 'f8', 'u1', 'i2', 'u2', 'i4'])
def test_percentiles_are_numpys_to_the_bit(dtype):
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 7, 100, 999, 70001):
        values = rng.integers(0, 255, size) if dtype == 'u1' else rng.normal(100, 4000, size).clip(0 if dtype[0] == 'u' else -9000, 9000)
        values = values.astype(dtype)
        for which in ((1, 99), (0, 100), (5, ), (.5, 99.5), (33.3, 50)):
            got, want = percentiles(values, *which), np.percentile(values, which)
            assert got.dtype == want.dtype and np.array_equal(got, want)
    assert percentiles(np.array([-32768, 32767], np.int16), 50)[0] == -.5, 'a step that int16 cannot hold'

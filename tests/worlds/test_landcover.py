"""Land cover: reproducible, varied, with values like the real sensors', each sensor with what the other lacks."""
import numpy as np
import pytest

from decur.datasets.bigearthnet import TO_19
from decur.errors import ConfigError
from decur.sensors import S2C_BANDS, STATISTICS
from decur_worlds.landcover import COVERS, INDEX, NAMES, make_landscape
from decur_worlds.landcover_aerial import AIRPORT, BUILDING, HIGHWAY, RAILWAY, ROAD, sense_aerial
from decur_worlds.landcover_sensors import RESOLUTION, sense_optical, sense_radar


@pytest.fixture(scope='module')
def scenes():
    out = []
    for i in range(40):
        rng = np.random.default_rng(i)
        land = make_landscape(0, i, 96, region='world')
        out.append((land, sense_optical(land, 1, rng, clouds=.28 * (i % 2)), sense_radar(land, 1, rng)))
    return out


def test_same_seed_same_landscape():
    a, b, c = (make_landscape(3, i, 48) for i in (5, 5, 6))
    assert np.array_equal(a.cover, b.cover) and np.array_equal(a.terrain, b.terrain) and a.labels() == b.labels()
    assert not np.array_equal(a.cover, c.cover)
    with pytest.raises(ConfigError, match='region'):
        make_landscape(0, 0, 48, region='moon')


def test_covers_are_classes_of_bigearthnet_and_vary(scenes):
    assert {name for cover in COVERS for name in (cover.inland, cover.coast)} <= set(TO_19)
    shares = sum(make_landscape(0, i, 48, region='world').shares() for i in range(150))
    assert shares.min() > 0, f'{NAMES[int(shares.argmin())]} never occurs'
    counts = [len(land.labels()) for land, _, _ in scenes]
    assert len({tuple(land.labels()) for land, _, _ in scenes}) > 20 and 1 <= min(counts) and max(counts) <= 9
    # Beaches lie by the water: every beach of a coast touches it.
    coast = next(land for land, _, _ in scenes if land.coast and land.shares()[INDEX['sand']] > 0)
    assert coast.shares()[INDEX['water']] > 0
    assert coast.terrain[coast.cover == INDEX['sand']].mean() < coast.terrain[coast.cover != INDEX['water']].mean()


def test_values_are_near_the_published_statistics(scenes):
    for name, bands in (('ssl4eo_s2c', [o['l1c'] for _, o, _ in scenes]), ('ssl4eo_s2a', [o['l2a'] for _, o, _ in scenes]),
                        ('ssl4eo_s1', [r for _, _, r in scenes])):
        known = STATISTICS[name]
        for band, mean, std in zip(known.bands, known.mean, known.std):
            values = np.concatenate([image[band].ravel() for image in bands]).astype(np.float64)
            assert abs(values.mean() - mean) < 1.2 * std, (name, band, values.mean(), mean)
            assert .3 < values.std() / std < 2, (name, band, values.std(), std)
    assert scenes[0][1]['l1c']['B10'].mean() < 500


def test_native_resolutions(scenes):
    _, optical, radar = scenes[0]
    assert tuple(optical['l1c']) == S2C_BANDS and 'B10' not in optical['l2a']
    for band, plane in optical['l1c'].items():
        assert plane.shape == (960 // RESOLUTION[band], ) * 2 and plane.dtype == np.uint16
    assert all(plane.shape == (96, 96) and plane.dtype == np.float32 for plane in radar.values())


def _mean(images, lands, cover, band):
    values = [image[band][land.cover == INDEX[cover]] for image, land in zip(images, lands)]
    return np.concatenate(values).mean()


def test_what_one_sensor_cannot_tell_the_other_can(scenes):
    clear = [(land, o['l1c'], r) for land, o, r in scenes if o['cloud'] == 0]
    lands, optical, radar = zip(*clear)
    # Marsh and pasture: alike in the near infrared, 3 dB apart in VV. Needles and leaves: alike in VV, far apart in the near infrared.
    assert abs(_mean(optical, lands, 'wetland', 'B8') / _mean(optical, lands, 'pasture', 'B8') - 1) < .2
    assert _mean(radar, lands, 'wetland', 'VV') - _mean(radar, lands, 'pasture', 'VV') > 3
    assert abs(_mean(radar, lands, 'broadleaf', 'VV') - _mean(radar, lands, 'conifer', 'VV')) < 1.5
    assert _mean(optical, lands, 'broadleaf', 'B8') > 1.4 * _mean(optical, lands, 'conifer', 'B8')


def test_speckle_is_multiplicative_gamma():
    land = make_landscape(0, 0, 96)
    land.cover[:] = INDEX['pasture']
    land.texture[:], land.terrain[:], land.parcel[:] = 0, 0, 7
    power = 10**(sense_radar(land, 1, np.random.default_rng(0))['VV'] / 10)
    # The equivalent number of looks is mean^2 / variance.
    assert power.mean()**2 / power.var() == pytest.approx(4.4, rel=.06)


def test_aerial_images_agree_with_their_labels():
    seen, roofs, ground = np.zeros(11, int), [], []
    for i in range(14):
        land = make_landscape(1, i, 200, pixel=1., region='ruhr')
        image = sense_aerial(land)
        assert image['rgb'].shape == (200, 200, 3) and image['rgb'].dtype == np.uint8
        assert image['dem'].dtype == np.float32 and image['seg'].dtype == np.uint8
        seen += np.bincount(image['seg'].ravel(), minlength=11)
        above = image['dem'] - land.terrain
        roofs.append(above[image['seg'] == BUILDING])
        ground.append(above[np.isin(image['seg'], (ROAD, HIGHWAY, RAILWAY, AIRPORT))])
    assert (seen[1:] > 0).sum() >= 8
    assert np.concatenate(roofs).min() > 4 and np.abs(np.concatenate(ground)).max() < 2
    assert len(NAMES) == len(set(NAMES)) == len(COVERS)

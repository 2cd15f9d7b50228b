"""Scenes of several sensors on one grid: everything lies where its georeference says, and what cannot be placed is refused."""
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import write_tif
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from scene_files import MODALITIES, NORTH, WEST, easting, pair, write_scene

from decur.errors import ConfigError, DataError, DataWarning
from decur.scenes import open_scene

SIZE = (120, 150)


def other_grid(crs, step):
    """West and north of a raster in another CRS that covers the scene, and its shape."""
    x, y = transform('EPSG:32633', crs, [WEST, WEST + 1500] * 2, [NORTH, NORTH, NORTH - 1200, NORTH - 1200])
    pad = 6 * step
    return min(x) - pad + step / 3, max(y) + pad, (int((np.ptp(y) + 2 * pad) / step), int((np.ptp(x) + 2 * pad) / step))


@pytest.fixture
def sar(tmp_path):
    return write_scene(tmp_path / 'sar.tif', np.random.default_rng(0).normal(-12, 5, (*SIZE, 2)).astype(np.float32))


@pytest.mark.parametrize('crs, step', [('EPSG:32633', 20.), ('EPSG:32633', 3.), ('EPSG:32632', 10.), ('EPSG:32632', 25.),
                                       ('EPSG:4326', 2e-4)])
def test_a_ramp_and_a_step_lie_where_they_are(tmp_path, sar, crs, step):
    west, north, shape = other_grid(crs, step)
    x, y = easting(shape, step, west, north, crs)
    ramp = ((x - WEST) / 10 + 2 * (NORTH - y) / 10).astype(np.float32)
    scene = open_scene(dict(sar=sar, dem=write_scene(tmp_path / 'ramp.tif', ramp, step, west, north, crs)), MODALITIES, 'bilinear')
    rows, columns = np.indices(SIZE)
    # Interpolation keeps a ramp. What is averaged in 3 m pixels keeps it too.
    found = scene.read()['dem']
    assert not np.ma.is_masked(found) and found.shape == (*SIZE, 1)
    assert np.abs(found[..., 0] - (columns + .5 + 2 * (rows + .5))).max() < .05
    # A step at a known easting, by the nearest pixel: wrong by at most half a diagonal of the coarser pixel, and by none on average.
    edge = WEST + 700
    path = write_scene(tmp_path / 'step.tif', (x > edge).astype(np.float32), step, west, north, crs)
    right = open_scene(dict(sar=sar, dem=path), MODALITIES, 'nearest').read()['dem'][..., 0] > .5
    metres = 111e3 * step if crs == 'EPSG:4326' else step
    off = (SIZE[1] - right.sum(axis=1)) * 10 - (edge - WEST)
    assert np.abs(off).max() <= metres * .75 + 10 and abs(off.mean()) <= metres / 4 + 5


def test_windows_give_what_the_whole_gives(tmp_path, sar):
    west, north, shape = other_grid('EPSG:32632', 14.)
    values = np.random.default_rng(1).normal(300, 100, shape).astype(np.float32)
    values[20:30, 20:40] = -9999
    path = write_scene(tmp_path / 'dem.tif', values, 14., west, north, 'EPSG:32632', nodata=-9999)
    scene = open_scene(dict(sar=sar, dem=path), MODALITIES, 'bilinear')
    whole = scene.read()['dem']
    assert 100 < np.ma.getmaskarray(whole).sum() < 800
    for row, column in ((0, 0), (30, 17), (70, 86)):
        part = scene.read((row, column, 50, 64))['dem']
        there = np.s_[row:row + 50, column:column + 64]
        assert (np.ma.getmaskarray(part) == np.ma.getmaskarray(whole)[there]).all()
        # Values differ by 100 from pixel to pixel; GDAL approximates the transform (to 1/8 pixel at most) in each window for itself.
        assert np.abs(np.ma.filled(part, 0) - np.ma.filled(whole, 0)[there]).max() < .5
    # GDAL's own virtual raster says the same where nothing is missing nearby.
    with rasterio.open(path) as raster, WarpedVRT(raster, crs='EPSG:32633', transform=from_origin(WEST, NORTH, 10, 10), width=SIZE[1],
                                                  height=SIZE[0], resampling=Resampling.bilinear) as vrt:
        expected = vrt.read(1, masked=True)
    near = np.ma.getmaskarray(whole)[..., 0] | np.ma.getmaskarray(expected)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(near, 3), (7, 7)).any(axis=(2, 3))
    assert near.mean() < .3
    assert np.abs(whole[..., 0] - expected)[~near].max() < .5  # of values that differ by 100 from pixel to pixel


def test_what_is_missing_neither_spreads_nor_shrinks(tmp_path, sar):
    """The nearest pixel decides, band by band, also where the entry and not the file says what is missing."""
    values = np.random.default_rng(1).normal(-12, 5, (80, 100, 2)).astype(np.float32)
    values[10:20, 30:50, 0] = values[40:42, :, 1] = -1
    path = write_scene(tmp_path / 'coarse.tif', values, 20., WEST, NORTH)
    entries = dict(MODALITIES, other=dict(MODALITIES['sar'], reader=dict(type='RasterioReader', missing=-1)))
    found = open_scene(dict(sar=sar, other=path), entries, 'bilinear').read()['other']
    expected = (values == -1).repeat(2, axis=0).repeat(2, axis=1)[:SIZE[0], :SIZE[1]]
    assert (np.ma.getmaskarray(found) == expected).all()
    low, high = values[values != -1].min(), values[values != -1].max()
    assert low - 1e-3 <= found.min() and found.max() <= high + 1e-3  # and -1 bleeds into none (it is inside the range, see below)
    constant = np.where(values == -1, -1, 5).astype(np.float32)
    found = open_scene(dict(sar=sar, other=write_scene(tmp_path / 'c.tif', constant, 20.)), entries, 'bilinear').read()['other']
    assert np.ma.allclose(found, 5)


@pytest.mark.parametrize('method', ['bilinear', 'cubic', 'average'])
def test_of_several_pixels_the_nearest_decides_what_is_missing(tmp_path, sar, method):
    values = np.full((300, 360), 5, np.float32)
    values[40:80, 50:90] = np.where(np.indices((40, 40)).sum(axis=0) % 3 == 0, -9999, 5)
    path = write_scene(tmp_path / 'fine.tif', values, 5., WEST - 1, NORTH + 1, nodata=-9999)
    found = open_scene(dict(sar=sar, dem=path), MODALITIES, method).read()['dem'][..., 0]
    rows, columns = ((np.arange(length) * 10 + 5 + 1) // 5 for length in SIZE)
    expected = values[np.ix_(rows, columns)] == -9999
    assert expected.any() and (np.ma.getmaskarray(found) == expected).all() and np.ma.allclose(found, 5)


def test_whole_pixels_apart_need_no_resampling(tmp_path, sar):
    values = np.arange(60 * 70, dtype=np.float32).reshape(60, 70)
    path = write_scene(tmp_path / 'dem.tif', values, 10., WEST + 200, NORTH - 300)
    found = open_scene(dict(sar=sar, dem=path), MODALITIES).read()['dem'][..., 0]
    gone = np.ma.getmaskarray(found)
    assert (found.data[30:90, 20:90] == values).all() and not gone[30:90, 20:90].any() and gone.sum() == SIZE[0] * SIZE[1] - 60 * 70
    # And the other way round: the smaller one is the reference.
    scene = open_scene(dict(sar=sar, dem=path), MODALITIES, reference='dem')
    assert scene.shape == (60, 70) and scene.read()['sar'].shape == (60, 70, 2) and scene.reference.transform.c == WEST + 200
    assert (scene.read((5, 6, 7, 8))['dem'][..., 0] == values[5:12, 6:14]).all()


def test_bands_are_found_by_name(tmp_path, sar):
    def described(name, texts):
        path = write_scene(tmp_path / name, np.stack([np.full(SIZE, i, np.float32) for i in range(len(texts))], axis=2))
        with rasterio.open(path, 'r+') as raster:
            raster.descriptions = texts
        return path

    found = open_scene(dict(sar=described('a.tif', ('VH', 'angle', 'VV'))), MODALITIES).read()['sar']
    assert (found[0, 0] == [2, 0]).all()
    for texts in (('VV', 'angle', 'x'), ('B4', 'B3', 'B2')):
        with pytest.raises(DataError, match=r'sar: .*3 band.*described as.*2 bands \(VV, VH\)') as info:
            open_scene(dict(sar=described('b.tif', texts)), MODALITIES)
        assert '\n' not in str(info.value)


def test_what_cannot_be_placed_is_refused(tmp_path, sar):
    dem = np.zeros(SIZE, np.float32)
    turned = str(tmp_path / 'turned.tif')
    write_tif(Path(turned), dem, crs='EPSG:32633', transform=from_origin(WEST, NORTH, 10, 10) * Affine.rotation(17))
    cases = dict(
        no_crs=(write_scene(tmp_path / 'no_crs.tif', dem, crs=None), 'no CRS.*gdal_edit'),
        zone=(write_scene(tmp_path / 'zone.tif', dem, 10, *other_grid('EPSG:32632', 10.)[:2], 'EPSG:32632'),
              'EPSG:32632 instead of EPSG:32633.*--resample'),
        size=(write_scene(tmp_path / 'size.tif', dem, 20.), '20 x 20 instead of 10 x 10.*--resample'),
        turned=(turned, 'rows or columns run in another direction.*--resample'),
        between=(write_scene(tmp_path / 'between.tif', dem, 10., WEST + 4), r'between those.*0\.40 of a column.*--resample'),
        apart=(write_scene(tmp_path / 'apart.tif', dem, 10., WEST + 50000), 'does not overlap .*sar.tif.*x 300000 to'),
        far=(write_scene(tmp_path / 'far.tif', dem, 10., crs='EPSG:32755'), 'does not overlap'),
        bands=(write_scene(tmp_path / 'bands.tif', np.zeros((*SIZE, 3), np.float32)), r'3 band\(s\) without descriptions.*takes 1'),
        absent=(str(tmp_path / 'absent.tif'), 'absent.tif does not exist'))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        write_tif(tmp_path / 'plain.tif', dem, crs=None, transform=None)
    cases['plain'] = str(tmp_path / 'plain.tif'), 'no georeference'
    for path, words in cases.values():
        with pytest.raises(DataError, match=words) as info:
            open_scene(dict(sar=sar, dem=path), MODALITIES)
        assert '\n' not in str(info.value) and path.rpartition('/')[2] in str(info.value)
    for name in ('apart', 'far', 'no_crs'):  # resampling does not help
        with pytest.raises(DataError, match=cases[name][1]):
            open_scene(dict(sar=sar, dem=cases[name][0]), MODALITIES, 'bilinear')
    for arguments in (dict(resample='sinc'), dict(reference='dem')):
        with pytest.raises(ConfigError):
            open_scene(dict(sar=sar), MODALITIES, **arguments)
    with pytest.raises(ConfigError, match="unknown modality 'sr'.*'sar'"):
        open_scene(dict(sr=sar), MODALITIES)
    with pytest.raises(ConfigError, match='DepthReader'):
        open_scene(dict(dem=sar), dict(dem=dict(channels=1, reader=dict(type='DepthReader'))))


def test_steps_over_the_image_are_told(tmp_path, sar):
    entries = dict(sar=dict(MODALITIES['sar'], radiometry=[dict(type='CutOutliers')]))
    with pytest.warns(DataWarning, match='CutOutliers.*over each window'):
        scene = open_scene(dict(sar=sar), entries)
    image, gone = scene.load((0, 0, 40, 40))
    raw = scene.read((0, 0, 40, 40))['sar']
    assert image['sar'].max() < raw.max() and not gone['sar'].any()


def test_missing_pixels_get_the_mean(tmp_path):
    images, gone = open_scene(pair(tmp_path), MODALITIES).load((0, 0, 60, 40))
    assert gone['sar'][:10, :20].all() and gone['sar'].sum() == 200 and gone['dem'].sum() == 3 * 40
    assert np.allclose(images['sar'][gone['sar']], (-12, -20)) and np.allclose(images['dem'][gone['dem']], 300)
    images, gone = open_scene(pair(tmp_path), MODALITIES).load((0, 0, 10, 20))
    assert gone['sar'].all() and np.allclose(images['sar'], (-12, -20)) and images['sar'].shape == (10, 20, 2)


def test_real_sites_are_read_as_they_are(sample_data):
    files = {name: sorted((sample_data / 'sites_s1_s2_dem' / folder).glob('*.tif'))[0] for name, folder in
             (('optical', 'S2L1C'), ('sar', 'S1RTC'), ('dem', 'DEM'))}
    entries = dict(optical=dict(channels=13), sar=dict(channels=2), dem=dict(channels=1))
    scene = open_scene(files, entries)
    assert scene.shape == (224, 224)
    for name, image in scene.read((10, 20, 100, 120)).items():
        with rasterio.open(files[name]) as raster:
            assert np.allclose(image, raster.read().transpose(1, 2, 0)[10:110, 20:140])

"""Generated land cover as GeoTIFF tiles: what is in the files, that they lie side by side, and that a stopped run goes on."""
import numpy as np
import pytest
import rasterio

from decur.errors import ConfigError
from decur.sensors import S1_BANDS, S2C_BANDS
from decur_worlds.tiles import CLASSES, PER_SCENE, write_tiles

SIZE = 24


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp('tiles') / 'sites'
    write_tiles(out, 2, SIZE, seed=3)
    return out


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.descriptions, file.bounds, file.crs


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def test_every_sensor_has_the_same_tiles_with_its_bands_and_values(folder):
    names = [f'scene{i}_{j}.tif' for i in range(2) for j in range(PER_SCENE)]
    expected = dict(s1=('float32', S1_BANDS, -60, 20), s2=('uint16', S2C_BANDS, 0, 20000), dem=('float32', ('DEM', ), -500, 9000),
                    label=('uint8', ('class', ), 0, len(CLASSES) - 1))
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(expected)
    seen = set()
    for part, (dtype, bands, low, high) in expected.items():
        assert sorted(path.name for path in (folder / part).iterdir()) == names
        for name in names:
            image, described, _, _ = read(folder / part / name)
            assert image.dtype == dtype and image.shape == (len(bands), SIZE, SIZE) and described == tuple(bands)
            assert np.isfinite(image).all() and low <= image.min() and image.max() <= high
            seen |= set(np.unique(image).tolist()) if part == 'label' else set()
    assert len(seen) > 1, 'one class only'


def test_tiles_are_co_registered_and_lie_side_by_side(folder):
    for i in range(2):
        right = None
        for j in range(PER_SCENE):
            places = [read(folder / part / f'scene{i}_{j}.tif')[2:] for part in ('s1', 's2', 'dem', 'label')]
            assert len(set(map(str, places))) == 1
            bounds, crs = places[0]
            assert crs.to_epsg() == 32632 and bounds.right - bounds.left == 10 * SIZE == bounds.top - bounds.bottom
            assert right in (None, bounds.left)
            right = bounds.right


def test_the_radar_sees_the_water_of_the_labels(folder):
    """The sensors show the ground that the label maps describe: still water is dark in VH."""
    radar, label = (np.concatenate([read(path)[0][-1].ravel() for path in sorted((folder / part).iterdir())]) for part in ('s1', 'label'))
    water = label == list(CLASSES).index('water')
    assert water.sum() > 1000, 'this seed has a scene with water'
    assert radar[water].mean() < radar[~water].mean() - 3


def test_a_stopped_run_goes_on_to_the_same_files_and_more_scenes_leave_the_old_ones(folder, tmp_path):
    out = tmp_path / 'again'
    write_tiles(out, 1, SIZE, seed=3)
    lost = [out / 's2' / 'scene0_1.tif', out / 'label' / 'scene0_3.tif']
    for path in lost:
        path.unlink()
    kept = out / 's1' / 'scene0_0.tif'
    write_tiles(out, 2, SIZE, seed=3, workers=2)
    assert all(path.is_file() for path in (*lost, kept)) and files(out) == files(folder)


@pytest.mark.parametrize('num, size', [(0, 24), (1, 20), (1, 12)])
def test_numbers_and_sizes_that_cannot_be_are_refused(tmp_path, num, size):
    with pytest.raises(ConfigError, match='multiple of 6'):
        write_tiles(tmp_path / 'new', num, size)
    assert not (tmp_path / 'new').exists()


def test_another_seed_does_not_mix_with_a_folder(folder):
    with pytest.raises(ConfigError, match='seed'):
        write_tiles(folder, 2, SIZE, seed=2)

"""Rasters of a sample that say where they lie must show the same ground; what differs is told in pixels."""
import numpy as np
import pytest
from helpers import write_tif
from mmengine.logging import MMLogger
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform_geom

from decur.datasets import GeoNRWDataset, PairedRasterDataset
from decur.datasets.georeference import Grid, compare, read_grid
from decur.errors import ConfigError, DataError

EAST, NORTH = 500000, 5000000
LOAD = [dict(type='LoadModalities')]


def pair(root, name='a', size=(64, 48), x=0., y=0., pixel=10., crs='EPSG:32633', transform=None, **profile):
    """``opt/<name>.tif``, and ``sar/<name>.tif``, which lies where the arguments say (metres east and south of it)."""
    write_tif(root / 'opt' / f'{name}.tif', np.zeros((64, 48, 1), np.float32), transform=from_origin(EAST, NORTH, 10, 10))
    transform = transform or from_origin(EAST + x, NORTH - y, pixel, pixel)
    write_tif(root / 'sar' / f'{name}.tif', np.ones((*size, 1), np.float32), transform=transform, crs=crs, **profile)
    return root


def dataset(root, **kwargs):
    entries = {name: dict(channels=1, files=dict(folder=name, suffix='.tif')) for name in ('opt', 'sar')}
    return PairedRasterDataset(entries, data_root=str(root), pipeline=LOAD, **kwargs)


@pytest.fixture
def told(caplog):
    """What the logger was told of rasters that do not lie on one another."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records if 'does not lie on' in record.getMessage()]
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('options, says', [
    (dict(x=160), r'shifted by 16.0 columns and 0.0 rows \(160 m\)'),
    (dict(y=-7), r'shifted by 0.0 columns and -0.7 rows \(7 m\)'),
    (dict(crs='EPSG:32634'), 'in EPSG:32634 instead of EPSG:32633'),
    (dict(crs='EPSG:4326', transform=from_origin(15, 45, 1e-4, 1e-4)), 'in EPSG:4326 instead of EPSG:32633'),
    (dict(transform=Affine(10, 0, EAST, 0, 10, NORTH - 640)), 'rows run in the other direction, from south to north'),
    (dict(size=(64, 50)), 'another extent: its corners are up to 2.0 pixels away'),
    (dict(size=(32, 24), pixel=21), 'another extent: its corners are up to 3.2 pixels away'),
    (dict(transform=from_origin(EAST, NORTH, 10, 10) * Affine.rotation(5)), 'another extent'),
])
def test_another_place_is_an_error_that_says_how_far(tmp_path, options, says):
    pair(tmp_path, **options)
    with pytest.raises(DataError, match=f"sample 'a': .*sar/a.tif does not lie on .*opt/a.tif: .*{says}.*georeference='ignore'"):
        dataset(tmp_path)
    assert dataset(tmp_path, georeference='ignore')[0]['images']['sar'].all()


@pytest.mark.parametrize('options', [
    dict(), dict(size=(32, 24), pixel=20), dict(size=(128, 96), pixel=5), dict(x=.3), dict(size=(11, 8), pixel=60),
    dict(crs=None, transform=Affine.identity()), dict(crs='+proj=utm +zone=33 +datum=WGS84 +units=m +no_defs')
])
def test_the_same_place_in_any_resolution_is_none(tmp_path, options):
    assert len(dataset(pair(tmp_path, **options))) == 1


@pytest.mark.parametrize('options, pixels', [(dict(x=2), '0.20'), (dict(crs='EPSG:25833'), None), (dict(y=5), '0.50')])
def test_a_small_difference_is_said_once(tmp_path, told, options, pixels):
    """ETRS89 and WGS 84 lie less than a metre apart."""
    pair(pair(tmp_path, **options), 'b', **options)
    found = dataset(tmp_path)
    assert [s['sample_id'] for s in found] == ['a', 'b']
    assert len(told()) == 1 and (f', {pixels} pixels' in told()[0] if pixels else 'EPSG:25833 instead of EPSG:32633' in told()[0])


def test_every_sample_is_looked_at_when_it_is_read(tmp_path, monkeypatch):
    """Of a large set only some are looked at when it is made."""
    for name in 'abcde':
        pair(tmp_path, name, x=50 if name == 'd' else 0)
    monkeypatch.setattr('decur.datasets.base.LOOKED_AT', 2)
    found = dataset(tmp_path)
    assert [found[i]['sample_id'] for i in (0, 1, 2, 4)] == ['a', 'b', 'c', 'e']
    for epoch in range(2):
        with pytest.raises(DataError, match="sample 'd'.*5.0 columns"):
            found[3 + 5 * epoch]
    calls = []
    monkeypatch.setattr('decur.datasets.georeference.compare', lambda *grids: calls.append(grids) or (0, ''))
    found[0], found[4], found[2]
    assert not calls  # once is enough


def test_labels_and_tiles_are_compared_too(tmp_path):
    pair(tmp_path)
    write_tif(tmp_path / 'label' / 'a.tif', np.zeros((64, 48), np.uint8), transform=from_origin(EAST, NORTH + 30, 10, 10))
    options = dict(label=dict(folder='label', suffix='.tif'), metainfo=dict(classes=('a', 'b')))
    for tile in (None, dict(tile_size=(32, 16))):
        with pytest.raises(DataError, match='label/a.tif does not lie on .*-3.0 rows'):
            dataset(tmp_path, tile=tile, **options)


def test_pictures_and_control_points_are_taken_on_trust(tmp_path):
    pair(tmp_path)
    (tmp_path / 'sar' / 'a.tif').unlink()
    points = [GroundControlPoint(0, 0, 10, 50), GroundControlPoint(0, 48, 11, 50), GroundControlPoint(64, 0, 10, 49)]
    write_tif(tmp_path / 'sar' / 'a.tif', np.ones((64, 48, 1), np.float32), transform=Affine.identity(), gcps=points, crs='EPSG:4326')
    assert read_grid(str(tmp_path / 'sar' / 'a.tif')) is None and len(dataset(tmp_path)) == 1
    Image.fromarray(np.zeros((64, 48), np.uint8)).save(tmp_path / 'opt' / 'a.png')
    assert read_grid(str(tmp_path / 'opt' / 'a.png')) is None


def test_distances_against_coordinates_by_hand():
    """A grid in degrees beside one in metres: the corner that is farthest away, measured from transformed corners."""
    crs = {name: __import__('rasterio').crs.CRS.from_epsg(name) for name in (4326, 32633)}
    reference = Grid('a', crs[32633], from_origin(EAST, NORTH, 10, 10), 50, 40)
    other = Grid('b', crs[4326], from_origin(15.0, 45.155, 1e-4, 1e-4), 50, 40)
    pixels, words = compare(reference, other)
    distances = []
    for column, row in ((0, 0), (40, 0), (40, 50), (0, 50)):
        x, y = other.transform * (column, row)
        east, south = transform_geom('EPSG:4326', 'EPSG:32633', dict(type='Point', coordinates=(x, y)))['coordinates']
        distances += [abs((east - EAST) / 10 - column), abs((NORTH - south) / 10 - row)]
    assert pixels == pytest.approx(max(distances), rel=1e-6) and pixels > 1 and 'EPSG:4326' in words


def test_a_release_is_taken_as_it_is_and_what_differs_is_said(tmp_path, told):
    for ending, dtype, x in (('rgb.jp2', np.uint8, 0), ('dem.tif', np.float32, 40), ('seg.tif', np.uint8, 0)):
        channels = 3 if ending.startswith('rgb') else 1
        write_tif(tmp_path / 'aachen' / f'1_2_{ending}', np.zeros((20, 20, channels), dtype), transform=from_origin(x, 0, 1, 1))
    entries = dict(rgb=dict(channels=3, files=dict(raster='rgb')), dem=dict(channels=1, files=dict(raster='dem')))
    with pytest.raises(DataError, match='1_2_dem.tif does not lie on .*40.0 columns'):
        GeoNRWDataset(entries, str(tmp_path), tile=None, pipeline=LOAD, georeference='check')
    GeoNRWDataset(entries, str(tmp_path), tile=None, pipeline=LOAD, georeference='ignore')[0]
    assert not told()
    GeoNRWDataset(entries, str(tmp_path), tile=None, pipeline=LOAD)[0]
    assert len(told()) == 1 and '1_2_dem.tif does not lie on' in told()[0] and '40.0 columns' in told()[0]


def test_the_option_is_checked(tmp_path):
    with pytest.raises(ConfigError, match="georeference must be 'check', 'warn' or 'ignore', got 'error'"):
        dataset(pair(tmp_path), georeference='error')


def test_files_that_are_segmented_are_compared(tmp_path):
    from decur.apis.inferencer import SegmentationInferencer, pair_files
    from decur.datasets.georeference import GeoreferenceCheck
    pair(tmp_path, x=20)
    (tmp_path / 'disk').mkdir()
    for folder in ('opt', 'sar'):
        (tmp_path / folder / '._a.tif').write_bytes(b'x')
        (tmp_path / folder / 'linked').symlink_to(tmp_path / 'disk')
    write_tif(tmp_path / 'disk' / 'b.tif', np.zeros((4, 4), np.uint8))
    pairs = pair_files(dict(opt=tmp_path / 'opt', sar=tmp_path / 'sar'))
    assert sorted(pairs) == ['a', 'linked/b']
    inferencer = SegmentationInferencer.__new__(SegmentationInferencer)  # what comes before a model is needed
    inferencer.check_georeference, inferencer.modalities = GeoreferenceCheck('check'), {}
    with pytest.raises(DataError, match="sample 'a': .*shifted by 2.0 columns"):
        inferencer.load(pairs['a'])
    inferencer.check_georeference = GeoreferenceCheck('ignore')
    with pytest.raises(DataError, match='unknown'):
        inferencer.load(pairs['a'])

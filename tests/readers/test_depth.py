import json

import cv2
import numpy as np
import pytest
from helpers import write_tif

from decur.datasets import DepthReader, read_intrinsics
from decur.errors import ConfigError, DataError, DataWarning
from decur.readers.depth import unrotate


def test_unrotate_is_the_inverse_of_rotating_left_by_three():
    millimetres = np.arange(0, 8001, 7, dtype=np.uint16)[None]
    rotated = np.array([[((int(m) << 3) | (int(m) >> 13)) & 0xffff for m in millimetres[0]]], np.uint16)
    assert np.allclose(unrotate(rotated), millimetres / 1000, atol=1e-6)
    far = np.array([[(12000 << 3) & 0xffff | 12000 >> 13]], np.uint16)
    assert unrotate(far)[0, 0] == 8
    with pytest.raises(DataError, match='uint16'):
        unrotate(millimetres.astype(np.int32))


@pytest.mark.parametrize('unit', [1000, 10000])
def test_reader_gives_metres(tmp_path, unit):
    metres = np.linspace(.5, 6, 60).reshape(6, 10)
    metres[2, 3] = 0
    cv2.imwrite(str(tmp_path / 'd.png'), np.rint(metres * unit).astype(np.uint16))
    depth = DepthReader(unit=unit)(str(tmp_path / 'd.png'))
    assert depth.shape == (6, 10, 1) and depth.dtype == np.float32 and depth[2, 3, 0] == 0
    assert np.abs(depth[..., 0] - metres).max() <= .5 / unit + 1e-6


def test_npy_in_metres_with_holes(tmp_path):
    depth = np.full((5, 5), 2, np.float32)
    depth[0, 0] = np.nan
    np.save(tmp_path / 'd.npy', depth)
    read = DepthReader()(tmp_path / 'd.npy')
    assert read[0, 0, 0] == 0 and read[1, 1, 0] == 2


@pytest.mark.parametrize('image, options, says', [
    (np.full((8, 8), 200, np.uint8), {}, '8 bits'),
    (np.full((8, 8), 2000, np.uint16), dict(unit=10), 'median depth is 200'),
    (np.full((8, 8), 20, np.uint16), dict(unit=10000), 'median depth is 0.002'),
    (np.full((8, 8, 3), 200, np.uint8), {}, 'one channel'),
])
def test_bad_depth_names_the_file(tmp_path, image, options, says):
    path = tmp_path / 'bad.png'
    cv2.imwrite(str(path), image)
    with pytest.raises(DataError, match=says) as error:
        DepthReader(**options)(path)
    assert 'bad.png' in str(error.value)


def test_intrinsics_files(tmp_path):
    (tmp_path / 'nine.txt').write_text('520.5 0 320.25\n0 521 240\n0 0 1')
    assert read_intrinsics(tmp_path / 'nine.txt') == (520.5, 521., 320.25, 240.)
    (tmp_path / 'four.txt').write_text('520, 521, 320, 240')
    assert read_intrinsics(tmp_path / 'four.txt') == (520., 521., 320., 240.)
    (tmp_path / 'all.json').write_text(json.dumps(dict(a=[1, 2, 3, 4], b=np.eye(3).tolist())))
    assert read_intrinsics(tmp_path / 'all.json') == dict(a=(1., 2., 3., 4.), b=(1., 1., 0., 0.))
    for name, text, says in (('x.txt', '1 2 3', r'\(3,\)'), ('y.txt', 'one two', 'float'), ('z.json', '[1, 2]', 'stem'),
                             ('w.json', '{"a": [1, 2]}', r'\(2,\)'), ('v.json', '{', 'v.json')):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=says) as error:
            read_intrinsics(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(DataError, match='cannot be read'):
        read_intrinsics(tmp_path / 'absent.json')


def scene(shape=(48, 64)):
    """A floor 1.3 m below the camera and a wall at 4 m, metres."""
    v = np.arange(shape[0])[:, None]
    floor = 1.3 * 50 / np.maximum(v + 1 - shape[0] / 2, 1e-3)
    return np.broadcast_to(np.minimum(floor, 4.), shape) + np.random.default_rng(0).normal(0, .005, shape)


def write(path, values):
    cv2.imwrite(str(path), np.rint(values).astype(np.uint16))
    return path


@pytest.mark.parametrize('unit', [1000, 512, 256, 5000, 4000])
@pytest.mark.parametrize('hole', [0, 65535])
def test_the_largest_value_of_16_bits_is_missing(tmp_path, unit, hole):
    values = scene() * unit
    values[5:9, 10:30] = hole
    depth = DepthReader(unit=unit).metres(write(tmp_path / 'd.png', values))
    assert (depth[5:9, 10:30] == 0).all() and np.abs(depth - scene())[9:].max() < .6 / unit


@pytest.mark.parametrize('far', [np.inf, np.nan, -1, 1e10, 65504., 0.])
def test_what_renderers_write_where_no_ray_hits_is_missing(tmp_path, far):
    depth = scene()
    depth[5:9, 10:30] = far
    np.save(tmp_path / 'd.npy', depth.astype(np.float32))
    read = DepthReader().metres(tmp_path / 'd.npy')
    assert (read[5:9, 10:30] == 0).all() and read[9:].max() < 5


def test_missing_and_max_depth_are_said(tmp_path):
    values = scene() * 1000
    values[5:9, 10:30] = 10000
    path = write(tmp_path / 'd.png', values)
    reader = DepthReader()
    with pytest.warns(DataWarning, match=r'3 % of its pixels have the value 10000 \(10 m\), and no other is above 4.0') as told:
        reader.metres(path)
        reader.metres(path)
    assert len(told) == 1
    for options in (dict(missing=10000), dict(max_depth=5.), dict(missing=[1, 10000])):
        assert (DepthReader(**options).metres(path)[5:9, 10:30] == 0).all()
        image = DepthReader(**options).read(path)
        assert image.dtype == np.float32 and image.shape == (48, 64, 1)
        assert image.mask[5:9, 10:30].all() and (image.data[5:9, 10:30] == 0).all()
    assert (DepthReader(max_depth=5., nodata=2.5)(path)[5:9, 10:30] == 2.5).all()
    for wrong in (dict(unit=0), dict(max_depth=-1), dict(unit=-1000)):
        with pytest.raises(ConfigError, match='must be positive'):
            DepthReader(**wrong)


@pytest.mark.parametrize('unit, named', [(10000, '10000 '), (5000, '5000 '), (4000, '4000 '), (100, '100 '), (30000, 'a room|no known')])
@pytest.mark.parametrize('scale', [.5, 1, 1.5])
def test_a_file_in_another_unit_is_no_room_in_millimetres(tmp_path, unit, named, scale):
    depth = np.clip(scene() * scale, 0, 65000 / unit)
    path = write(tmp_path / 'd.png', depth * unit)
    if .3 <= np.median(depth) * unit / 1000 <= 15 and np.percentile(depth, 95) * unit / 1000 >= .6:
        return  # would be a room in millimetres as well
    with pytest.raises(DataError, match=rf'd.png: in millimetres .* no room. Give the values per metre, unit=... .*{named}'):
        DepthReader().metres(path)
    assert np.abs(DepthReader(unit=unit).metres(path) - depth).max() < 1 / unit


def test_another_unit_was_tried_at_all():
    medians = [np.median(scene()) * scale * unit / 1000 for unit in (10000, 5000, 4000) for scale in (.5, 1, 1.5)]
    assert sum(median > 15 for median in medians) >= 6


@pytest.mark.parametrize('scale', [.6, 1, 1.4])
def test_rotated_bits_are_told(tmp_path, scale):
    millimetres = np.rint(scene() * scale * 1000).astype(np.uint16)
    path = write(tmp_path / 'd.png', (millimetres << 3) | (millimetres >> 13))
    for options in (dict(), dict(unit=1000)):
        with pytest.raises(DataError, match='multiple of 8.*the bits are rotated.*rotated=True'):
            DepthReader(**options).metres(path)
    assert np.abs(DepthReader(rotated=True).metres(path) - scene() * scale).max() < 1e-3
    assert DepthReader(unit=8000, rotated=False).metres(path).max() == pytest.approx((scene() * scale).max(), abs=1e-3)
    with pytest.raises(DataError, match='rotated=True, but the bits'):
        DepthReader(rotated=True).metres(write(tmp_path / 'plain.png', millimetres))


def test_a_tag_of_a_raster_and_a_window(tmp_path):
    values = np.rint(scene() * 1000).astype(np.int32)
    values[:4] = -1
    write_tif(tmp_path / 'd.tif', values, nodata=-1)
    whole = DepthReader()(tmp_path / 'd.tif')
    assert (whole[:4] == 0).all() and np.abs(whole[4:, :, 0] - scene()[4:]).max() < 1e-3
    assert np.array_equal(DepthReader()(dict(path=tmp_path / 'd.tif', window=(2, 3, 9, 8))), whole[2:11, 3:11])


def test_a_name_that_is_twice_in_a_file_of_intrinsics(tmp_path):
    path = tmp_path / 'intrinsics.json'
    path.write_text('{"a": [500, 500, 320, 240], "b": [500, 500, 320, 240], "a": [600, 600, 320, 240]}')
    with pytest.raises(DataError, match="intrinsics.json.*'a' is there twice"):
        read_intrinsics(path)

import json

import cv2
import numpy as np
import pytest

from decur.datasets import DepthReader, read_intrinsics
from decur.errors import DataError
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

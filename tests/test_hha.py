import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from decur.datasets import depth_to_hha
from decur.errors import DataError
from decur.hha import check_camera

SHARED = Path(os.environ.get('DECUR_SHARED_DATA', Path(__file__).parents[2] / 'shared' / 'data'))
NYU = (518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)


def reference(name):
    path = SHARED / 'hha_reference' / name
    if not path.exists():
        pytest.skip('the reference HHA images are not here')
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image / 10000


def plane(point, normal, intrinsics, shape=(60, 80)):
    """Depth in metres of a plane through ``point`` seen by a camera at the origin (pixel centres from 1)."""
    fx, fy, cx, cy = intrinsics
    v, u = np.mgrid[1:shape[0] + 1, 1:shape[1] + 1]
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(shape)], -1)
    with np.errstate(divide='ignore'):
        depth = np.dot(point, normal) / (rays @ np.asarray(normal, float))
    depth[depth <= 0] = np.inf
    return depth


SMALL = (70., 70., 40.5, 30.5)


def room(tilt=0., camera_height=1.3, wall=4.):
    """Depth of a floor below and a wall before a camera that looks down by ``tilt`` degrees; floor pixels."""
    c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    down, forward = np.array([0, c, s]), np.array([0, -s, c])
    floor = plane(down * camera_height, down, SMALL)
    back = plane(forward * wall, forward, SMALL)
    return np.minimum(floor, back), floor < back


def test_complete_depth_is_bit_identical_to_the_reference():
    assert np.array_equal(depth_to_hha(reference('0.png'), NYU), reference('hha_complete.png'))


def test_raw_depth_masks_as_in_the_reference():
    hha = depth_to_hha(reference('0.png'), NYU, reference('0_raw.png'))
    expected = reference('hha.png')
    for channel in range(3):
        assert (hha[..., channel] == expected[..., channel]).mean() >= .99
    # Only where three collinear pixels decide is anything different, and by rounding.
    assert np.abs(hha.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('tilt', [0, 10, 25])
def test_known_geometry(tilt):
    depth, floor = room(tilt)
    hha = depth_to_hha(depth, SMALL).astype(float)
    inner = cv2.erode(floor.astype(np.uint8), np.ones((9, 9)), borderValue=1) > 0
    wall = cv2.erode((~floor).astype(np.uint8), np.ones((9, 9)), borderValue=1) > 0
    # The floor's normal points down, along gravity: 0 degrees; the wall's is across: 90 degrees.
    assert np.abs(hha[inner, 2] - 38).max() <= 1 and np.abs(hha[wall, 2] - 128).max() <= 1
    # Windows across the edge of floor and wall tilt the estimate of gravity by a few tenths of a degree.
    assert hha[inner, 1].max() <= 4
    # Height of a wall's pixel: how far its point lies above the floor, in centimetres.
    v, u = np.mgrid[1:61, 1:81]
    down = np.array([0, np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))])
    points = np.stack([(u - SMALL[2]) / SMALL[0], (v - SMALL[3]) / SMALL[1], np.ones(depth.shape)], -1) * depth[..., None]
    height = np.clip(130 - 100 * points @ down, 0, 255)
    assert np.abs(hha[wall, 1] - height[wall]).max() <= 4
    assert np.array_equal(hha[..., 0], np.clip(np.rint(310 / np.maximum(depth, 1)), 0, 255))


def test_camera_height_is_assumed_where_no_floor_is_seen():
    depth = plane((0, 0, 2), (0, 0, 1), SMALL)
    hha = depth_to_hha(depth, SMALL)
    # The centre pixel is at the camera's own height.
    assert hha[30, 40, 1] == pytest.approx(130, abs=2)


def test_holes():
    depth, floor = room(10)
    hole = np.zeros(depth.shape, bool)
    hole[10:30, 15:50] = True
    whole = depth_to_hha(depth, SMALL)
    results = []
    for fill in (0, np.nan, -1, np.inf):
        holed = depth.copy()
        holed[hole] = fill
        results.append(depth_to_hha(holed, SMALL))
        assert np.array_equal(results[0], results[-1])
    hha = results[0]
    assert not hha[hole].any()
    # Nothing outside of the hole's windows knows of it (gravity may shift by rounding).
    far = cv2.dilate(hole.astype(np.uint8), np.ones((7, 7))) == 0
    assert np.abs(hha[far].astype(int) - whole[far]).max() <= 1
    # A plane is fitted to what is left at the border, so even there the angle stays right on a flat surface.
    border = ~hole & ~far & (cv2.erode((~floor).astype(np.uint8), np.ones((9, 9)), borderValue=1) > 0)
    assert border.any() and np.abs(hha[border, 2].astype(int) - 128).max() <= 1


def test_raw_depth_keeps_filled_values():
    depth, _ = room(10)
    raw = depth.copy()
    raw[10:30, 15:50] = 0
    hha, whole = depth_to_hha(depth, SMALL, raw), depth_to_hha(depth, SMALL)
    assert np.array_equal(hha[..., 0], whole[..., 0])
    assert np.abs(hha[..., 1].astype(int) - whole[..., 1]).max() <= 1
    # In the middle of the hole nothing can be fitted: 180 + 38.
    assert (hha[15:25, 20:45, 2] == 218).all()


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (2, 2), (3, 50), (7, 7)])
def test_tiny_images(shape):
    hha = depth_to_hha(np.full(shape, 2.), (50, 50, shape[1] / 2, shape[0] / 2))
    assert hha.shape == (*shape, 3) and hha.dtype == np.uint8 and (hha[..., 0] == 155).all()


@pytest.mark.parametrize('missing', [0, np.nan])
def test_no_depth_at_all(missing):
    hha = depth_to_hha(np.full((12, 16), missing, np.float32), SMALL)
    assert hha.shape == (12, 16, 3) and not hha.any()


def test_float32_and_the_camera_matrix():
    depth, _ = room(15)
    fx, fy, cx, cy = SMALL
    matrix = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
    full = depth_to_hha(depth, SMALL)
    assert np.array_equal(full, depth_to_hha(depth, matrix))
    before = depth.astype(np.float32)
    single = depth_to_hha(before, SMALL)
    assert np.abs(single.astype(int) - full).max() <= 1
    assert np.array_equal(before, depth.astype(np.float32)), 'the input was changed'


@pytest.mark.parametrize('depth, intrinsics, says', [
    (np.full((9, 9), 2000.), SMALL, 'millimetres'),
    (np.full((9, 9), .002), SMALL, 'metres'),
    (np.full((9, 9), 200, np.uint8), SMALL, '8 bits'),
    (np.full((9, 9), 2000, np.uint16), SMALL, '1000'),
    (np.full((9, 9, 3), 2.), SMALL, r'\(9, 9, 3\)'),
    (np.zeros((0, 9)), SMALL, r'\(0, 9\)'),
    (np.full((9, 9), 2.), (70, 70, 40), r'\(3,\)'),
    (np.full((9, 9), 2.), np.eye(4), r'\(4, 4\)'),
    (np.full((9, 9), 2.), (0, 70, 40, 30), 'focal'),
    (np.full((9, 9), 2.), (70, np.nan, 40, 30), 'finite'),
    (np.full((9, 9), 2.), 'color', 'color'),
])
def test_bad_input(depth, intrinsics, says):
    with pytest.raises(DataError, match=says):
        depth_to_hha(depth, intrinsics)


def test_raw_depth_of_another_size():
    with pytest.raises(DataError, match=r'\(8, 9\).*\(9, 9\)'):
        depth_to_hha(np.full((9, 9), 2.), SMALL, np.ones((8, 9)))


@pytest.mark.parametrize('intrinsics, says', [
    ((140., 140., 81., 61.), 'an image of another size, perhaps of 122x162'),  # twice as large
    ((35., 35., 20.25, 15.25), 'an image of another size, perhaps of 30x40'),  # half as large
    (NYU, 'an image of another size'),
    ((70., 70., 30.5, 40.5), 'cx and cy are swapped'),
    ((70 / 80, 70 / 60, .5, .5), 'shares of its size'),
    ((70., 70., 90., 30.), 'lies outside'), ((70., 70., 40., -1.), 'lies outside'), ((70., 70., 40., 61.), 'lies outside'),
    ((4., 70., 40.5, 30.5), 'fx is 0.05 times'), ((70., 1e4, 40.5, 30.5), 'fy is 125 times'),
    ([[140., 0, 81.], [0, 140., 61.], [0, 0, 1]], 'another size'),
])
def test_a_camera_that_is_not_that_of_the_image(intrinsics, says):
    with pytest.raises(DataError, match=f'do not fit an image of 60x80 pixels .*{says}') as error:
        depth_to_hha(room()[0], intrinsics)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('intrinsics, size', [
    (NYU, (480, 640)), ((529.5, 529.5, 365., 265.), (530, 730)), ((693.7, 693.7, 360.9, 264.8), (531, 681)),
    ((570.3, 570.3, 310., 225.), (427, 561)), ((1170.2, 1170.2, 647.8, 483.8), (968, 1296)), ((70., 70., 55., 22.), (60, 80)),
    ((25., 25., 40., 30.), (60, 80)), ((300., 300., 40., 30.), (60, 80)), ((50., 50., 30., 30.), (60, 60)),
])
def test_cameras_of_data_sets_and_off_centre_ones_are_taken(intrinsics, size):
    assert check_camera(intrinsics, size) == tuple(float(k) for k in intrinsics)

import numpy as np
import pytest

from decur.hha import depth_to_hha
from decur_worlds.rooms import CLASSES, TEST_OFFSET, generate_room, make_scene, render

SIZE = (48, 64)


@pytest.fixture(scope='module')
def rooms():
    return [generate_room(0, i, SIZE) for i in range(40)]


def test_what_a_room_is(rooms):
    for room in rooms:
        assert room['rgb'].shape == (*SIZE, 3) and room['rgb'].dtype == np.uint8
        assert room['depth'].shape == SIZE and room['depth'].dtype == np.float32
        assert room['label'].shape == SIZE and room['label'].dtype == np.uint8 and room['label'].max() <= len(CLASSES)
        fx, fy, cx, cy = room['intrinsics']
        assert .6 * SIZE[1] < fx < SIZE[1] and abs(fx / fy - 1) < .01 and abs(cx - 32.5) < 4 and abs(cy - 24.5) < 4
        seen = room['depth'] > 0
        assert .5 < seen.mean() < 1 and .35 <= room['depth'][seen].min() and room['depth'].max() <= 8
        # Neither black nor blown out.
        assert 20 < room['rgb'].mean() < 235 and (room['rgb'] == 255).mean() < .2


def test_every_class_is_frequent(rooms):
    share = np.array([np.bincount(room['label'].ravel(), minlength=8) / room['label'].size for room in rooms])
    assert (share.mean(0)[1:] > .015).all()
    assert ((share > .005).mean(0)[1:] > .15).all()
    assert share.mean(0)[0] < .2


def test_a_scene_depends_on_seed_and_index_alone(rooms):
    again = generate_room(0, 7, SIZE)
    assert all(np.array_equal(again[key], rooms[7][key]) for key in again)
    for other in (generate_room(1, 7, SIZE), generate_room(0, TEST_OFFSET + 7, SIZE)):
        assert not np.array_equal(other['label'], again['label'])


def test_a_larger_picture_is_of_the_same_scene():
    small, large = make_scene(3, 5, (48, 64)), make_scene(3, 5, (96, 128))
    a, b = render(small), render(large)
    # The principal point moves with the size, so cells need not coincide to the pixel.
    assert (a['label'] == b['label'][::2, ::2]).mean() > .9
    assert np.median(np.abs(a['depth'] - b['depth'][::2, ::2])) < .1


def test_geometry_is_metric():
    for index in range(6):
        scene = make_scene(0, index, SIZE)
        picture = render(scene)
        points = scene.camera.position[:, None] + (scene.camera.rays() * picture['depth']).reshape(3, -1).astype(np.float64)
        label = picture['label'].ravel()
        assert np.abs(points[1, label == CLASSES.index('floor') + 1]).max(initial=0) < .01
        assert points.min() > -.05 and (points.max(1) < scene.size + .05).all()


def test_hha_of_a_room_sees_floor_and_walls(rooms):
    angles = {name: [] for name in ('floor', 'wall')}
    for room in rooms:
        hha = depth_to_hha(room['depth'], room['intrinsics'])
        for name in angles:
            there = (room['label'] == CLASSES.index(name) + 1) & (room['depth'] > 0)
            angles[name].append(hha[there, 2])
    assert abs(np.median(np.concatenate(angles['floor'])) - 38) < 12
    assert abs(np.median(np.concatenate(angles['wall'])) - 128) < 12


def test_modalities_are_complementary(rooms):
    """Colour alone does not give the class away, nor does height; what is flat on a wall is in colour only."""
    scene_floor = [room['rgb'][room['label'] == 2].mean(0) for room in rooms if (room['label'] == 2).any()]
    assert np.std(scene_floor, 0).min() > 20
    # Pictures on walls are void in the labels and hardly there in depth: as deep as their surroundings.
    found = 0
    for index in range(12):
        scene = make_scene(0, index, SIZE)
        with_pictures = render(scene)
        scene.decals = []
        without = render(scene)
        changed = with_pictures['label'] != without['label']
        found += changed.any()
        assert np.array_equal(with_pictures['depth'], without['depth'])
        if changed.any():
            assert np.abs(with_pictures['rgb'] - without['rgb'])[changed].max() > .05
    assert found >= 4

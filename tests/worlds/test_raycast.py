import numpy as np
import pytest

from decur_worlds.raycast import BOX, CYLINDER, ELLIPSOID, Camera, Primitive, first_hits, occluded, rotation

LEVEL = np.diag([1., -1., 1.])


def camera(size=(41, 61), focal=50., position=(0, 0, 0)):
    return Camera(np.array(position, float), LEVEL, (focal, focal, (size[1] + 1) / 2, (size[0] + 1) / 2), size)


def implicit(primitive, points):
    """Negative inside, in float64 and independent of the ray casting."""
    local = (primitive.rotation.T @ (points - primitive.centre[:, None])) / primitive.half[:, None]
    if primitive.kind == BOX:
        return np.abs(local).max(0) - 1
    if primitive.kind == ELLIPSOID:
        return (local**2).sum(0) - 1
    return np.maximum(np.hypot(local[0], local[2]), np.abs(local[1])) - 1


@pytest.mark.parametrize('kind', [BOX, CYLINDER, ELLIPSOID])
def test_first_hits_lie_on_the_surface_and_nothing_lies_before(kind):
    primitive = Primitive(kind, np.array([.1, -.1, 3.]), np.array([.5, .7, .3]), 1, None, rotation(.7, .3, .2))
    cam = camera()
    depth, index = first_hits(cam, [primitive])
    rays = cam.rays().reshape(3, -1).astype(np.float64)
    hit = index.ravel() == 0
    assert .02 < hit.mean() < .9
    assert np.abs(implicit(primitive, rays[:, hit] * depth.ravel()[hit])).max() < 1e-4
    for t in np.linspace(1.5, 4.5, 121):
        inside = implicit(primitive, rays * t) < -1e-3
        assert not inside[~hit].any()
        assert (depth.ravel()[inside] < t).all()


@pytest.mark.parametrize('kind', [BOX, CYLINDER, ELLIPSOID])
def test_normals_are_gradients(kind):
    primitive = Primitive(kind, np.array([.1, -.1, 3.]), np.array([.5, .7, .3]), 1, None, rotation(.7, .3, .2))
    cam = camera()
    depth, index = first_hits(cam, [primitive])
    points = cam.rays().reshape(3, -1)[:, index.ravel() == 0] * depth.ravel()[index.ravel() == 0]
    normals, u, v = primitive.surface(points)
    assert np.abs((normals**2).sum(0) - 1).max() < 1e-5 and np.isfinite(u).all() and np.isfinite(v).all()
    step = 1e-5
    gradient = np.stack([implicit(primitive, points + step * e[:, None]) - implicit(primitive, points - step * e[:, None])
                         for e in np.eye(3)])
    gradient /= np.linalg.norm(gradient, axis=0)
    # Edges, where the gradient jumps, are left out.
    assert np.quantile(1 - (gradient * normals).sum(0), .97) < 1e-3


def test_nearest_wins():
    near = Primitive(BOX, np.array([0, 0, 2.]), np.array([.3, .3, .1]), 1, None)
    far = Primitive(BOX, np.array([0, 0, 4.]), np.array([5., 5., .1]), 2, None)
    for order in ([near, far], [far, near]):
        depth, index = first_hits(camera(), order)
        assert order[index[20, 30]] is near and depth[20, 30] == pytest.approx(1.9, abs=1e-5)
        assert order[index[0, 0]] is far and depth[0, 0] == pytest.approx(3.9, abs=1e-5)


def test_what_encloses_the_camera_is_seen_from_inside():
    room = Primitive(BOX, np.array([0, 0, 1.]), np.array([2., 2., 3.]), 1, None)
    depth, index = first_hits(camera(), [room])
    assert (index == 0).all() and depth[20, 30] == pytest.approx(4, abs=1e-5)


def test_shadows():
    wall = Primitive(BOX, np.array([0, 1., 0]), np.array([.5, .05, .5]), 1, None)
    ball = Primitive(ELLIPSOID, np.array([3., 1., 0]), np.array([.2, .2, .2]), 1, None)
    points = np.array([[0, 0, 0], [.4, 0, .4], [2, 0, 0], [3, 0, 0], [3.5, 0, 0], [0, 1.5, 0]], np.float32).T
    above = occluded(points, (0, 50, 0), [wall, ball])
    # Straight below; below; in the open; below the ball (its shadow falls away from the light); beside it; between wall and light.
    assert above.tolist() == [True, True, False, True, False, False]
    assert not occluded(points, (0, .5, 0), [wall])[0], 'what is behind the light throws no shadow'

"""Ray casting of boxes, cylinders and ellipsoids in NumPy: first hits, occlusion, normals and surface coordinates.

World coordinates are metres with y up. Rays come in the layout (3, ...) and float32.
"""
from dataclasses import dataclass, field

import numpy as np

BOX, CYLINDER, ELLIPSOID = 'box', 'cylinder', 'ellipsoid'
#: A hit nearer than this (in units of the ray parameter) is the surface that the ray starts on.
EPSILON = 1e-3


def rotation(yaw=0., pitch=0., roll=0.):
    """Matrix (3, 3) that turns by ``roll`` about z, then ``pitch`` about x, then ``yaw`` about y (radians, right-handed)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@dataclass
class Primitive:
    """A solid. ``centre`` (3, ), ``half`` sizes (3, ) along its own axes, ``rotation`` (3, 3) from its own axes to the world's.

    A cylinder stands along its own y; a cylinder with half sizes (a, h, b) has elliptic caps with radii a and b.
    """
    kind: str
    centre: np.ndarray
    half: np.ndarray
    label: int
    material: object
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    def corners(self):
        """The eight corners (3, 8) of the bounding box, in the world."""
        signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, 8)
        return np.asarray(self.centre)[:, None] + self.rotation @ (signs * np.asarray(self.half)[:, None])

    def local(self, points, is_direction=False):
        """``points`` (3, n) in its own axes, in units of the half sizes."""
        if not is_direction:
            points = points - np.asarray(self.centre, np.float32).reshape(3, *[1] * (points.ndim - 1))
        matrix = (self.rotation.T / np.asarray(self.half)[:, None]).astype(np.float32)
        return (matrix @ points.reshape(3, -1)).reshape(points.shape)

    def intersect(self, origin, direction):
        """The ray parameter (...) of the nearest hit in front of ``origin`` (3, ...), infinite without one."""
        return self.hit(self.local(origin), self.local(direction, is_direction=True))

    def hit(self, o, d):
        """:meth:`intersect` with origin and direction in the primitive's own axes and units (see :meth:`local`)."""
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            if self.kind == BOX:
                near, far = _slabs(o, d)
            elif self.kind == ELLIPSOID:
                near, far = _quadratic(o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1, o[0] * d[0] + o[1] * d[1] + o[2] * d[2],
                                       d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
            elif self.kind == CYLINDER:
                near, far = _quadratic(o[0] * o[0] + o[2] * o[2] - 1, o[0] * d[0] + o[2] * d[2], d[0] * d[0] + d[2] * d[2])
                cap_near, cap_far = _slabs(o[1:2], d[1:2])
                near, far = np.maximum(near, cap_near), np.minimum(far, cap_far)
            else:
                raise ValueError(f'no such primitive: {self.kind}')
            hit = np.where(near > EPSILON, near, far)
            return np.where((near <= far) & (hit > EPSILON), hit, np.float32(np.inf))

    def surface(self, points):
        """World normals (3, n) at surface ``points`` (3, n), and surface coordinates u, v (n, ) in metres."""
        p = self.local(points)
        half = np.asarray(self.half, np.float32)
        metres = p * half[:, None]
        if self.kind == BOX:
            axis = np.abs(p).argmax(0)
            normal = np.zeros_like(p)
            columns = np.arange(p.shape[1])
            normal[axis, columns] = np.sign(p[axis, columns])
            u = np.where(axis == 0, metres[2], metres[0])
            v = np.where(axis == 1, metres[2], metres[1])
        else:
            normal = p / half[:, None]
            u, v = np.arctan2(p[2], p[0]) * max(half[0], half[2]), metres[1]
            if self.kind == CYLINDER:
                cap = np.abs(p[1]) > np.hypot(p[0], p[2])
                normal[:, cap] *= 0
                normal[1, cap] = np.sign(p[1, cap])
                normal[1, ~cap] = 0
                u, v = np.where(cap, metres[0], u), np.where(cap, metres[2], v)
        normal = self.rotation.astype(np.float32) @ normal
        return normal / np.maximum(np.sqrt((normal * normal).sum(0)), 1e-12), u, v


def _slabs(o, d):
    inverse = 1 / np.where(d == 0, np.float32(1e-12), d)
    first, second = (-1 - o) * inverse, (1 - o) * inverse
    return np.minimum(first, second).max(0), np.maximum(first, second).min(0)


def _quadratic(c, b, a):
    a = np.maximum(a, np.float32(1e-12))
    root = b * b - a * c
    miss = root < 0
    root = np.sqrt(np.where(miss, 0, root))
    near, far = (-b - root) / a, (-b + root) / a
    near[miss], far[miss] = np.inf, -np.inf
    return near, far


@dataclass
class Camera:
    """A pinhole. ``position`` (3, ); ``axes`` (3, 3) with columns right, down, forward in the world; fx, fy, cx, cy in pixels.

    The first pixel has centre (1, 1), as in :func:`decur.hha.depth_to_hha`.
    """
    position: np.ndarray
    axes: np.ndarray
    intrinsics: tuple
    size: tuple

    def rays(self):
        """Directions (3, H, W), float32, whose ray parameter is the depth along the optical axis."""
        fx, fy, cx, cy = self.intrinsics
        h, w = self.size
        x = np.broadcast_to((np.arange(w) + 1 - cx) / fx, (h, w))
        y = np.broadcast_to(((np.arange(h) + 1 - cy) / fy)[:, None], (h, w))
        return np.tensordot(self.axes, np.stack([x, y, np.ones((h, w))]), 1).astype(np.float32)

    def window(self, corners):
        """The slices (rows, columns) of the pixels that a convex thing with these ``corners`` (3, n) can cover; None if none."""
        fx, fy, cx, cy = self.intrinsics
        h, w = self.size
        x, y, z = self.axes.T @ (corners - np.asarray(self.position)[:, None])
        if (z <= 0.05).all():
            return None
        if (z <= 0.05).any():
            return slice(0, h), slice(0, w)
        u, v = fx * x / z + cx - 1, fy * y / z + cy - 1
        left, right = max(int(np.floor(u.min())), 0), min(int(np.ceil(u.max())) + 1, w)
        top, bottom = max(int(np.floor(v.min())), 0), min(int(np.ceil(v.max())) + 1, h)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def first_hits(camera, primitives, rays=None):
    """Depth (H, W) float32 along the optical axis and the index (H, W) of the primitive hit (-1 and infinite without one)."""
    rays = camera.rays() if rays is None else rays
    depth = np.full(rays.shape[1:], np.inf, np.float32)
    index = np.full(rays.shape[1:], -1, np.int32)
    origin = np.asarray(camera.position, np.float32).reshape(3, 1, 1)
    for i, primitive in enumerate(primitives):
        window = camera.window(primitive.corners())
        if window is None:
            continue
        hit = primitive.intersect(origin, rays[(slice(None), *window)])
        nearer = hit < depth[window]
        depth[window][nearer] = hit[nearer]
        index[window][nearer] = i
    return depth, index


def occluded(points, light, primitives):
    """(n, ) bool: whether something stands between ``points`` (3, n) and the point ``light`` (3, )."""
    dark = np.zeros(points.shape[1], bool)
    light = np.asarray(light, np.float32)[:, None]
    active, found = np.arange(points.shape[1]), np.zeros(points.shape[1], bool)
    for primitive in primitives:
        origin = primitive.local(points)
        found |= primitive.hit(origin, primitive.local(light) - origin) < 1
        # What is already dark is dropped once it is worth the copy.
        if found.sum() * 5 > found.size:
            dark[active[found]] = True
            points, active = points[:, ~found], active[~found]
            found = np.zeros(active.size, bool)
            if not active.size:
                break
    dark[active[found]] = True
    return dark

"""Procedural rooms seen by an RGB-D camera: colour, metric depth with a sensor's noise and holes, and class labels.

Both modalities show the same scene, and each shows something that the other does not. Colour shows materials, lighting and flat objects
(pictures, windows, rugs); but one surface in seven has a random material, and the lighting is random. Depth shows the shape of surfaces
that have no texture, but neither materials nor flat objects; it is noisy, and some of its pixels are missing.
"""
from types import SimpleNamespace

import cv2
import numpy as np

from . import furniture
from .furniture import CLASSES, FLOOR, VOID, WALL, material
from .raycast import BOX, CYLINDER, Camera, Primitive, first_hits, occluded, rotation

__all__ = ['CLASSES', 'TEST_OFFSET', 'make_scene', 'render', 'generate_room']

#: Test scene i is scene ``TEST_OFFSET + i``, so that the test set does not depend on how many scenes are for training.
TEST_OFFSET = 1 << 40

_KINDS = {
    # What stands along walls, and what stands in the open, each with a probability. Every kind of room can hold every class.
    'bedroom': (('bed', 1.), ('cabinet', 1.), ('cabinet', .8), ('table', .6), ('sofa', .3), ('chair', .6), ('cabinet', .4)),
    'living': (('sofa', 1.), ('low table', .9), ('cabinet', .9), ('sofa', .6), ('chair', .6), ('cabinet', .6), ('desk', .3)),
    'dining': (('dining', 1.), ('cabinet', 1.), ('sofa', .5), ('cabinet', .7), ('desk', .3), ('chair', .3)),
    'office': (('desk', 1.), ('desk', .7), ('cabinet', 1.), ('cabinet', .7), ('sofa', .5), ('chair', .5), ('bed', .1)),
    'studio': (('bed', .6), ('sofa', .8), ('dining', .7), ('cabinet', .9), ('desk', .6), ('cabinet', .5), ('chair', .4)),
}


def _camera(rng, room, size):
    h, w = size
    focal = w / 2 / np.tan(np.deg2rad(rng.uniform(56, 72)) / 2) if w >= h else h / 2 / np.tan(np.deg2rad(rng.uniform(56, 72)) / 2)
    intrinsics = (focal, focal * rng.uniform(.995, 1.005), (w + 1) / 2 + rng.normal(0, .01 * w), (h + 1) / 2 + rng.normal(0, .01 * h))
    position = np.array([rng.uniform(.25, .75) * room[0], rng.uniform(.95, 1.75), rng.uniform(.15, .6)])
    # It looks about at a point on the far half of the floor's middle line.
    target = np.array([rng.uniform(.25, .75) * room[0], 0, rng.uniform(.6, 1.) * room[2]])
    yaw = np.arctan2(target[0] - position[0], target[2] - position[2])
    tilt = np.deg2rad(np.clip(rng.normal(20, 7), 0, 38))
    axes = rotation(yaw, tilt, np.deg2rad(rng.normal(0, 1.5))) @ np.diag([1., -1., 1.])
    return Camera(position, axes, tuple(float(k) for k in intrinsics), (h, w))


class _Plan:
    """The floor plan: finds free places for furniture."""

    def __init__(self, rng, room, camera):
        self.rng, self.room, self.taken = rng, room, []
        self.eye = camera.position[[0, 2]]

    def along_wall(self, parts, tries=20):
        """Move ``parts`` back to a wall where nothing else is; None if there is no room."""
        box = furniture.extent(parts)
        width, back = box[1, 0] - box[0, 0], box[1, 2]
        gap = self.rng.uniform(.005, .06)
        for _ in range(tries):
            wall = self.rng.choice(3, p=[.5, .25, .25])
            length = self.room[0] if wall == 0 else self.room[2]
            if width + .1 > length:
                continue
            along = self.rng.uniform(width / 2 + .03, length - width / 2 - .03)
            if wall == 0:
                x, z, yaw = along, self.room[2] - back - gap, 0.
            elif wall == 1:
                x, z, yaw = back + gap, along, -np.pi / 2
            else:
                x, z, yaw = self.room[0] - back - gap, along, np.pi / 2
            if self._fits(box, x, z, yaw, .02):
                return furniture.place(parts, x, z, yaw + self.rng.normal(0, .01))
        return None

    def in_the_open(self, parts, tries=20, spread=.2):
        box = furniture.extent(parts)
        for _ in range(tries):
            x = self.rng.uniform(.15, .85) * self.room[0]
            z = self.rng.uniform(.3, .85) * self.room[2]
            yaw = self.rng.choice(4) * np.pi / 2 + self.rng.normal(0, spread)
            if self._fits(box, x, z, yaw, .05):
                return furniture.place(parts, x, z, yaw)
        return None

    def at(self, parts, x, z, yaw, gap=.0):
        return furniture.place(parts, x, z, yaw) if self._fits(furniture.extent(parts), x, z, yaw, gap) else None

    def _fits(self, box, x, z, yaw, gap):
        """Reserve the ground of a box if it is free; whether it was."""
        corners = np.array([[a, b, c] for a in box[:, 0] for b in box[:, 1] for c in box[:, 2]]).T
        ground = (rotation(yaw) @ corners + np.array([x, 0, z])[:, None])[[0, 2]]
        place = ground.min(1), ground.max(1)
        low, high = place[0] - gap, place[1] + gap
        inside = not (low < -gap + .001).any() and not (high > self.room[[0, 2]] + gap - .001).any()
        at_lens = np.linalg.norm(np.clip(self.eye, low, high) - self.eye) < .7
        if not inside or at_lens or not all((low >= other[1]).any() or (high <= other[0]).any() for other in self.taken):
            return False
        self.taken.append(place)
        return True


def _top(parts, label):
    """(centre x, centre z, half width, height) of the top of a placed table or cabinet."""
    low, high = furniture.extent([p for p in parts if p.label == label])
    return (low[0] + high[0]) / 2, (low[2] + high[2]) / 2, min(high[0] - low[0], high[2] - low[2]) / 2, high[1]


def _set_upon(rng, parts, label, probability):
    """Clutter on top of ``parts``."""
    out = []
    if rng.random() < probability:
        x, z, half, y = _top(parts, label)
        for _ in range(int(rng.integers(1, 4))):
            out += furniture.place(furniture.clutter(rng), x + rng.uniform(-.6, .6) * half, z + rng.uniform(-.6, .6) * half,
                                   rng.uniform(-1, 1), y)
    return out


def _chair_at(rng, plan, parts, offset, turn, spread):
    """A chair at a placed table, ``offset`` from its middle in its own axes; empty where there is no room."""
    x, z, _, _ = _top(parts, furniture.TABLE)
    yaw = np.arctan2(parts[0].rotation[0, 2], parts[0].rotation[2, 2])
    dx, _, dz = rotation(yaw) @ offset
    return plan.at(furniture.chair(rng), x + dx, z + dz, yaw + turn + rng.normal(0, spread)) or []


def _furnish(rng, room, camera):
    plan, things = _Plan(rng, room, camera), []
    kind = _KINDS[str(rng.choice(list(_KINDS)))]
    for what, probability in kind:
        if rng.random() > probability:
            continue
        if what in ('dining', 'low table'):
            parts = plan.in_the_open(furniture.table(rng, low=what == 'low table'), spread=.1)
            if parts is None:
                continue
            things += parts + _set_upon(rng, parts, furniture.TABLE, .6)
            if what == 'dining':
                half = parts[0].half
                for dx, dz, turn in ((0, 1, 0), (0, -1, np.pi), (1, 0, np.pi / 2), (-1, 0, -np.pi / 2)):
                    if rng.random() < .75:
                        offset = np.array([dx * (half[0] + .3), 0, dz * (half[2] + .3)]) * rng.uniform(1, 1.15)
                        things += _chair_at(rng, plan, parts, offset, turn, .15)
        elif what == 'chair':
            things += plan.in_the_open(furniture.chair(rng), spread=1.) or []
        else:
            build = {'desk': furniture.table, 'table': furniture.table}.get(what) or getattr(furniture, what)
            parts = plan.along_wall(build(rng))
            if parts is None:
                continue
            things += parts
            if what in ('desk', 'table'):
                things += _set_upon(rng, parts, furniture.TABLE, .8)
            if what == 'cabinet' and _top(parts, furniture.CABINET)[3] < 1.3:
                things += _set_upon(rng, parts, furniture.CABINET, .6)
            if what == 'desk':
                things += _chair_at(rng, plan, parts, np.array([rng.normal(0, .1), 0, -rng.uniform(.7, .9)]), np.pi, .4)
    for build, probability in ((furniture.lamp, .35), (furniture.plant, .35), (furniture.clutter, .5)):
        if rng.random() < probability:
            things += plan.in_the_open(build(rng), tries=5, spread=1.) or []
    return things


def _free(things, low, high):
    """Whether nothing is in the box between two corners."""
    return not any(((c := thing.corners()).min(1) < high).all() and (c.max(1) > low).all() for thing in things)


def _wall_decals(rng, room):
    """Pictures, windows and doors: rectangles (wall, u range, v range, material, label) that are flat on a wall or nearly so."""
    decals = []
    for wall, length in (('back', room[0]), ('left', room[2]), ('right', room[2])):
        for _ in range(int(rng.integers(0, 3))):
            w, h = rng.uniform(.3, 1.2), rng.uniform(.3, .9)
            if w > length - .4:
                continue
            u, v = rng.uniform(.2, length - w - .2), rng.uniform(1.1, max(1.2, room[1] - h - .2))
            decals.append((wall, (u, u + w), (v, min(v + h, room[1])), material(rng, rng.choice(['linen', 'fabric', 'leaf'])), VOID))
    return decals


def make_scene(seed, index, size=(128, 128)):
    """Build scene ``index`` of ``seed`` for images of ``size`` (height, width). It does not depend on which scenes were built before.

    Returns:
        SimpleNamespace: ``size`` (width, height, depth) in metres with one corner of the floor at the origin; ``primitives``, of which the
        first ``shell`` are floor, ceiling and walls; ``rug`` and ``decals``, flat on them; ``lights``, ``ambient``, ``camera``, ``grade``.
    """
    rng = np.random.default_rng([int(seed), int(index)])
    room = np.array([rng.uniform(2.9, 4.8), rng.uniform(2.3, 2.9), rng.uniform(3.1, 5.2)])
    camera = _camera(rng, room, size)
    width, height, depth = room
    t = .1
    paint, ground = material(rng, 'paint'), material(rng, 'ground')
    side = paint if rng.random() < .6 else material(rng, 'paint')
    ceiling = material(rng, 'paint')
    surfaces = []

    def slab(low, high, label, surface):
        low, high = np.array(low), np.array(high)
        surfaces.append(Primitive(BOX, (low + high) / 2, (high - low) / 2, label, surface))

    slab((-t, -t, -t), (width + t, 0, depth + t), FLOOR, ground)
    slab((-t, height, -t), (width + t, height + t, depth + t), VOID, ceiling)
    slab((-t, 0, depth), (width + t, height, depth + t), WALL, paint)
    slab((-t, 0, -t), (width + t, height, 0), WALL, paint)
    slab((-t, 0, -t), (0, height, depth + t), WALL, side)
    slab((width, 0, -t), (width + t, height, depth + t), WALL, side)
    shell = len(surfaces)
    # A skirting board, a corner that juts out, a pillar: walls are not just planes.
    if rng.random() < .6:
        board, h = material(rng, 'linen'), rng.uniform(.06, .12)
        slab((0, 0, depth - .015), (width, h, depth), WALL, board)
        slab((0, 0, 0), (.015, h, depth), WALL, board)
        slab((width - .015, 0, 0), (width, h, depth), WALL, board)
    things = _furnish(rng, room, camera)
    if rng.random() < .3:
        left = rng.random() < .5
        a, b = rng.uniform(.3, .9), rng.uniform(.3, 1.)
        low, high = (0 if left else width - a, 0, depth - b), (a if left else width, height, depth)
        if _free(things, low, high):
            slab(low, high, WALL, paint)
    if rng.random() < .12:
        x, z = rng.uniform(.2, .8) * width, rng.uniform(.6, .9) * depth
        pillar = Primitive(CYLINDER, np.array([x, height / 2, z]), np.array([.15, height / 2, .15]), WALL, paint)
        if _free(things, pillar.corners().min(1), pillar.corners().max(1)):
            surfaces.append(pillar)
    rug = None
    if rng.random() < .45:
        centre, half = rng.uniform(.3, .7, 2) * room[[0, 2]], rng.uniform(.5, 1.3, 2)
        rug = centre, half, material(rng, 'fabric')
    lights = []
    for _ in range(int(rng.integers(1, 3))):
        warm = np.array([1, rng.uniform(.82, 1), rng.uniform(.6, 1)])
        position = np.array([rng.uniform(.15, .85) * width, height - rng.uniform(.05, .5), rng.uniform(.1, .9) * depth])
        lights.append((position, warm * rng.uniform(.5, 1.2)))
    if rng.random() < .4:
        # Daylight from a side.
        side_x = .05 if rng.random() < .5 else width - .05
        lights.append((np.array([side_x, rng.uniform(1.2, 2), rng.uniform(.2, .8) * depth]),
                       np.array([.85, .93, 1]) * rng.uniform(.6, 1.5)))
    ambient = np.array([1, 1, 1]) * rng.uniform(.25, .6)
    decals = _wall_decals(rng, room)
    grade = dict(exposure=rng.uniform(.3, .5), white=rng.normal(1, .06, 3), noise=rng.uniform(.004, .025), blur=rng.uniform(.35, .75),
                 vignette=rng.uniform(0, .25))
    return SimpleNamespace(size=room, primitives=surfaces + things, shell=shell, rug=rug, decals=decals, lights=lights, ambient=ambient,
                           camera=camera, grade=grade)


def _decorate(scene, index, points, colour, label, footprint):
    """Paint rug, pictures, windows and doors onto the pixels of floor and walls, in place."""
    x, y, z = points
    if scene.rug is not None:
        centre, half, surface = scene.rug
        on = (index == 0) & (np.abs(x - centre[0]) < half[0]) & (np.abs(z - centre[1]) < half[1])
        if on.any():
            colour[:, on] = surface.albedo(x[on], z[on], footprint[on])
    for wall, us, vs, surface, what in scene.decals:
        which, along = {'back': (2, x), 'left': (4, z), 'right': (5, z)}[wall]
        on = (index == which) & (along > us[0]) & (along < us[1]) & (y > vs[0]) & (y < vs[1])
        if not on.any():
            continue
        colour[:, on] = surface.albedo(along[on], y[on], footprint[on])
        border = on & ((along < us[0] + .03) | (along > us[1] - .03) | (y < vs[0] + .03) | (y > vs[1] - .03))
        colour[:, border] = np.asarray(surface.second, np.float32)[:, None] * .5
        label[on] = what


def render(scene):
    """Render ``scene`` without any noise.

    Returns:
        dict: ``rgb`` (H, W, 3) float32 sRGB in 0..1; ``depth`` (H, W) float32 metres; ``label`` (H, W) uint8 (0 void, then
        :data:`CLASSES` from 1); ``incidence`` (H, W) float32, cosine of the angle between ray and surface; ``reflectance`` (H, W)
        float32 in 0..1.
    """
    camera = scene.camera
    h, w = camera.size
    rays = camera.rays()
    depth, index = first_hits(camera, scene.primitives, rays)
    # Every ray ends in the closed room; one that slips through the crack of a corner takes the wall that it grazes.
    lost = index < 0
    if lost.any():
        index[lost], depth[lost] = 2, scene.size[2]
    flat_rays, flat_depth, flat_index = rays.reshape(3, -1), depth.ravel(), index.ravel()
    points = np.asarray(camera.position, np.float32)[:, None] + flat_rays * flat_depth
    normals, colour = np.empty_like(points), np.empty_like(points)
    label, gloss = np.zeros(h * w, np.uint8), np.zeros(h * w, np.float32)
    footprint = flat_depth / np.float32(camera.intrinsics[0])
    order = np.argsort(flat_index, kind='stable')
    starts = np.flatnonzero(np.diff(flat_index[order], prepend=-1))
    for pixels in np.split(order, starts[1:]):
        primitive = scene.primitives[flat_index[pixels[0]]]
        normals[:, pixels], u, v = primitive.surface(points[:, pixels])
        colour[:, pixels] = primitive.material.albedo(u, v, footprint[pixels])
        label[pixels], gloss[pixels] = primitive.label, primitive.material.gloss
    _decorate(scene, flat_index, points, colour, label, footprint)

    view = flat_rays / np.sqrt((flat_rays * flat_rays).sum(0))
    facing = -(normals * view).sum(0)
    normals[:, facing < 0] *= -1
    albedo = colour ** np.float32(2.2)
    light = np.empty_like(points)
    # Corners get less of the light that comes from everywhere.
    nearest = np.minimum(points, np.asarray(scene.size, np.float32)[:, None] - points)
    nearest = np.sort(np.maximum(nearest, 0), 0)[1]
    light[:] = np.asarray(scene.ambient, np.float32)[:, None] * (1 - .45 * np.exp(-nearest / .25)) * (.8 + .2 * normals[1])
    shine = np.zeros_like(points)
    solid = scene.primitives[scene.shell:]
    start = points + normals * np.float32(.004)
    for position, power in scene.lights:
        towards = np.asarray(position, np.float32)[:, None] - points
        distance = np.sqrt((towards * towards).sum(0))
        towards /= distance
        cosine = np.maximum((normals * towards).sum(0), 0)
        lit = np.flatnonzero(cosine > 0)
        cosine[lit[occluded(start[:, lit], position, solid)]] *= .12
        received = np.asarray(power, np.float32)[:, None] * (cosine / (.5 + .18 * distance ** 2))
        light += received
        half = towards - view
        half /= np.sqrt((half * half).sum(0)) + 1e-6
        shine += received * (gloss * np.maximum((half * normals).sum(0), 0) ** 40 * 2)
    radiance = albedo * light + shine
    radiance *= (np.float32(scene.grade['exposure']) ** 2.2 / max(float(np.median(radiance)), 1e-4)) * \
        np.asarray(scene.grade['white'], np.float32)[:, None]
    # A soft shoulder instead of clipped highlights.
    rgb = np.clip(1.35 * radiance / (1 + .35 * radiance), 0, 1) ** np.float32(1 / 2.2)
    return dict(rgb=np.ascontiguousarray(rgb.T).reshape(h, w, 3), depth=depth, label=label.reshape(h, w),
                incidence=np.abs(facing).reshape(h, w), reflectance=albedo.mean(0).reshape(h, w))


def _expose(rng, image, grade):
    """Simulate a camera on an sRGB ``image``: a little blur, vignetting and noise that grows with brightness; uint8."""
    h, w = image.shape[:2]
    image = cv2.GaussianBlur(image, (0, 0), grade['blur'])
    y, x = np.linspace(-1, 1, h, dtype=np.float32)[:, None], np.linspace(-1, 1, w, dtype=np.float32)
    image = image * (1 - np.float32(grade['vignette']) * (x * x + y * y)[..., None] / 2)
    spread = np.float32(grade['noise']) * (.5 + np.sqrt(image))
    image += rng.standard_normal(image.shape, dtype=np.float32) * spread
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _sense_depth(rng, depth, incidence, reflectance, focal):
    """Simulate a structured-light sensor on ``depth``: noise and steps that grow with its square, ragged edges, holes (0)."""
    h, w = depth.shape
    # Edges are ragged: some pixels report their neighbour's depth.
    shift = rng.normal(0, .35 * w / 128 + .1, (2, h, w))
    rows = np.clip(np.arange(h)[:, None] + np.rint(shift[0]).astype(int), 0, h - 1)
    columns = np.clip(np.arange(w)[None] + np.rint(shift[1]).astype(int), 0, w - 1)
    edge = cv2.dilate(depth, np.ones((3, 3))) - cv2.erode(depth, np.ones((3, 3))) > .08 + .02 * depth
    sensed = np.where(edge, depth[rows, columns], depth)
    # Axial noise of a Kinect: C. V. Nguyen et al., "Modeling Kinect sensor noise for improved 3D reconstruction and tracking", 2012.
    # A pixel of a small picture is the mean of many of the sensor's.
    sigma = (.0012 + .0019 * (sensed - .4) ** 2) * np.sqrt(min(1., w / 640)) / np.maximum(incidence, .25) ** .5
    sensed = sensed + rng.standard_normal(depth.shape) * sigma
    disparity = 580 * .075 / np.maximum(sensed, .2)
    sensed = 580 * .075 / (np.rint(disparity * 16) / 16).clip(1e-3)
    # The projector sits beside the camera: to one side of a near thing it leaves a shadow, about as wide as the disparity step.
    step = focal * .075 * (1 / depth[:, 1:] - 1 / depth[:, :-1])
    shadow = np.zeros(depth.shape, bool)
    for k in range(1, max(2, int(w / 32))):
        shadow[:, :-k] |= step[:, k - 1:] > max(k, .6)
    soft = cv2.resize(rng.random((max(2, h // 10), max(2, w // 10)), dtype=np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    # Light that grazes a surface, or that a dark one swallows, does not come back.
    lost = rng.random(depth.shape) < .02 + .25 * edge + 3 * np.maximum(.16 - incidence, 0) + .9 * np.maximum(.015 - reflectance, 0) / .015
    patch = soft > 1.02 - .06 * (depth > 4) - .12 * (reflectance < .012)
    sensed[shadow | lost & (soft > .35) | patch | (depth < .35) | (depth > 8)] = 0
    return sensed.astype(np.float32)


def generate_room(seed, index, size=(128, 128)):
    """Scene ``index`` of ``seed`` as an RGB-D camera records it.

    Args:
        seed (int): Of the data set.
        index (int): Of the scene; test scenes count from :data:`TEST_OFFSET`. A scene depends on (seed, index, size) alone.
        size (tuple): Height and width in pixels.

    Returns:
        dict: ``rgb`` (H, W, 3) uint8; ``depth`` (H, W) float32 metres, 0 where missing; ``label`` (H, W) uint8, 0 void and then
        :data:`CLASSES` from 1; ``intrinsics`` (fx, fy, cx, cy) in pixels, where the first pixel has centre (1, 1).
    """
    scene = make_scene(seed, index, size)
    picture = render(scene)
    rng = np.random.default_rng([int(seed), int(index), 1])
    return dict(
        rgb=_expose(rng, picture['rgb'], scene.grade),
        depth=_sense_depth(rng, picture['depth'], picture['incidence'], picture['reflectance'], scene.camera.intrinsics[0]),
        label=picture['label'],
        intrinsics=scene.camera.intrinsics)

"""Furniture of a few primitives each, in the shapes that are typical of its class.

Every builder returns a list of primitives in its own frame: metres, y up from the floor, centred on x and z, its back at +z and its
front at -z; :func:`place` turns it and puts it into the room.
"""
import numpy as np

from .raycast import BOX, CYLINDER, ELLIPSOID, Primitive, rotation
from .textures import Material, hsv

#: Label ids: 0 is void (ceiling, pictures, windows, lamps, clutter); the rest are the first classes of SUN-RGBD, in its order.
CLASSES = ('wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table')
VOID, WALL, FLOOR, CABINET, BED, CHAIR, SOFA, TABLE = range(8)

#: How often a surface has the look that is typical of its kind; otherwise any look at all, so that colour alone does not tell.
TYPICAL = .85

# Typical looks: (patterns, hue range, saturation range, value range, size range in metres, largest gloss).
_LOOKS = {
    'paint': (('plain', 'plain', 'plain', 'stripes', 'bricks', 'dots'), (0, 1), (0, .25), (.65, .98), (.1, .5), 0),
    'ground': (('planks', 'planks', 'tiles', 'weave', 'blotches', 'checker'), (.02, .15), (.1, .6), (.3, .8), (.1, .4), .35),
    'wood': (('wood', 'wood', 'wood', 'plain'), (.04, .11), (.25, .7), (.25, .85), (.1, .3), .3),
    'fabric': (('weave', 'plain', 'stripes', 'plaid', 'blotches'), (0, 1), (.1, .8), (.25, .85), (.03, .15), 0),
    'linen': (('plain', 'plain', 'stripes', 'plaid', 'dots', 'weave'), (0, 1), (0, .5), (.6, 1), (.05, .25), 0),
    'metal': (('plain', ), (0, 1), (0, .1), (.15, .75), (.3, .6), .6),
    'leaf': (('blotches', 'weave'), (.22, .4), (.4, .9), (.2, .6), (.04, .1), .1),
}


def material(rng, look):
    """A random :class:`Material` of the kind that is typical of ``look``, or (one time in seven) of any kind."""
    if rng.random() > TYPICAL:
        look = rng.choice(list(_LOOKS))
    patterns, hue, saturation, value, scale, gloss = _LOOKS[look]
    first = np.array([rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value)])
    second = first + [rng.normal(0, .03), rng.normal(0, .12), rng.choice([-1, 1]) * rng.uniform(.08, .3)]
    second[1:] = np.clip(second[1:], 0, 1)
    return Material(str(rng.choice(patterns)), hsv(*first), hsv(*second), rng.uniform(*scale), rng.uniform(0, gloss) if gloss else 0.,
                    int(rng.integers(1 << 20)))


def _box(x, y, z, label, surface, pitch=0., yaw=0.):
    """A box from (low, high) along each axis."""
    centre = np.array([sum(x) / 2, sum(y) / 2, sum(z) / 2])
    half = np.array([x[1] - x[0], y[1] - y[0], z[1] - z[0]]) / 2
    return Primitive(BOX, centre, np.maximum(half, .002), label, surface, rotation(yaw, pitch))


def _pole(x, z, y, radius, label, surface):
    return Primitive(CYLINDER, np.array([x, sum(y) / 2, z]), np.array([radius, (y[1] - y[0]) / 2, radius]), label, surface)


def _legs(x, z, height, half, label, surface):
    """Four square legs centred at plus and minus (x, z)."""
    return [_box((i * x - half, i * x + half), (0, height), (j * z - half, j * z + half), label, surface) for i in (-1, 1) for j in (-1, 1)]


def _ball(centre, half, label, surface, yaw=0.):
    return Primitive(ELLIPSOID, np.asarray(centre, float), np.asarray(half, float), label, surface, rotation(yaw))


def bed(rng):
    """A frame, a mattress, a headboard, pillows and a blanket."""
    w, d = rng.choice([.9, 1.2, 1.5, 1.8]) / 2, rng.uniform(1.9, 2.1) / 2
    base, top = rng.uniform(.15, .3), rng.uniform(.42, .62)
    frame, sheet, cover = material(rng, 'wood'), material(rng, 'linen'), material(rng, 'linen')
    parts = [_box((-w, w), (.06, base), (-d, d), BED, frame),
             _box((-w + .02, w - .02), (base, top), (-d + .02, d - .03), BED, sheet)]
    if rng.random() < .85:
        parts.append(_box((-w - .02, w + .02), (0, top + rng.uniform(.25, .65)), (d - .03, d + .03), BED, frame))
    if rng.random() < .3:
        parts.append(_box((-w - .02, w + .02), (0, top + .1), (-d - .03, -d + .02), BED, frame))
    if rng.random() < .8:
        end = rng.uniform(-.1, .5) * d
        parts.append(_box((-w - .015, w + .015), (base + rng.uniform(-.05, .1), top + .04), (-d + .01, end), BED, cover))
    count = 1 if w < .55 else 2
    pillow = material(rng, 'linen')
    for i in range(count):
        x = 0 if count == 1 else (i - .5) * w
        parts.append(_ball((x, top + .05, d - .3), (min(w * .8, .36), .09, .22), BED, pillow, rng.normal(0, .1)))
    return parts


def sofa(rng):
    """A seat, a leaning back, two arms and cushions."""
    w, d = rng.uniform(1.2, 2.3) / 2, rng.uniform(.8, 1.) / 2
    seat, back, arm = rng.uniform(.36, .46), rng.uniform(.7, .95), rng.uniform(.1, .22)
    surface, other = material(rng, 'fabric'), material(rng, 'fabric')
    depth = rng.uniform(.15, .25)
    parts = [_box((-w, w), (.05, seat - .1), (-d, d), SOFA, surface),
             _box((-w, w), (seat - .1, back), (d - depth, d), SOFA, surface, pitch=rng.uniform(0, .15))]
    height = seat + rng.uniform(.1, .25)
    for side in (-1, 1):
        parts.append(_box(sorted((side * w, side * (w - arm))), (.05, height), (-d, d), SOFA, surface))
    count = max(1, int(round((w - arm) / .35)))
    edges = np.linspace(-w + arm, w - arm, count + 1)
    for a, b in zip(edges[:-1], edges[1:]):
        parts.append(_box((a + .01, b - .01), (seat - .1, seat + .02), (-d - .02, d - depth), SOFA, surface))
        if rng.random() < .35:
            parts.append(_ball(((a + b) / 2, seat + .2, d - depth - .08), (.2, .18, .09), SOFA, other, rng.normal(0, .3)))
    return parts


def chair(rng):
    """A seat on four legs or a column, with a back and perhaps arms."""
    w, seat, back = rng.uniform(.38, .5) / 2, rng.uniform(.42, .48), rng.uniform(.78, 1.05)
    frame, cushion = material(rng, rng.choice(['wood', 'metal'])), material(rng, rng.choice(['fabric', 'wood']))
    parts = [_box((-w, w), (seat - .05, seat), (-w, w), CHAIR, cushion)]
    if rng.random() < .35:
        parts.append(_pole(0, 0, (.06, seat - .05), .03, CHAIR, frame))
        for i in range(3):
            parts.append(_box((-.28, .28), (.03, .07), (-.025, .025), CHAIR, frame, yaw=i * np.pi / 3))
    else:
        thick = rng.uniform(.015, .025)
        parts += _legs(w - thick, w - thick, seat, thick, CHAIR, frame)
    if rng.random() < .5:
        parts.append(_box((-w, w), (seat + rng.uniform(0, .15), back), (w - .04, w), CHAIR, cushion, pitch=rng.uniform(0, .12)))
    else:
        for x in np.linspace(-w + .02, w - .02, int(rng.integers(2, 5))):
            parts.append(_box((x - .02, x + .02), (seat, back), (w - .03, w), CHAIR, frame))
        parts.append(_box((-w, w), (back - .12, back), (w - .035, w + .005), CHAIR, frame))
    if rng.random() < .3:
        for x in (-1, 1):
            parts.append(_box(sorted((x * w, x * (w + .04))), (seat + .18, seat + .22), (-w * .6, w), CHAIR, frame))
            parts.append(_box(sorted((x * w, x * (w + .04))), (seat - .05, seat + .2), (-w * .6, -w * .6 + .04), CHAIR, frame))
    return parts


def table(rng, low=False):
    """A rectangular top on legs, panels or a frame, or a round one on a column; ``low`` makes a coffee table."""
    height = rng.uniform(.35, .5) if low else rng.uniform(.7, .78)
    surface = material(rng, 'wood')
    legs = surface if rng.random() < .5 else material(rng, 'metal')
    thick = rng.uniform(.025, .06)
    if rng.random() < .3:
        radius = rng.uniform(.3, .45) if low else rng.uniform(.4, .65)
        return [_pole(0, 0, (height - thick, height), radius, TABLE, surface), _pole(0, 0, (.02, height), .05, TABLE, legs),
                _pole(0, 0, (0, .04), radius * .6, TABLE, legs)]
    w = rng.uniform(.4, .65) if low else rng.uniform(.5, .95)
    d = w * rng.uniform(.5, .7) if low else rng.uniform(.32, .48)
    parts = [_box((-w, w), (height - thick, height), (-d, d), TABLE, surface)]
    if rng.random() < .35:
        for x in (-1, 1):
            parts.append(_box(sorted((x * (w - .03), x * w)), (0, height), (-d, d), TABLE, legs))
        parts.append(_box((-w, w), (height * .4, height), (d - .04, d - .02), TABLE, legs))
    else:
        parts += _legs(w - .06, d - .06, height, rng.uniform(.02, .04), TABLE, legs)
    return parts


def cabinet(rng):
    """A wardrobe, a chest of drawers, a sideboard or a night stand, with fronts that stand out and handles."""
    kind = rng.choice(['wardrobe', 'chest', 'sideboard', 'stand'], p=[.35, .3, .2, .15])
    w, h, d, columns, rows = {
        'wardrobe': (rng.uniform(.8, 1.9), rng.uniform(1.7, 2.2), rng.uniform(.45, .62), int(rng.integers(2, 5)), 1),
        'chest': (rng.uniform(.6, 1.2), rng.uniform(.75, 1.15), rng.uniform(.4, .5), int(rng.integers(1, 3)), int(rng.integers(3, 6))),
        'sideboard': (rng.uniform(1.2, 2.), rng.uniform(.45, .85), rng.uniform(.35, .5), int(rng.integers(2, 5)), int(rng.integers(1, 3))),
        'stand': (rng.uniform(.4, .55), rng.uniform(.45, .6), rng.uniform(.35, .45), 1, int(rng.integers(1, 4))),
    }[kind]
    w, d = w / 2, d / 2
    body, front, metal = material(rng, 'wood'), material(rng, 'wood'), material(rng, 'metal')
    front = body if rng.random() < .6 else front
    parts = [_box((-w, w), (0, h), (-d + .02, d), CABINET, body)]
    xs, ys = np.linspace(-w, w, columns + 1), np.linspace(.05, h - .02, rows + 1)
    for a, b in zip(xs[:-1], xs[1:]):
        for low, high in zip(ys[:-1], ys[1:]):
            parts.append(_box((a + .012, b - .012), (low + .012, high - .012), (-d, -d + .03), CABINET, front))
            middle = (low + high) / 2
            if rows == 1:
                x = b - .06 if rng.random() < .5 else a + .06
                parts.append(_box((x - .01, x + .01), (middle - .07, middle + .07), (-d - .025, -d), CABINET, metal))
            else:
                parts.append(_box(((a + b) / 2 - .06, (a + b) / 2 + .06), (middle - .01, middle + .01), (-d - .025, -d), CABINET, metal))
    return parts


def lamp(rng):
    """A standing lamp (void)."""
    h, metal, shade = rng.uniform(1.3, 1.7), material(rng, 'metal'), material(rng, 'linen')
    return [_pole(0, 0, (0, .03), .14, VOID, metal), _pole(0, 0, (0, h), .015, VOID, metal), _pole(0, 0, (h - .25, h), .18, VOID, shade)]


def plant(rng):
    """A pot with leaves (void)."""
    pot, leaf = material(rng, 'paint'), material(rng, 'leaf')
    h = rng.uniform(.2, .35)
    parts = [_pole(0, 0, (0, h), rng.uniform(.1, .18), VOID, pot)]
    for _ in range(int(rng.integers(3, 7))):
        parts.append(_ball((rng.normal(0, .12), h + rng.uniform(.05, .7), rng.normal(0, .12)), rng.uniform(.06, .2, 3), VOID, leaf,
                           rng.uniform(0, 3)))
    return parts


def clutter(rng):
    """Something small: boxes, a ball, books, a vase, a screen (void)."""
    kind, surface = int(rng.integers(5)), material(rng, 'fabric')
    s = rng.uniform(.08, .2)
    if kind == 0:
        return [_box((-s, s), (0, s), (-s * .8, s * .8), VOID, surface)]
    if kind == 1:
        return [_ball((0, s * .7, 0), (s * .7, ) * 3, VOID, surface)]
    if kind == 2:
        return [_box((-.1, .1), (i * .03, i * .03 + .028), (-.07, .07), VOID, material(rng, 'fabric'), yaw=rng.normal(0, .3))
                for i in range(int(rng.integers(1, 5)))]
    if kind == 3:
        return [_pole(0, 0, (0, .12), s * .4, VOID, surface), _ball((0, .16, 0), (s * .6, .1, s * .6), VOID, surface)]
    return [_box((-.28, .28), (.08, .42), (-.02, .01), VOID, material(rng, 'metal')), _pole(0, 0, (0, .1), .04, VOID, surface)]


def place(parts, x, z, yaw, y=0.):
    """Turn ``parts`` by ``yaw`` radians about the vertical through their origin and move it to (x, y, z), in place."""
    turn = rotation(yaw)
    for part in parts:
        part.centre = turn @ part.centre + [x, y, z]
        part.rotation = turn @ part.rotation
    return parts


def extent(parts):
    """Low and high corners (2, 3) of the axis-aligned box around ``parts``."""
    corners = np.concatenate([part.corners() for part in parts], 1)
    return np.stack([corners.min(1), corners.max(1)])

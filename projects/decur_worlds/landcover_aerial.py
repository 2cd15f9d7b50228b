"""A landscape at 1 m as an aerial image, an elevation model and land-cover labels, with houses, streets, railways and single trees.

Colour alone does not separate a grey roof from a car park, nor a canopy from a meadow in the shade; height does. Height alone does not
separate a road from a field, nor water from a runway; colour does.
"""
import numpy as np

from .landcover import COVERS, FORESTS, INDEX, Landscape, cells, fbm, mix, unit

#: Classes of GeoNRW that lie on top of the cover.
RAILWAY, HIGHWAY, AIRPORT, ROAD, BUILDING = 6, 7, 8, 9, 10
_COLOURS = dict(
    water=(38, 58, 62), wetland=(86, 98, 62), sand=(200, 186, 152), bare=(158, 138, 110), broadleaf=(58, 80, 42), conifer=(44, 62, 42),
    mixed=(50, 70, 42), heath=(112, 110, 72), pasture=(96, 122, 62), crops=(120, 118, 70), rice=(100, 115, 70), vineyard=(116, 112, 74),
    residential=(104, 114, 78), industrial=(148, 146, 140))
_ROOFS = np.array([(150, 82, 62), (132, 70, 56), (110, 106, 104), (74, 70, 70), (184, 180, 174), (146, 144, 140)], np.float32)
_FIELDS = np.array([(166, 150, 96), (92, 122, 58), (136, 110, 84), (112, 128, 66), (186, 172, 120)], np.float32)


def _boxes(x, y, angle, step, key, inset):
    """Rectangles in a turned grid of ``step`` metres: mask, id, and the distance inside the rectangle from its long sides."""
    u = (x * np.cos(angle) + y * np.sin(angle)) / step[0]
    v = (-x * np.sin(angle) + y * np.cos(angle)) / step[1]
    iu, iv = np.floor(u), np.floor(v)
    iu32, iv32 = (i.astype(np.int64).astype(np.uint32) for i in (iu, iv))
    name = mix(iu32 * np.uint32(2654435761) ^ iv32 * np.uint32(40503) ^ key)
    half_u = step[0] * (.5 - inset - .12 * unit(name, 1))
    half_v = step[1] * (.5 - inset - .12 * unit(name, 2))
    du, dv = half_u - np.abs(u - iu - .5) * step[0], half_v - np.abs(v - iv - .5) * step[1]
    return (du > 0) & (dv > 0), name, np.minimum(du, dv)


def _band(x, y, rng, size):
    """Signed distance (metres) to a gently bent line through the scene."""
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-.25, .25) * size
    cx, cy = x - x.mean(), y - y.mean()
    along, across = cx * np.cos(angle) + cy * np.sin(angle), -cx * np.sin(angle) + cy * np.cos(angle)
    return across - offset - .06 * size * np.sin(along / size * 3 + rng.uniform(0, 6)), along


def sense_aerial(landscape: Landscape) -> dict:
    """Orthophoto, elevation and labels.

    Args:
        landscape (Landscape): At about 1 m.

    Returns:
        dict: ``rgb`` ``(H, W, 3)`` uint8; ``dem`` ``(H, W)`` float32, height of the surface in metres; ``seg`` ``(H, W)`` uint8, classes
        of GeoNRW 1 to 10, 0 background.
    """
    rng = np.random.default_rng([landscape.seed, 1])
    x, y, cover, parcel, pixel = landscape.x, landscape.y, landscape.cover, landscape.parcel, landscape.pixel
    shape, salt = cover.shape, landscape.seed
    seg = np.array([c.geonrw for c in COVERS], np.uint8)[cover]
    colour = np.array([_COLOURS[c.name] for c in COVERS], np.float32)[cover]
    height = np.zeros(shape, np.float32)
    angle = np.pi * unit(parcel, 40)
    water, residential, industrial = (cover == INDEX[name] for name in ('water', 'residential', 'industrial'))

    # Fields: a colour each, and rows.
    field = np.isin(cover, (INDEX['crops'], INDEX['rice'], INDEX['vineyard']))
    tone = _FIELDS[(unit(parcel, 41) * len(_FIELDS)).astype(int)]
    colour = np.where(field[..., None], tone, colour)
    rows = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / (2.5 + 4 * unit(parcel, 42)))
    shade = 1 + .07 * rows * field + .1 * landscape.texture * ~water
    height += field * .8 * unit(parcel, 43)

    # Canopies: cells of 7 m, each a dome; single trees in gardens and meadows.
    forest = np.isin(cover, FORESTS)
    tree, _, _, rim = cells(x, y, 7., salt + 50)
    alone = unit(tree, 51) < .16 * residential + .012 * (cover == INDEX['pasture']) + .06 * (cover == INDEX['heath'])
    dome = np.sqrt(np.clip(rim / 3., 0, 1))
    crown = (forest | alone) & (rim > .4)
    grown = 9 * unit(parcel, 52) + 9
    height = np.where(crown, (np.where(forest, grown, 6.) + 4 * unit(tree, 53)) * (.55 + .45 * dome), height)
    leaves = np.where((unit(tree, 54) < .5)[..., None], np.float32((50, 74, 40)), np.float32((66, 88, 46)))
    colour = np.where((crown & alone & ~forest)[..., None], leaves, colour)
    shade += crown * (.25 * unit(tree, 55) - .12)

    # Houses and halls along the parcel's own direction, away from the streets.
    roof_shade = np.zeros(shape, np.float32)
    for where, step, tall, inset in ((residential, (24., 19.), (5., 6.), .14), (industrial, (75., 52.), (7., 9.), .1)):
        box, name, inside = _boxes(x, y, angle, step, parcel, inset)
        box &= where & (landscape.edge > 7) & (unit(name, 3) < .85) & ~forest
        eaves = tall[0] + tall[1] * unit(name, 4)
        gable = np.clip(inside, 0, 5) * .7 if where is residential else 0
        height = np.where(box, eaves + gable, height)
        roofs = (_ROOFS[:4] if where is residential else _ROOFS[2:])[(unit(name, 5) * 4 * .9999).astype(int)]
        colour = np.where(box[..., None], roofs, colour)
        roof_shade = np.where(box, .12 * (unit(name, 6) - .5), roof_shade)
        seg[box] = BUILDING
    shade += roof_shade

    # Streets along the borders of built parcels, lanes through the country.
    street = (residential | industrial) & (landscape.edge < 4)
    wx = x + 60 * (fbm(x, y, 300., salt + 56, 2) - .5)
    _, _, _, lane = cells(wx, y, 420., salt + 57)
    street |= (lane < 3.) & ~water
    grey = np.float32((112, 112, 114))
    colour = np.where(street[..., None], grey, colour)
    height[street] = 0
    seg[street] = ROAD
    size = max(shape) * pixel
    for chance, half, kind, tint in ((.3, 13., HIGHWAY, (126, 125, 124)), (.25, 6., RAILWAY, (118, 104, 92)),
                                     (.08, 90., AIRPORT, (132, 138, 112))):
        drawn = rng.random() < chance
        across, along = _band(x, y, rng, size)
        if not drawn:
            continue
        mask = np.abs(across) < half
        seg[mask] = kind
        height[mask] = 0
        paint = np.broadcast_to(np.float32(tint), (*shape, 3)).copy()
        if kind == HIGHWAY:
            paint[(np.abs(across) < 1.5)] = (98, 110, 72)
            paint[(np.abs(np.abs(across) - 6) < .4) & (along % 12 < 5)] = 225
        elif kind == RAILWAY:
            paint[np.abs(np.abs(across) % 3. - 1.5) < .5] = (150, 146, 144)
        else:
            paint[np.abs(across) < 22] = (138, 138, 138)
            paint[(np.abs(across) < 1) & (along % 40 < 20)] = 230
        colour = np.where(mask[..., None], paint, colour)

    # The terrain under it, measured to a decimetre; light and cast shadows from the south.
    rough = np.where(crown, .35, .06).astype(np.float32)
    dem = (landscape.terrain + height + rough * rng.standard_normal(shape, np.float32)).astype(np.float32)
    surface = landscape.terrain + height
    gy, gx = np.gradient(surface, pixel)
    sun, low = np.deg2rad(rng.uniform(140, 220)), np.tan(np.deg2rad(rng.uniform(38, 58)))
    toward = np.sin(sun), np.cos(sun)
    shade *= np.clip(1 + .28 * (np.clip(gx, -1, 1) * -toward[0] + np.clip(gy, -1, 1) * toward[1]), .6, 1.3)
    cast = np.zeros(shape, bool)
    for k in range(1, 15):
        far = k * 1.6
        step = round(-far * toward[0] / pixel), round(far * toward[1] / pixel)
        cast |= np.roll(surface, step[::-1], (0, 1)) - far * low > surface + .3
    shade *= np.where(cast, .45, 1.)
    colour = colour * shade[..., None] * rng.normal(1, .07) * rng.normal(1, .02, 3) + 3.5 * rng.standard_normal((*shape, 3), np.float32)
    return dict(rgb=np.clip(np.rint(colour), 0, 255).astype(np.uint8), dem=dem, seg=seg)

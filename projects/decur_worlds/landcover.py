"""A procedural landscape of land cover, which several sensors observe.

A landscape is made of parcels (cells of a warped Voronoi diagram). Smooth fields (elevation, urbanity, moisture) decide what a parcel
is, so that neighbouring parcels fit: water fills the lowest ground, beaches and marshes lie along it, towns are compact, forests cover the
higher ground, and fields the rest. :mod:`decur_worlds.landcover_sensors` simulates the sensors, and
:mod:`decur_worlds.landcover_layouts` writes the files of the public data sets.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from decur.errors import ConfigError, check_choice

from .textures import noise


class Cover(NamedTuple):
    """A kind of land cover: its CORINE names of BigEarthNet (inland, at the coast), CORINE codes, and class in GeoNRW (0 background)."""

    name: str
    inland: str
    coast: str
    codes: tuple
    geonrw: int


COVERS = (
    Cover('water', 'Water bodies', 'Sea and ocean', (512, 523), 2),
    Cover('wetland', 'Inland marshes', 'Salt marshes', (411, 421), 5),
    Cover('sand', 'Beaches, dunes, sands', 'Beaches, dunes, sands', (331, 331), 0),
    Cover('bare', 'Mineral extraction sites', 'Mineral extraction sites', (131, 131), 0),
    Cover('broadleaf', 'Broad-leaved forest', 'Broad-leaved forest', (311, 311), 1),
    Cover('conifer', 'Coniferous forest', 'Coniferous forest', (312, 312), 1),
    Cover('mixed', 'Mixed forest', 'Mixed forest', (313, 313), 1),
    Cover('heath', 'Moors and heathland', 'Moors and heathland', (322, 322), 5),
    Cover('pasture', 'Pastures', 'Pastures', (231, 231), 5),
    Cover('crops', 'Non-irrigated arable land', 'Non-irrigated arable land', (211, 211), 3),
    Cover('rice', 'Rice fields', 'Rice fields', (213, 213), 3),
    Cover('vineyard', 'Vineyards', 'Vineyards', (221, 221), 3),
    Cover('residential', 'Discontinuous urban fabric', 'Discontinuous urban fabric', (112, 112), 4),
    Cover('industrial', 'Industrial or commercial units', 'Industrial or commercial units', (121, 121), 4),
)
NAMES = tuple(cover.name for cover in COVERS)
INDEX = {name: i for i, name in enumerate(NAMES)}
BUILT = (INDEX['residential'], INDEX['industrial'])
FORESTS = (INDEX['broadleaf'], INDEX['conifer'], INDEX['mixed'])
#: The share of a scene from which a cover is one of its labels.
LABEL_SHARE = 0.02

#: Mean shares of water, built, forest and the rest; what the rest is; the share of conifers; whether water is the sea.
BIOMES = dict(
    farmland=dict(shares=(.02, .06, .17, .75), rest=dict(crops=.65, pasture=.25, bare=.05, vineyard=.05), conifer=.3, coast=False),
    pastures=dict(shares=(.03, .06, .25, .66), rest=dict(pasture=.7, crops=.15, heath=.15), conifer=.4, coast=False),
    forest=dict(shares=(.04, .02, .75, .19), rest=dict(heath=.5, pasture=.4, crops=.1), conifer=.6, coast=False),
    coast=dict(shares=(.45, .1, .1, .35), rest=dict(wetland=.3, heath=.2, crops=.3, pasture=.2), conifer=.5, coast=True),
    lakes=dict(shares=(.25, .03, .42, .3), rest=dict(wetland=.55, pasture=.25, heath=.2), conifer=.7, coast=False),
    town=dict(shares=(.04, .6, .1, .26), rest=dict(crops=.5, pasture=.35, bare=.15), conifer=.2, coast=False),
    vineyards=dict(shares=(.02, .12, .16, .7), rest=dict(vineyard=.65, crops=.25, bare=.1), conifer=.2, coast=False),
    delta=dict(shares=(.12, .06, .07, .75), rest=dict(rice=.7, crops=.2, wetland=.1), conifer=.1, coast=True),
    hills=dict(shares=(.01, .01, .4, .58), rest=dict(heath=.6, bare=.2, pasture=.2), conifer=.8, coast=False),
    desert=dict(shares=(.01, .05, .0, .94), rest=dict(sand=.6, bare=.35, heath=.05), conifer=.0, coast=False),
)
#: How often a scene is of each biome: in Europe (BigEarthNet, GeoNRW) and around the world's cities (SSL4EO-S12).
REGIONS = dict(
    europe=dict(farmland=.22, pastures=.14, forest=.17, coast=.1, lakes=.08, town=.1, vineyards=.08, delta=.05, hills=.06, desert=0),
    world=dict(farmland=.2, pastures=.1, forest=.13, coast=.1, lakes=.05, town=.16, vineyards=.06, delta=.07, hills=.05, desert=.08),
    ruhr=dict(farmland=.34, pastures=.16, forest=.2, coast=0, lakes=.06, town=.24, vineyards=0, delta=0, hills=0, desert=0))


@dataclass
class Landscape:
    """A landscape on a grid of pixels, north up.

    Attributes:
        cover (ndarray): ``(H, W)`` uint8, index into :data:`COVERS`.
        parcel (ndarray): ``(H, W)`` uint32, a random number for each parcel.
        edge (ndarray): ``(H, W)`` float32, distance to the parcel's border, metres (about).
        terrain (ndarray): ``(H, W)`` float32, height of the bare ground, metres.
        texture (ndarray): ``(H, W)`` float32, variation within a cover, mean 0, within -1..1.
        x (ndarray), y (ndarray): ``(H, W)`` float64, metres to the east and to the south.
        pixel (float): Side of a pixel, metres.
        biome (str): One of :data:`BIOMES`.
        seed (int): Of all later draws for this landscape.
    """

    cover: np.ndarray
    parcel: np.ndarray
    edge: np.ndarray
    terrain: np.ndarray
    texture: np.ndarray
    x: np.ndarray
    y: np.ndarray
    pixel: float
    biome: str
    seed: int

    @property
    def coast(self) -> bool:
        """Whether the water is the sea."""
        return BIOMES[self.biome]['coast']

    def shares(self) -> np.ndarray:
        """Share of each cover, ``(len(COVERS),)``."""
        return np.bincount(self.cover.ravel(), minlength=len(COVERS)) / self.cover.size

    def labels(self) -> list:
        """Names of BigEarthNet's 43 classes of the covers that take at least :data:`LABEL_SHARE` of the scene."""
        chosen = np.flatnonzero(self.shares() >= LABEL_SHARE)
        return [COVERS[i].coast if self.coast else COVERS[i].inland for i in chosen]


def fbm(x, y, wavelength, seed, octaves=3):
    """Smooth noise in 0..1 around 0.5 with detail at ``octaves`` scales; ``x``, ``y`` and ``wavelength`` in metres."""
    total, weight = np.zeros(np.broadcast(x, y).shape, np.float32), 0.
    for i in range(octaves):
        share = .5**i
        total += share * noise(x * 2**i / wavelength + 17.3 * i, y * 2**i / wavelength - 9.1 * i, seed + 31 * i)
        weight += share
    return total / weight


def mix(n):
    """A hash of uint32 ``n``, uint32."""
    n = np.asarray(n, np.uint32)
    n = (n ^ (n >> np.uint32(16))) * np.uint32(0x7feb352d)
    n = (n ^ (n >> np.uint32(15))) * np.uint32(0x846ca68b)
    return n ^ (n >> np.uint32(16))


def unit(n, salt=0):
    """A hash of uint32 ``n`` and ``salt``, uniform float32 in 0..1."""
    return (mix(np.asarray(n, np.uint32) + np.uint32((salt * 0x9e3779b9) & 0xffffffff)) >> np.uint32(8)).astype(np.float32) / (1 << 24)


def cells(x, y, size, seed, jitter=.8):
    """Voronoi cells of a jittered grid.

    Returns:
        tuple[ndarray]: Id (uint32), the site's ``x`` and ``y``, and the distance to the border, all in the units of ``x``.
    """
    u, v = x / size, y / size
    iu, iv = np.floor(u), np.floor(v)
    best = np.full(u.shape, np.inf, np.float32)
    second = best.copy()
    name = np.zeros(u.shape, np.uint32)
    site_x, site_y = np.zeros(u.shape, np.float32), np.zeros(u.shape, np.float32)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            ci, cj = iu + di, iv + dj
            key = mix(ci.astype(np.int64).astype(np.uint32) * np.uint32(73856093) ^ cj.astype(np.int64).astype(np.uint32) *
                      np.uint32(19349663) ^ np.uint32(seed & 0xffffffff))
            sx, sy = ci + .5 + jitter * (unit(key, 1) - .5), cj + .5 + jitter * (unit(key, 2) - .5)
            distance = np.hypot(u - sx, v - sy).astype(np.float32)
            nearer = distance < best
            second = np.where(nearer, best, np.minimum(second, distance))
            best = np.where(nearer, distance, best)
            name = np.where(nearer, key, name)
            site_x, site_y = np.where(nearer, sx, site_x), np.where(nearer, sy, site_y)
    return name, site_x * size, site_y * size, (second - best) * np.float32(size / 2)


def _quantile_mask(values, where, share):
    """The part of ``where`` with the highest ``values`` that makes up ``share`` of all pixels."""
    wanted, inside = share * where.size, int(where.sum())
    if wanted < 1 or not inside:
        return np.zeros_like(where)
    level = np.quantile(values[where], max(0., 1 - wanted / inside))
    return where & (values >= level)


def make_landscape(seed: int, index: int, size, pixel: float = 10., region: str = 'europe', parcel: float | None = None) -> Landscape:
    """Make the landscape ``index`` of a world.

    Args:
        seed (int), index (int): The landscape depends on these and on the arguments below alone.
        size (int | tuple[int]): Height and width, pixels.
        pixel (float): Side of a pixel, metres. Defaults to 10.
        region (str): One of :data:`REGIONS`. Defaults to ``'europe'``.
        parcel (float, optional): Typical side of a parcel, metres. Defaults to 240 at 10 m and 130 at 1 m.

    Raises:
        ConfigError: If the region is unknown or the size is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    check_choice('region', region, REGIONS)
    if min(height, width) < 8:
        raise ConfigError(f'a landscape needs at least 8 pixels a side, got {height} x {width}.')
    rng = np.random.default_rng([seed, index, 0])
    parcel = parcel or (240. if pixel >= 5 else 130.)
    names = list(REGIONS[region])
    weights = np.array([REGIONS[region][n] for n in names])
    biome = names[rng.choice(len(names), p=weights / weights.sum())]
    spec = BIOMES[biome]
    salt = int(rng.integers(1 << 30))
    origin = rng.uniform(0, 1e5, 2)
    y, x = np.mgrid[:height, :width]
    x, y = (x + .5) * pixel + origin[0], (y + .5) * pixel + origin[1]

    # Borders wander by a tenth of a parcel.
    bend = parcel * .35
    wx = x + bend * (fbm(x, y, parcel, salt + 1, 2) - .5)
    wy = y + bend * (fbm(x, y, parcel, salt + 2, 2) - .5)
    name, *site, edge = cells(wx, wy, parcel, salt + 3)
    site = [place.astype(np.float64) for place in site]

    relief = rng.gamma(2., 12.) * (3. if biome == 'hills' else 1.)
    elevation = fbm(x, y, 1800., salt + 4, 4)
    at_site = fbm(*site, 1800., salt + 4, 4)
    urbanity = fbm(*site, 1300., salt + 5, 2) + .12 * unit(name, 5)
    woods = fbm(*site, 900., salt + 6, 2) + .5 * (at_site - .5) + .15 * unit(name, 6)

    # Shares around the biome's means; what is small is dropped, so scenes differ in what they have at all.
    shares = rng.gamma(np.maximum(np.array(spec['shares']) * 5, 1e-3))
    shares /= shares.sum()
    shares[shares < .025] = 0
    cover = np.full((height, width), 255, np.uint8)
    free = np.ones_like(cover, bool)

    water = _quantile_mask(-elevation, free, shares[0])
    level = elevation[water].max() if water.any() else -1.
    free &= ~water
    cover[water] = INDEX['water']
    if water.any():
        shore = free & (elevation < level + .025) if spec['coast'] else np.zeros_like(free)
        cover[shore] = INDEX['sand']
        free &= ~shore
    town = _quantile_mask(urbanity, free, shares[1])
    works = town & ((unit(name, 7) < .22) | (fbm(*site, 700., salt + 7, 1) > .72))
    cover[town] = INDEX['residential']
    cover[works] = INDEX['industrial']
    free &= ~town
    forest = _quantile_mask(woods, free, shares[2])
    kind = fbm(*site, 700., salt + 8, 1) * .6 + .4 * unit(name, 8)
    cut = spec['conifer'] * .7 + .15
    cover[forest] = INDEX['broadleaf']
    cover[forest & (kind < cut)] = INDEX['conifer']
    cover[forest & (np.abs(kind - cut) < .07)] = INDEX['mixed']
    free &= ~forest
    # The rest by weight; some of it drops out, and marshes keep to the lowest ground.
    rest = {key: value * rng.gamma(1.5) for key, value in spec['rest'].items()}
    total = sum(rest.values())
    rest = {key: value / total for key, value in rest.items() if value / total > .06}
    total = sum(rest.values())
    for key, value in rest.items():
        if key == 'wetland':
            low = _quantile_mask(-at_site, free, value / total * free.mean())
            cover[low] = INDEX['wetland']
            free &= ~low
    others = [key for key in rest if key != 'wetland'] or ['pasture']
    bounds = np.cumsum([rest.get(key, 1.) for key in others])
    chosen = np.searchsorted(bounds / bounds[-1], unit(name, 9) * .999999, side='right')
    cover[free] = np.array([INDEX[key] for key in others], np.uint8)[chosen[free]]

    terrain = (relief * 2 * elevation + rng.uniform(0, 300)).astype(np.float32)
    if water.any():
        terrain = np.where(water, np.float32(terrain[water].max()), terrain)
    texture = (2 * fbm(x, y, 6 * pixel, salt + 10, 3) - 1).astype(np.float32)
    return Landscape(cover, name, edge, terrain, texture, x, y, float(pixel), biome, salt)

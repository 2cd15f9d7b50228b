"""Simulated Sentinel-2 and Sentinel-1 images of a landscape.

Each sensor misses something. The optical image has clouds, haze and seasons; the radar image has speckle, and depends on the viewing side
and on slopes. Marsh and pasture, bare soil and fallow fields, or dry fields and sand have similar optical spectra and different backscatter
(double bounce at flooded plants and walls); coniferous and broad-leaved forest, or water and sand, have similar backscatter and different
spectra.
"""
import cv2
import numpy as np

from decur.sensors import S2A_BANDS, S2C_BANDS

from .landcover import BUILT, COVERS, FORESTS, INDEX, Landscape, fbm, unit

SEASONS = ('spring', 'summer', 'autumn', 'winter')
#: Native resolution of each band, metres.
RESOLUTION = {band: 10 if band in ('B2', 'B3', 'B4', 'B8') else 60 if band in ('B1', 'B9', 'B10') else 20 for band in S2C_BANDS}

#: Reflectance (times 10,000) of pure materials in the twelve bands of L2A.
_MATERIALS = dict(
    green=(250, 300, 650, 350, 1000, 2900, 3700, 3900, 4100, 4200, 1900, 900),
    needles=(180, 220, 420, 260, 620, 1500, 1900, 2000, 2150, 2250, 950, 420),
    dry=(600, 750, 1100, 1400, 1750, 2100, 2300, 2500, 2700, 2800, 3300, 2400),
    soil=(800, 950, 1300, 1700, 1950, 2150, 2350, 2500, 2700, 2800, 3400, 2900),
    sand=(1700, 2100, 2700, 3200, 3400, 3500, 3600, 3800, 3900, 3900, 4700, 4300),
    water=(450, 400, 350, 200, 180, 120, 110, 100, 90, 90, 50, 30),
    roof=(1300, 1500, 1700, 1800, 1900, 2000, 2100, 2200, 2250, 2300, 2400, 2200),
    metal=(2000, 2300, 2500, 2600, 2700, 2750, 2800, 2900, 2900, 2900, 2700, 2500),
    asphalt=(750, 850, 950, 1000, 1050, 1100, 1150, 1200, 1200, 1250, 1350, 1250),
    snow=(8200, 8300, 8100, 7900, 7800, 7700, 7600, 7400, 7100, 5500, 900, 600),
    cloud=(6300, 6200, 6000, 6100, 6200, 6300, 6350, 6300, 6400, 6500, 4300, 3300))
#: Composition by cover: what stays, and how green the rest is from spring to winter (the remainder being dry or soil).
_COMPOSITION = dict(
    water=(dict(water=1.), None, None),
    wetland=(dict(water=.12), (.62, .75, .52, .4), 'dry'),
    sand=(dict(sand=1.), None, None),
    bare=(dict(soil=.75, sand=.25), None, None),
    broadleaf=(dict(needles=.1), (.7, .95, .55, .15), 'dry'),
    conifer=(dict(needles=.95, green=.05), None, None),
    mixed=(dict(needles=.5), (.75, .95, .6, .2), 'dry'),
    heath=(dict(needles=.25, soil=.15), (.35, .45, .3, .25), 'dry'),
    pasture=(dict(soil=.05), (.75, .7, .55, .42), 'dry'),
    crops=(dict(), (.6, .6, .2, .25), 'soil'),
    rice=(dict(water=.1), (.25, .8, .35, .2), 'soil'),
    vineyard=(dict(soil=.35), (.4, .7, .45, .1), 'soil'),
    residential=(dict(roof=.4, asphalt=.25), (.7, .75, .5, .3), 'dry'),
    industrial=(dict(metal=.5, roof=.2, asphalt=.25), (.7, .6, .5, .3), 'soil'))
#: How much greenness differs between parcels of a cover.
_PARCELS = dict(crops=.75, rice=.3, pasture=.25, vineyard=.25, heath=.2, wetland=.2, broadleaf=.1, mixed=.1, residential=.15)
#: Backscatter of VV and VH in dB from spring to winter (one value: all year).
_BACKSCATTER = dict(
    water=((-21.5, ), (-28.5, )),
    wetland=((-9., -9.5, -8.5, -8.), (-18.5, -17.5, -18.5, -20.)),
    sand=((-19.5, ), (-27., )),
    bare=((-14.5, ), (-22.5, )),
    broadleaf=((-10.5, -10., -10.5, -11.), (-16.8, -15.8, -16.5, -17.5)),
    conifer=((-10.6, ), (-16.6, )),
    mixed=((-10.5, ), (-16.5, )),
    heath=((-12.8, ), (-19.3, )),
    pasture=((-13.5, -14., -13.5, -13.), (-20.5, -21., -20.8, -21.5)),
    crops=((-12.5, -12., -13.5, -13.), (-20., -18.5, -21.5, -22.)),
    rice=((-18., -9.5, -12.5, -13.), (-25., -17.5, -20.5, -22.)),
    vineyard=((-10.8, ), (-18.8, )),
    residential=((-7.5, ), (-14.8, )),
    industrial=((-3.5, ), (-12.5, )))
#: What the atmosphere adds to and leaves of L2A for L1C: path (times 10,000) and transmission, in the twelve bands.
_PATH = np.array((1000, 740, 430, 260, 230, 190, 160, 130, 120, 60, 20, 10), np.float32)
_TRANSMISSION = np.array((.78, .82, .86, .9, .91, .93, .94, .94, .95, .34, .96, .95), np.float32)
#: Equivalent number of looks of a ground-range detected product.
LOOKS = 4.4


def _spectra(season: int) -> tuple:
    """Mean spectrum of each cover, ``(covers, 12)``, and what one unit of greenness changes in it."""
    materials = {name: np.array(values, np.float32) for name, values in _MATERIALS.items()}
    means, slopes = np.zeros((len(COVERS), 12), np.float32), np.zeros((len(COVERS), 12), np.float32)
    for i, cover in enumerate(COVERS):
        fixed, green, other = _COMPOSITION[cover.name]
        means[i] = sum(share * materials[name] for name, share in fixed.items()) if fixed else 0
        if green:
            rest = 1 - sum(fixed.values())
            means[i] += rest * (green[season] * materials['green'] + (1 - green[season]) * materials[other])
            slopes[i] = rest * (materials['green'] - materials[other])
    return means, slopes


def cloud_cover(landscape: Landscape, rng, probability: float) -> np.ndarray:
    """Opacity of clouds, ``(H, W)`` in 0..1; zero in a scene without."""
    if rng.random() >= probability:
        return np.zeros(landscape.cover.shape, np.float32)
    wavelength, salt = rng.uniform(400, 1500), int(rng.integers(1 << 30))
    field = fbm(landscape.x, landscape.y, wavelength, salt, 4)
    level = np.quantile(field, 1 - rng.beta(1.2, 1.5))
    return np.clip((field - level) / .12, 0, 1) * rng.uniform(.6, 1)


def sense_optical(landscape: Landscape, season: int, rng, clouds: float = .25, snow: bool = False) -> dict:
    """One acquisition by Sentinel-2.

    Args:
        landscape (Landscape): At 10 m.
        season (int): Index into :data:`SEASONS`.
        rng (numpy.random.Generator): Draws clouds, haze, illumination and noise.
        clouds (float): Probability that there are clouds.
        snow (bool): Whether the ground is covered with snow.

    Returns:
        dict: ``l2a`` ``{band: (h, w) uint16}`` (12 bands), ``l1c`` (13 bands), each at its native resolution, and ``cloud``, the covered
        share of the scene.
    """
    cover, texture = landscape.cover, landscape.texture
    means, slopes = _spectra(season)
    vary = np.array([_PARCELS.get(c.name, 0) for c in COVERS], np.float32)[cover]
    vigour = vary * (unit(landscape.parcel, 20 + season) - .5) * 2 + .12 * texture
    green = np.array([(_COMPOSITION[c.name][1] or (0, ) * 4)[season] for c in COVERS], np.float32)[cover]
    vigour = np.clip(vigour, -green, 1 - green)
    # Mixed pixels: built land varies most.
    grain = np.where(np.isin(cover, BUILT), .3, np.where(cover == INDEX['water'], .03, .1)).astype(np.float32)
    grain *= .6 * texture + .4 * rng.standard_normal(cover.shape, np.float32)
    shade = 1 + grain + .12 * (unit(landscape.parcel, 11) - .5) * (cover != INDEX['water'])
    gy, gx = np.gradient(landscape.terrain + object_heights(landscape), landscape.pixel)
    sun = np.deg2rad(135 + 25 * rng.standard_normal())
    low = (.45, .3, .5, .7)[season]
    shade = shade * np.clip(1 + low * (gx * np.sin(sun) - gy * np.cos(sun)), .45, 1.35)
    light = rng.normal((1., 1.03, .97, .92)[season], .05)
    surface = np.empty((12, *cover.shape), np.float32)
    white = np.clip(.75 + .8 * texture, 0, 1) * np.where(np.isin(cover, FORESTS), .35, cover != INDEX['water']) if snow else None
    for band in range(12):
        plane = means[:, band][cover] + slopes[:, band][cover] * vigour
        if snow:
            plane = plane + white * (_MATERIALS['snow'][band] - plane)
        surface[band] = plane * shade * light
    cloud = cloud_cover(landscape, rng, clouds)
    if cloud.any():
        shift = int(rng.integers(8, 30))
        shadow = cv2.GaussianBlur(np.roll(cloud, (-shift, -shift // 2), (0, 1)), (0, 0), 2)
        surface *= 1 - .55 * shadow
    haze = rng.gamma(4., .25)
    l1c = surface * _TRANSMISSION[:, None, None] + (_PATH * haze)[:, None, None]
    white = np.array(_MATERIALS['cloud'], np.float32)[:, None, None] * (1 + .1 * texture)
    surface += cloud * (white - surface)
    l1c += cloud * (white * _TRANSMISSION[:, None, None] + .5 * _PATH[:, None, None] - l1c)
    cirrus = (rng.gamma(2., 6.) + 350 * cloud * rng.random() * cloud)[None]
    l2a_bands = dict(zip(S2A_BANDS, surface))
    l1c_bands = dict(zip(S2A_BANDS, l1c), B10=np.broadcast_to(cirrus, (1, *cover.shape))[0])
    return dict(
        l2a={band: _native(plane, RESOLUTION[band], landscape.pixel, rng) for band, plane in l2a_bands.items()},
        l1c={band: _native(l1c_bands[band], RESOLUTION[band], landscape.pixel, rng, 4 if band == 'B10' else 18) for band in S2C_BANDS},
        cloud=float((cloud > .3).mean()))


def _native(plane, resolution, pixel, rng, sigma=18):
    """Average to the band's resolution, add the sensor's noise, quantise."""
    step = round(resolution / pixel)
    height, width = plane.shape
    plane = plane.reshape(height // step, step, width // step, step).mean(axis=(1, 3)) if step > 1 else plane
    noisy = plane + sigma * rng.standard_normal(plane.shape, np.float32) / step**.5
    return np.clip(np.rint(noisy), 1, 65535).astype(np.uint16)


def object_heights(landscape: Landscape) -> np.ndarray:
    """Mean height of trees and buildings above the ground at 10 m, ``(H, W)`` float32, metres."""
    cover = landscape.cover
    bump = np.clip(.5 + landscape.texture, 0, 1)
    heights = np.zeros(cover.shape, np.float32)
    heights[np.isin(cover, FORESTS)] = 14
    heights += 6 * bump * np.isin(cover, FORESTS)
    heights += 7 * bump * (cover == INDEX['residential']) + 12 * (bump > .5) * (cover == INDEX['industrial'])
    return heights + 1.5 * (cover == INDEX['vineyard'])


def sense_radar(landscape: Landscape, season: int, rng) -> dict:
    """One acquisition by Sentinel-1: ``{'VV': (H, W), 'VH': (H, W)}`` float32, dB.

    Multiplicative gamma speckle of :data:`LOOKS` looks; slopes facing the sensor and the near edges of tall things are bright, their far
    edges dark; walls reflect twice, most where the streets run along the track; wind roughens water, rain wets soil.
    """
    cover = landscape.cover
    side = 1. if rng.random() < .5 else -1.
    relief = landscape.terrain + .5 * object_heights(landscape)
    slope = np.clip(side * np.gradient(relief, landscape.pixel, axis=1), -.8, .8)
    wind, wet = rng.normal(0, 2.), rng.normal(0, .9)
    built = np.isin(cover, BUILT)
    streets = np.cos(2 * np.pi * unit(landscape.parcel, 12))**8
    corner = built * (4.5 * streets - 1. + 9. * (rng.random(cover.shape, np.float32) > .97))
    vary = np.array([_PARCELS.get(c.name, 0) for c in COVERS], np.float32)[cover]
    field = 5. * vary * (unit(landscape.parcel, 30 + season) - .5) * ~built
    out = {}
    for band in (0, 1):
        table = np.array([values[band][season % len(values[band])] for values in (_BACKSCATTER[c.name] for c in COVERS)], np.float32)
        level = table[cover] + 1.2 * landscape.texture + field + corner * (1, .7)[band]
        level += 5. * slope + wind * (cover == INDEX['water']) + wet * ~np.isin(cover, (INDEX['water'], *BUILT))
        power = 10**(level / 10) * rng.gamma(LOOKS, 1 / LOOKS, cover.shape) + 10**-3.6  # the noise floor
        out[('VV', 'VH')[band]] = (10 * np.log10(power)).astype(np.float32)
    return out

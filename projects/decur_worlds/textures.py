"""Procedural surface colours: functions of surface coordinates in metres, whatever the resolution of the image."""
from dataclasses import dataclass

import numpy as np


@dataclass
class Material:
    """A pattern of two sRGB colours, ``first`` and ``second``, (3, ) in 0..1, with period ``scale`` in metres.

    ``gloss`` (0..1) is the share of the light that is reflected specularly; ``seed`` is that of the pattern's irregularities.
    """
    kind: str
    first: np.ndarray
    second: np.ndarray
    scale: float = .3
    gloss: float = 0.
    seed: int = 0

    def albedo(self, u, v, footprint):
        """sRGB colours (3, n) at surface coordinates ``u``, ``v`` (n, ); ``footprint`` (n, ) is a pixel's size there, metres.

        Detail finer than a pixel fades into its mean instead of aliasing.
        """
        weight, shade = _PATTERNS[self.kind](u / self.scale, v / self.scale, footprint / self.scale, self.seed)
        first, second = (np.asarray(c, np.float32)[:, None] for c in (self.first, self.second))
        return np.clip((first + (second - first) * weight) * shade, 0, 1)


def hsv(hue, saturation, value):
    """An sRGB colour (3, ) of hue, saturation and value in 0..1."""
    i = np.array([5., 3., 1.]) + (hue % 1) * 6
    k = i % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


def _hash(i, j, seed):
    """Uniform numbers in 0..1 for integer lattice points."""
    n = (i.astype(np.int64) * 374761393 + j.astype(np.int64) * 668265263 + seed * 144665).astype(np.uint32)
    n = (n ^ (n >> np.uint32(13))) * np.uint32(1274126177)
    return ((n ^ (n >> np.uint32(16))) & np.uint32(0xffff)).astype(np.float32) / 65535


def noise(u, v, seed):
    """Smooth noise in 0..1 whose lattice has spacing 1."""
    i, j = np.floor(u), np.floor(v)
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    top = _hash(i, j, seed) * (1 - a) + _hash(i + 1, j, seed) * a
    bottom = _hash(i, j + 1, seed) * (1 - a) + _hash(i + 1, j + 1, seed) * a
    return top * (1 - b) + bottom * b


def _fade(footprint, size):
    return np.clip(size / (2 * footprint + 1e-9) - .25, 0, 1)


def _square(x, footprint):
    """0 or 1 by halves of the unit, fading to 1/2 where too fine to see."""
    return .5 + (((x % 1) < .5) - .5) * _fade(footprint, .5)


def _line(x, width, footprint):
    """1 in a joint around integers."""
    return (np.abs(x - np.rint(x)) < np.maximum(width, footprint * .5)) * _fade(footprint, .4)


def _plain(u, v, footprint, seed):
    return .3 * noise(u * .7, v * .7, seed), 1.


def _wood(u, v, footprint, seed):
    grain = noise(u * .6 + 3 * noise(u * .4, v * 1.5, seed), v * 12, seed + 1)
    return .5 + (grain - .5) * _fade(footprint, .1) * 1.2 + .2 * (noise(u, v, seed + 2) - .5), 1.


def _planks(u, v, footprint, seed):
    row = np.floor(v)
    along = u / 6 + _hash(row, row * 0, seed)
    tone = _hash(row, np.floor(along), seed + 1)
    weight, _ = _wood(u, v, footprint, seed)
    joint = np.maximum(_line(v, .03, footprint), _line(along, .004, footprint))
    return .6 * weight + .6 * tone - .1, 1 - .5 * joint


def _tiles(u, v, footprint, seed):
    tone = _hash(np.floor(u), np.floor(v), seed)
    joint = np.maximum(_line(u, .025, footprint), _line(v, .025, footprint))
    return np.maximum(.25 * tone, joint), 1.


def _bricks(u, v, footprint, seed):
    row = np.floor(v * 3)
    shifted = u + .5 * (row % 2)
    joint = np.maximum(_line(shifted, .03, footprint), _line(v * 3, .08, footprint * 3))
    return np.maximum(.4 * _hash(np.floor(shifted), row, seed), joint), 1.


def _checker(u, v, footprint, seed):
    a, b = _square(u / 2, footprint / 2), _square(v / 2, footprint / 2)
    return a * (1 - b) + b * (1 - a), 1.


def _stripes(u, v, footprint, seed):
    return _square(u, footprint), 1.


def _plaid(u, v, footprint, seed):
    return .5 * _square(u, footprint) + .5 * _square(v, footprint), 1 - .15 * _line(u * 2 + .5, .06, footprint * 2)


def _dots(u, v, footprint, seed):
    a, b = (u % 1) - .5, (v % 1) - .5
    return .2 + ((a * a + b * b < .07) - .2) * _fade(footprint, .4), 1.


def _weave(u, v, footprint, seed):
    return .5 + (noise(u * 8, v * 8, seed) - .5) * _fade(footprint, .12) + .3 * (noise(u, v, seed + 1) - .5), 1.


def _blotches(u, v, footprint, seed):
    n = .6 * noise(u, v, seed) + .4 * noise(u * 2.3, v * 2.3, seed + 1)
    return .5 + (n - .5) * 2 * _fade(footprint, .5), 1.


_PATTERNS = {'plain': _plain, 'wood': _wood, 'planks': _planks, 'tiles': _tiles, 'bricks': _bricks, 'checker': _checker,
             'stripes': _stripes, 'plaid': _plaid, 'dots': _dots, 'weave': _weave, 'blotches': _blotches}

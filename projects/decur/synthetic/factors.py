"""Controlled factors: multimodal data whose shared and private information is known, since it is drawn.

There are two generators. :class:`LinearGaussianWorld` mixes Gaussian factors linearly, so that what a method can find is known in closed
form. :class:`RenderedWorld` draws images of a shape on a textured background. In both, every factor is shown by a set of modalities: all of
them (shared), some (a pair), or one (private); its value is stored with every sample.

Pure NumPy; :mod:`decur.synthetic.factors_dataset` makes data sets of it.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from decur.errors import ConfigError


@dataclass(frozen=True)
class FactorSpec:
    """What a factor is.

    Attributes:
        name: such as ``shape`` or ``colour_sar``.
        kind: ``categorical`` (classes from 0), ``continuous`` (numbers), ``periodic`` (angles in radians).
        modalities: those that show it.
        size: number of classes of a categorical factor, length of the vector of a continuous one.
    """

    name: str
    kind: str
    modalities: tuple
    size: int = 1

    def role(self, all_modalities: Sequence) -> str:
        """``shared`` by all of these modalities, shown by some (``partial``), or ``private`` to one."""
        if len(self.modalities) == len(tuple(all_modalities)):
            return 'shared'
        return 'private' if len(self.modalities) == 1 else 'partial'


# ------------------------------------------------------------------------------------------------ linear, Gaussian
class LinearGaussianWorld:
    r"""``x_m = A_m [factors that m shows] + noise``, all Gaussian.

    Factors are independent standard normal vectors: one shared by all modalities, one per pair, one private to each modality. ``A_m`` has
    orthonormal columns, so every factor coordinate carries the same variance and a linear encoder can separate all of them.

    Args:
        channels: {modality: D}, length of its observation.
        shared: length of the factor shared by all modalities.
        private: length of the private factor of each modality.
        pair: length of the factor of each pair (three or more modalities).
        noise: standard deviation of the noise per coordinate; a factor coordinate has 1 along its column.
        world_seed: of the mixing matrices.

    Raises:
        ConfigError: If a modality has fewer channels than factor coordinates.
    """

    def __init__(self, channels: Mapping[str, int], shared: int = 4, private: int = 4, pair: int = 0, noise: float = 0.1,
                 world_seed: int = 0):
        self.channels, self.noise = dict(channels), float(noise)
        names = list(self.channels)
        specs = [FactorSpec('shared', 'continuous', tuple(names), shared)]
        if pair and len(names) > 2:
            specs += [FactorSpec('_'.join(('pair', *two)), 'continuous', two, pair) for two in combinations(names, 2)]
        specs += [FactorSpec(f'private_{name}', 'continuous', (name, ), private) for name in names]
        self.factors = {spec.name: spec for spec in specs if spec.size}
        rng = np.random.default_rng(world_seed)
        #: {modality: (D, factor coordinates)}
        self.mixing = {}
        for name, dim in self.channels.items():
            wanted = sum(spec.size for spec in self.factors.values() if name in spec.modalities)
            if wanted > dim:
                raise ConfigError(f'modality {name!r} has {dim} channels for {wanted} factor coordinates: give it at least {wanted}.')
            self.mixing[name] = np.linalg.qr(rng.normal(size=(dim, wanted)))[0]

    def sample(self, num: int, seed: int = 0) -> tuple[dict, dict]:
        """Draw samples.

        Args:
            num: N.
            seed: of this draw; the world itself stays the same.

        Returns:
            tuple: ``{modality: (N, D) float32}`` and ``{factor: (N, size) float32}``.
        """
        rng = np.random.default_rng(seed)
        values = {name: rng.normal(size=(num, spec.size)) for name, spec in self.factors.items()}
        observed = {}
        for name, mixing in self.mixing.items():
            seen = np.concatenate([values[f] for f, spec in self.factors.items() if name in spec.modalities], axis=1)
            observed[name] = (seen @ mixing.T + self.noise * rng.normal(size=(num, len(mixing)))).astype(np.float32)
        return observed, {name: value.astype(np.float32) for name, value in values.items()}


# ------------------------------------------------------------------------------------------------ rendered
#: What a picture varies in: (kind, number of classes or length).
ATTRIBUTES = dict(
    shape=('categorical', 6),  # of the object
    colour=('categorical', 6),  # of the object
    texture=('categorical', 6),  # of the ground
    orientation=('periodic', 1),  # direction in which the ground grows brighter
    position=('continuous', 2),  # centre (x, y) of the object, in half image sizes
    size=('continuous', 1),  # radius of the object, in half image sizes
)
#: Of each shape a function that is 1 on its border, less inside and more outside: of the coordinates u and v, in units of the radius, and
#: their distance rho from the centre.
SHAPES = dict(
    disk=lambda u, v, rho: rho,
    square=lambda u, v, rho: np.maximum(np.abs(u), np.abs(v)) * 1.2,
    triangle=lambda u, v, rho: np.maximum(np.maximum(v, -0.5 * v + np.sqrt(3) / 2 * u), -0.5 * v - np.sqrt(3) / 2 * u) * 1.8,
    star=lambda u, v, rho: rho / (0.72 + 0.32 * np.cos(5 * np.arctan2(u, -v))),
    cross=lambda u, v, rho: np.minimum(np.maximum(np.abs(u), np.abs(v) * 3), np.maximum(np.abs(u) * 3, np.abs(v))),
    ring=lambda u, v, rho: 1 + (np.abs(rho - 0.75) - 0.25))
_WAVE = 4 * np.pi
#: Of each texture a pattern with values in [-1, 1] on the pixel grid, x (1, W) and y (H, 1) in [-1, 1].
TEXTURES = dict(
    plain=lambda x, y: 0 * x,
    rows=lambda x, y: np.sin(_WAVE * y),
    columns=lambda x, y: np.sin(_WAVE * x),
    checker=lambda x, y: np.sign(np.sin(_WAVE * x) * np.sin(_WAVE * y)),
    dots=lambda x, y: 2 * ((np.cos(_WAVE * x) + np.cos(_WAVE * y)) > 1.1) - 1.0,
    rings=lambda x, y: np.sin(_WAVE * np.sqrt(x * x + y * y)))
#: How a modality shows the object: a filled area, its border, or a height that falls off from the centre.
STYLES = ('fill', 'outline', 'relief')
POSITION_RANGE, SIZE_RANGE = 0.35, (0.35, 0.6)


class RenderedWorld:
    """Images of one object on a textured background, in two or more modalities.

    Args:
        channels: {modality: C}.
        factors: {attribute: groups of modalities}; within a group the modalities show the same draw of the attribute. The
            groups of ``dict(shape=[('a', 'b')], colour=[('a',), ('b',)])`` make shape shared, and colour private to each modality. A factor
            is named after its attribute, followed by the group's modalities where the attribute has several groups. A modality that is in
            no group of an attribute shows its neutral value (a disk in the middle, ...).
        styles: {modality: one of :data:`STYLES`}; by default in turn.
        image_size: height and width in pixels.

    Raises:
        ConfigError: On an unknown attribute, modality or style, or a modality in two groups of one attribute.
    """

    def __init__(self, channels: Mapping[str, int], factors: Mapping[str, Sequence], styles: Mapping[str, str] | None = None,
                 image_size: int = 32):
        self.channels, self.image_size = dict(channels), int(image_size)
        self.styles = {name: STYLES[i % len(STYLES)] for i, name in enumerate(self.channels)}
        self.styles.update(styles or {})
        for name, style in self.styles.items():
            if name not in self.channels or style not in STYLES:
                raise ConfigError(f'style {style!r} of modality {name!r}: modalities are {list(self.channels)}, styles {STYLES}.')
        self.factors, self._source = {}, {}
        for attribute, groups in factors.items():
            if attribute not in ATTRIBUTES:
                raise ConfigError(f'unknown attribute {attribute!r}: pictures vary in {list(ATTRIBUTES)}.')
            kind, size = ATTRIBUTES[attribute]
            for group in groups or ():
                group = (group, ) if isinstance(group, str) else tuple(group)
                name = attribute if len(groups) == 1 and len(group) == len(self.channels) else '_'.join((attribute, *group))
                self.factors[name] = FactorSpec(name, kind, group, size)
                for modality in group:
                    if modality not in self.channels:
                        raise ConfigError(f'{attribute} names modality {modality!r}: this world has {list(self.channels)}.')
                    if (attribute, modality) in self._source:
                        raise ConfigError(f'{attribute} gives modality {modality!r} to two groups: {groups}.')
                    self._source[attribute, modality] = name
        if not self.factors:
            raise ConfigError('factors is empty: say which modalities share what, for example dict(shape=[("a", "b")]).')
        self.palettes = {name: _palette(ATTRIBUTES['colour'][1], c, i) for i, (name, c) in enumerate(self.channels.items())}

    def sample(self, num: int, seed: int = 0) -> tuple[dict, dict]:
        """Images (:meth:`render`) and their factors (:meth:`sample_factors`)."""
        values = self.sample_factors(num, seed)
        return self.render(values), values

    def sample_factors(self, num: int, seed: int = 0) -> dict:
        """Draw factor values, independent and uniform.

        Returns:
            dict: {factor: (N,) int64 for classes, (N,) or (N, size) float32 else}.
        """
        rng = np.random.default_rng(seed)
        values = {}
        for name, spec in self.factors.items():
            attribute = name.split('_')[0]
            if spec.kind == 'categorical':
                values[name] = rng.integers(0, spec.size, num)
            elif spec.kind == 'periodic':
                values[name] = rng.uniform(0, 2 * np.pi, num).astype(np.float32)
            else:
                low, high = SIZE_RANGE if attribute == 'size' else (-POSITION_RANGE, POSITION_RANGE)
                values[name] = rng.uniform(low, high, (num, spec.size)).astype(np.float32)
        return values

    def render(self, values: Mapping[str, np.ndarray], chunk: int = 512) -> dict:
        """Draw the images of factor values.

        Args:
            values: as from :meth:`sample_factors`, N samples.
            chunk: images drawn at a time.

        Returns:
            dict: {modality: (N, H, W, C) float32 in [0, 1]}. The same values give the same images; noise is added by the
            augmentation.
        """
        num = len(next(iter(values.values())))
        out = {}
        for modality, channels in self.channels.items():
            pictures = np.empty((num, self.image_size, self.image_size, channels), np.float32)
            for start in range(0, num, chunk):
                part = slice(start, min(start + chunk, num))
                shown = {a: np.asarray(values[self._source[a, modality]])[part] for a in ATTRIBUTES if (a, modality) in self._source}
                pictures[part] = self._draw(modality, part.stop - part.start, shown)
            out[modality] = pictures
        return out

    def _draw(self, modality: str, num: int, shown: Mapping) -> np.ndarray:
        """One chunk of one modality, (n, H, W, C)."""
        axis = ((np.arange(self.image_size) + 0.5) / self.image_size * 2 - 1).astype(np.float32)
        x, y = axis[None, None, :], axis[None, :, None]
        centre = shown.get('position', np.zeros((num, 2), np.float32))
        radius = np.asarray(shown.get('size', np.full(num, np.mean(SIZE_RANGE), np.float32))).reshape(num, 1, 1)
        shape = shown.get('shape', np.zeros(num, np.int64))
        colour = self.palettes[modality][shown.get('colour', np.zeros(num, np.int64))]  # (n, C)
        texture = shown.get('texture', np.zeros(num, np.int64))

        u, v = (x - centre[:, 0, None, None]) / radius, (y - centre[:, 1, None, None]) / radius
        gauge = np.empty((num, self.image_size, self.image_size), np.float32)
        for k, of_shape in enumerate(SHAPES.values()):
            chosen = shape == k
            gauge[chosen] = of_shape(u[chosen], v[chosen], np.sqrt(u[chosen] * u[chosen] + v[chosen] * v[chosen]))
        # Soft edges of about a pixel: distance to the border in pixels is about (1 - gauge) * radius * half the image.
        pixels = radius * self.image_size / 2
        inside = np.clip((1 - gauge) * pixels + 0.5, 0, 1)
        style = self.styles[modality]
        if style == 'outline':
            inside = inside * np.clip((gauge - 1) * pixels + 2.5, 0, 1)
        elif style == 'relief':
            inside = inside * np.clip(1.15 - 0.6 * gauge, 0.4, 1)

        ground = np.full((num, self.image_size, self.image_size), 0.5, np.float32)
        for k, pattern in enumerate(TEXTURES.values()):
            ground[texture == k] += 0.12 * pattern(x[0], y[0])
        if 'orientation' in shown:
            angle = np.asarray(shown['orientation']).reshape(num, 1, 1)
            ground += 0.12 * (np.cos(angle) * x + np.sin(angle) * y)
        inside = inside[..., None]
        return inside * colour[:, None, None, :] + (1 - inside) * ground[..., None]


def _palette(num: int, channels: int, modality: int) -> np.ndarray:
    """(num, C) colours in [0, 1], far from each other, each channel at least 0.25 away from the ground's 0.5."""
    rng = np.random.default_rng(modality)
    t = rng.uniform(size=(512, channels))
    candidates = np.where(t < 0.5, 0.05 + 0.4 * t, 0.55 + 0.4 * t)
    chosen = [candidates[0]]
    while len(chosen) < num:  # farthest point next
        distance = np.linalg.norm(candidates[:, None] - np.array(chosen)[None], axis=-1).min(1)
        chosen.append(candidates[distance.argmax()])
    return np.array(chosen, dtype=np.float32)

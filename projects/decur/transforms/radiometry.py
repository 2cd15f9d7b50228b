"""Conversion of raw values to the 8 bits of remote-sensing pretraining (supplement B.1 and B.2).

Each class is a step of a modality entry's ``radiometry`` and is applied right after reading: a callable ``(H, W, C) -> (H, W, C)``. Where
pixels are missing the image is a masked array: they are left out of every statistic and stay missing. What the steps return is planar
in memory (a transposed ``(C, H, W)`` array). The published recipes are

* optical: ``[dict(type='ToEightBit', statistics='ssl4eo_s2c')]``
* SAR: ``[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_s1')]``
* L2A optical for a 13-band network: ``[dict(type='ToEightBit', statistics='bigearthnet_s2'), dict(type='InsertEmptyBand')]``
* elevation: ``[dict(type='PercentilesToEightBit')]``
"""
from collections.abc import Sequence

import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers.missing import equals, join, mask, split
from decur.sensors import STATISTICS, band_name

#: The offset of 1000 is a floor under all values (noise of dark pixels falls a little below it); clouds and cirrus only add to them.
OFFSET_FLOOR = 900.


def _planes(image: np.ndarray) -> tuple:
    """``(H, W, C)`` as contiguous planes ``(C, H, W)``, checked, and where values are missing, ``(C, H, W)`` bool or None."""
    if image.ndim != 3 or image.size == 0:
        raise DataError(f'an image must have shape (H, W, C) and pixels, got {image.shape}.')
    values, missing = split(image)
    return np.ascontiguousarray(values.transpose(2, 0, 1)), None if missing is None else missing.transpose(2, 0, 1)


def _image(planes: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
    """The inverse of :func:`_planes`."""
    return mask(planes.transpose(1, 2, 0), None if missing is None else missing.transpose(1, 2, 0))


def _valid(plane: np.ndarray, missing: np.ndarray | None, band: int) -> np.ndarray:
    """Where a plane has numbers that are not missing."""
    finite = np.isfinite(plane)
    return finite if missing is None else finite & ~missing[band]


def has_offset(band10: np.ndarray, image: np.ndarray | None = None) -> bool | None:
    """Whether Sentinel-2 values carry the +1000 of processing baseline 04.00 and later (and of SSL4EO-S12 v1.1).

    The reflectance of band 10 (cirrus) is about 0 wherever the sky is clear, so its 5th percentile is above :data:`OFFSET_FLOOR` only if
    the values carry the offset, or under high cloud everywhere; then the other bands decide in the same way. Only valid values
    count: not missing, finite and above 0, which Sentinel-2 has outside of the swath.

    Args:
        band10 (ndarray): Band 10, ``(H, W)``; a masked array where values are missing.
        image (ndarray, optional): All bands, ``(H, W, C)``.

    Returns:
        bool | None: None for a tile without valid values.
    """
    def floor(band):
        values, missing = split(band)
        valid = np.isfinite(values) & (values > 0)
        values = values[valid if missing is None else valid & ~missing]
        return percentiles(values, 5)[0] if values.size else None

    lowest = floor(band10)
    if lowest is None or lowest <= OFFSET_FLOOR or image is None:
        return None if lowest is None else bool(lowest > OFFSET_FLOOR)
    return all(value is None or value > OFFSET_FLOOR for value in (floor(image[..., band]) for band in range(image.shape[2])))


def percentiles(values: np.ndarray, *which: float) -> np.ndarray:
    """``np.percentile(values, which)`` of finite numbers ``(n,)``, to the bit, in a fraction of the time.

    NumPy selects one rank with vector instructions and several at once without them; so each is selected by itself here. An image takes a
    fifth of the time, which is a third of what reading and augmenting a pair of Sentinel images takes.
    """
    found, last = [], len(values) - 1
    for one in which:
        place = last * (one / 100)
        first = int(place)
        part = np.partition(values, first)
        lower = part[first]
        upper = part[first + 1:].min() if first < last else lower
        share, step = place - first, upper - lower if values.dtype.kind == 'f' else int(upper) - int(lower)
        # Counted from the nearer of the two, as NumPy does.
        found.append(lower + np.float64(step) * share if share < 0.5 else upper - np.float64(step) * (1 - share))
    return np.array(found)


@TRANSFORMS.register_module()
class RemoveOffset:
    """Take the offset of processing baseline 04.00 off a Sentinel-2 L1C image, if band 10 shows that it is there.

    ``x - 1000`` for all bands, not below 0, where :func:`has_offset` finds it; else, and for a tile without valid pixels, unchanged. L2A
    images have no band 10 and cannot be told apart this way.

    Args:
        band (int): Index of band 10 (cirrus). Defaults to 10, its place among the 13 bands.
        offset (int): Defaults to 1000.
    """

    #: Its result at a pixel depends on the whole image: for those who cut images.
    over_image = True

    def __init__(self, band: int = 10, offset: int = 1000):
        self.band, self.offset = band, offset

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` to the same shape and type.

        Raises:
            DataError: If the image does not have the band.
        """
        if image.ndim != 3 or image.shape[2] <= self.band:
            raise DataError(f'an image of shape {image.shape} has no band with index {self.band} to tell the offset by: give all 13 bands.')
        if not has_offset(image[..., self.band], image):
            return image
        values, missing = split(image)
        return mask(np.maximum(values, self.offset) - np.asarray(self.offset, values.dtype), missing)


@TRANSFORMS.register_module()
class CutOutliers:
    """Clip every band of every image to its own percentiles: ``clip(x_c, P_low(x_c), P_high(x_c))``.

    "We cut out 2% outliers for each image": 1 % at each end. (The published loader mixes the bands before it takes the percentiles; here
    each band has its own.) The seasons of a location are cut together by stacking them along the height. Missing pixels, and those that
    are not finite, are left out of the percentiles; the latter become the lower one.

    Args:
        share (float): Share of the pixels that is cut, both ends together. Defaults to 0.02.
    """

    #: Its result at a pixel depends on the whole image: for those who cut images.
    over_image = True

    def __init__(self, share: float = 0.02):
        if not 0 <= share < 1:
            raise ConfigError(f'share must be within 0..1, got {share!r}.')
        self.share = share

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` to the same shape and type."""
        planes, missing = _planes(image)
        out = np.empty_like(planes)
        for band, (plane, target) in enumerate(zip(planes, out)):
            finite = np.isfinite(plane)
            values = plane[_valid(plane, missing, band)]
            if not values.size:
                target[...] = 0
                continue
            low, high = percentiles(values, 50 * self.share, 100 - 50 * self.share).astype(plane.dtype)
            np.clip(plane if finite.all() else np.where(finite, plane, low), low, high, out=target)
        return _image(out, missing)


@TRANSFORMS.register_module()
class ToEightBit:
    """Mean plus and minus two standard deviations to 0..255: ``floor(clip((x - (mu - 2 s)) / (4 s) * 255, 0, 255))`` by band.

    Computed in float64; what is not finite becomes 0.

    Args:
        mean (Sequence[float], optional), std (Sequence[float], optional): By band, in the units of the image.
        statistics (str, optional): Id of published statistics instead (:data:`~decur.sensors.STATISTICS`). Those with band 10 are checked
            against the image: values with the offset of SSL4EO-S12 v1.1 and of newer products need statistics with it, and the reverse.
        bands (Sequence[str], optional): Which of the bands of ``statistics`` the images have, in their order. Defaults to all.

    Raises:
        ConfigError: If both or neither are given, the id is unknown, or a band is not among its bands.
    """

    def __init__(self, mean: Sequence | None = None, std: Sequence | None = None, statistics: str | None = None,
                 bands: Sequence[str] | None = None):
        self.id, self.band10 = statistics, None
        if statistics is not None:
            if mean is not None or std is not None:
                raise ConfigError('give mean and std, or statistics, not both.')
            check_choice('statistics', statistics, STATISTICS)
            known, mean, std = STATISTICS[statistics]
            bands = known if bands is None else [band_name(band) for band in bands]
            for band in bands:
                check_choice('bands', band, known)
            mean, std = ([values[known.index(band)] for band in bands] for values in (mean, std))
            self.band10 = bands.index('B10') if 'B10' in bands else None
        elif bands is not None:
            raise ConfigError('bands chooses among those of statistics; give mean and std of the bands that the images have.')
        if mean is None or std is None or len(mean) != len(std):
            raise ConfigError('give mean and std of the same length, or statistics.')
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if not (self.std > 0).all():
            raise ConfigError(f'std must be positive, got {list(std)}.')
        self._tables = {}

    def _scale(self, x: np.ndarray, band: int) -> np.ndarray:
        mean, std = self.mean[band], self.std[band]
        y = (x.astype(np.float64) - (mean - 2 * std)) / (4 * std) * 255.
        return np.clip(np.nan_to_num(y, nan=0., posinf=0., neginf=0.), 0, 255).astype(np.uint8)

    def _table(self, dtype: np.dtype) -> np.ndarray:
        """What each 16-bit value becomes, ``(C, 65536)``, indexed by the value's bits."""
        if dtype not in self._tables:
            values = np.arange(65536, dtype=np.uint16).view(dtype)
            self._tables[dtype] = np.stack([self._scale(values, band) for band in range(len(self.mean))])
        return self._tables[dtype]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` of any numeric type to uint8.

        Raises:
            DataError: If the number of bands differs, or band 10 shows that the statistics are not those of the image.
        """
        planes, missing = _planes(image)
        if len(planes) != len(self.mean):
            known = STATISTICS[self.id].bands if self.id else ''
            raise DataError(f'an image of {len(planes)} bands does not fit statistics of {len(self.mean)} {known}: choose other '
                            'statistics, or the bands in the reader.')
        if self.band10 is not None:
            found = has_offset(image[..., self.band10], image)
            if found and self.mean[self.band10] <= OFFSET_FLOOR:
                raise DataError(f'statistics {self.id!r} do not fit: all bands are above {OFFSET_FLOOR:.0f}, so the values carry an '
                                'offset of 1000 (SSL4EO-S12 v1.1, or processing baseline 04.00 and later). '
                                "Put dict(type='RemoveOffset') first, or for v1.1 use statistics='ssl4eo_v11_s2c'.")
            if self.mean[self.band10] > OFFSET_FLOOR and has_offset(image[..., self.band10]) is False:
                raise DataError(f'statistics {self.id!r} do not fit: they are of values with an offset of 1000 (SSL4EO-S12 v1.1), and band '
                                f"10 has values below {OFFSET_FLOOR:.0f}, as without it. Use statistics='ssl4eo_s2c'.")
        out = np.empty(planes.shape, np.uint8)
        if planes.dtype in (np.uint16, np.int16):
            for table, plane, target in zip(self._table(planes.dtype), planes.view(np.uint16), out):
                np.take(table, plane, out=target)
        else:
            for band, (plane, target) in enumerate(zip(planes, out)):
                target[...] = self._scale(plane, band)
        return _image(out, missing)


@TRANSFORMS.register_module()
class PercentilesToEightBit:
    """Percentiles of each band of each image to 0..255: ``floor((clip(x, P_1, P_99) - P_1) / (P_99 - P_1) * 255)``.

    For elevation, whose absolute height says little. A flat image becomes 0. Missing pixels, those that equal ``nodata`` and those that are
    not finite are left out of the percentiles and become 0; the first two stay missing.

    Args:
        low (float), high (float): Percentiles. Default to 1 and 99.
        nodata (float, optional): A value that means "missing" in images without a mask. Defaults to None.
    """

    #: Its result at a pixel depends on the whole image: for those who cut images.
    over_image = True

    def __init__(self, low: float = 1, high: float = 99, nodata: float | None = None):
        if not 0 <= low < high <= 100:
            raise ConfigError(f'low and high must be percentiles, low < high, got {low!r} and {high!r}.')
        self.low, self.high, self.nodata = low, high, nodata

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` of any numeric type to uint8."""
        planes, missing = _planes(image)
        if self.nodata is not None:
            missing = join(missing, equals(planes, self.nodata))
        out = np.zeros(planes.shape, np.uint8)
        for band, (plane, target) in enumerate(zip(planes, out)):
            valid = _valid(plane, missing, band)
            values = plane[valid].astype(np.float64)
            if not values.size:
                continue
            low, high = percentiles(values, self.low, self.high)
            if high > low:
                target[valid] = (np.clip(values, low, high) - low) / (high - low) * 255
        return _image(out, missing)


@TRANSFORMS.register_module()
class InsertEmptyBand:
    """Insert a band of one value, so that 12 bands of L2A fit a network of 13 (B.2: "we insert one empty band").

    Args:
        index (int): Where. Defaults to 10, the place of band 10.
        value (float): Defaults to 0 (after :class:`ToEightBit`).
    """

    def __init__(self, index: int = 10, value: float = 0):
        self.index, self.value = index, value

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(H, W, C)`` to ``(H, W, C + 1)`` of the same type.

        Raises:
            DataError: If the place is beyond the last band.
        """
        planes, missing = _planes(image)
        if self.index > len(planes):
            raise DataError(f'band {self.index} cannot be inserted into an image of {len(planes)} bands.')
        return _image(np.insert(planes, self.index, self.value, axis=0),
                      None if missing is None else np.insert(missing, self.index, False, axis=0))

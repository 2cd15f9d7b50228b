"""The augmentation of one modality for one view (supplement B.1): crop, jitter, grayscale, blur, solarize, flips.

The published pipelines compute on float64 copies of channel-last images. Here every operation keeps the image's type, saturates instead of
wrapping around, and works on one channel at a time: rasters, the compact store and models all keep channels apart in memory, and OpenCV's
vector instructions are for few channels (``benchmarks/augmentation.py`` has the figures).
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError, check_choice
from decur.resizing import INTERPOLATIONS, resize_plane


def blur_window(sigma: float, eight_bit: bool) -> int:
    """Side of the window that OpenCV chooses for a Gaussian blur: three standard deviations on 8 bit, four on float."""
    return int(round(sigma * (6 if eight_bit else 8) + 1)) | 1


class Geometry(NamedTuple):
    """A crop and flips that fit an image of any size.

    ``y, x, h, w``: the crop's upper left corner and size as shares (0..1) of the image's height and width; ``hflip``, ``vflip``: whether
    the crop is mirrored left-right and upside down.
    """

    y: float
    x: float
    h: float
    w: float
    hflip: bool
    vflip: bool


class Draws(NamedTuple):
    """What was drawn for a view.

    ``geometry``: crop and flips. ``brightness``, ``contrast``: factors of the jitter, or None without. ``gray``, ``solarize``: whether.
    ``sigma``: standard deviation of the blur in pixels of the view, 0 without. ``dropped``: indices of the dropped channels.
    """

    geometry: Geometry
    brightness: float | None = None
    contrast: float | None = None
    gray: bool = False
    sigma: float = 0.
    solarize: bool = False
    dropped: tuple = ()


@TRANSFORMS.register_module()
class ViewAugmentation:
    """Augment one image of one modality. Operations act in the order of the published pipelines, which is that of the arguments.

    A probability may be a pair, one value per view, as asymmetric pipelines need (BYOL, Barlow Twins: ``blur_prob=(1.0, 0.1),
    solarize_prob=(0.0, 0.2)``). A probability of 0 turns an operation off. The defaults suit optical images of any number of channels;
    the published pretraining runs used (all with ``scale=(0.2, 1.0)``, both flips at 0.5)

    ============  ===========  ==============  =========  =============
    modality      jitter_prob  grayscale_prob  blur_prob  solarize_prob
    ============  ===========  ==============  =========  =============
    Sentinel-2    0.8          0.2             0.5        0.2 (of value 0 only: ``solarize_range=(0, 0.001)``)
    Sentinel-1    0            0.2             0.5        0
    aerial RGB    0.8          0.2             0.5        0.2 (the same)
    DEM           0            0               0          0
    ============  ===========  ==============  =========  =============

    and for indoor RGB-D ``scale=(0.5, 1.0), vflip_prob=0``, RGB as above without solarize, HHA with crop and horizontal flip only.

    Args:
        size (int | tuple[int]): Height and width of a view, pixels.
        scale (tuple[float]): Range of the crop's share of the image's area.
        ratio (tuple[float]): Range of the crop's width / height in pixels, drawn uniformly on a log scale.
        brightness (float): Values (above the lower end of their range) are multiplied by a factor from ``max(0, 1 - b) .. 1 + b``.
        contrast (float): Deviations from each channel's mean are multiplied by a factor from ``max(0, 1 - c) .. 1 + c``, the same
            for all channels.
        jitter_prob (float | tuple[float]): Probability of brightness and contrast together.
        grayscale_prob (float | tuple[float]): Probability that every channel becomes the mean of all channels.
        blur_prob (float | tuple[float]): Probability of a Gaussian blur.
        blur_sigma (tuple[float]): Range of its standard deviation, pixels of the view.
        solarize_prob (float | tuple[float]): Probability that values are mirrored in their range.
        solarize_range (tuple[float]): Which values, as shares of the range of values. Defaults to the upper half.
        channel_drop_prob (float | tuple[float]): Probability that some channels are set to the lower end of the range.
        channel_drop (tuple[int]): How many channels then; at least one always stays. Defaults to 1 to 6.
        hflip_prob (float | tuple[float]), vflip_prob (float | tuple[float]): Probabilities of the flips.
        value_range (tuple[float], optional): Lowest and highest value of float images. uint8 always has 0 and 255. Needed for float
            images where a point operation is on; results are clipped to it.
        interpolation (str): ``'nearest'``, ``'bilinear'``, ``'bicubic'`` or ``'area'``. Defaults to ``'bilinear'``, without antialiasing,
            as published.

    Raises:
        ConfigError: If a range or a probability is not valid.
    """

    def __init__(self,
                 size: int | Sequence,
                 scale: Sequence = (0.2, 1.0),
                 ratio: Sequence = (3 / 4, 4 / 3),
                 brightness: float = 0.4,
                 contrast: float = 0.4,
                 jitter_prob: float | Sequence = 0.8,
                 grayscale_prob: float | Sequence = 0.2,
                 blur_prob: float | Sequence = 0.5,
                 blur_sigma: Sequence = (0.1, 2.0),
                 solarize_prob: float | Sequence = 0.0,
                 solarize_range: Sequence = (0.5, 1.0),
                 channel_drop_prob: float | Sequence = 0.0,
                 channel_drop: Sequence = (1, 6),
                 hflip_prob: float | Sequence = 0.5,
                 vflip_prob: float | Sequence = 0.5,
                 value_range: Sequence | None = None,
                 interpolation: str = 'bilinear'):
        self.size = (size, size) if isinstance(size, int) else tuple(int(s) for s in size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ConfigError(f'size must be a positive number of pixels or (height, width), got {size!r}.')
        ranges = dict(scale=(scale, 0, 1), ratio=(ratio, 0, np.inf), blur_sigma=(blur_sigma, 0, np.inf),
                      solarize_range=(solarize_range, 0, 1), channel_drop=(channel_drop, 1, np.inf))
        for key, (value, lowest, highest) in ranges.items():
            if len(value) != 2 or not lowest <= value[0] <= value[1] <= highest:
                raise ConfigError(f'{key} must be (low, high) within {lowest}..{highest}, got {value!r}.')
        if scale[0] <= 0 or ratio[0] <= 0:
            raise ConfigError(f'scale and ratio must be above 0, got {scale!r} and {ratio!r}.')
        if value_range is not None and not value_range[0] < value_range[1]:
            raise ConfigError(f'value_range must be (low, high), got {value_range!r}.')
        if brightness < 0 or contrast < 0:
            raise ConfigError(f'brightness and contrast must not be negative, got {brightness} and {contrast}.')
        self.scale, self.ratio, self.blur_sigma = tuple(scale), tuple(ratio), tuple(blur_sigma)
        self.solarize_range, self.channel_drop = tuple(solarize_range), tuple(int(n) for n in channel_drop)
        self.brightness, self.contrast = brightness, contrast
        self.value_range = None if value_range is None else tuple(float(v) for v in value_range)
        self.interpolation = check_choice('interpolation', interpolation, INTERPOLATIONS)
        probs = dict(jitter=jitter_prob, grayscale=grayscale_prob, blur=blur_prob, solarize=solarize_prob,
                     channel_drop=channel_drop_prob, hflip=hflip_prob, vflip=vflip_prob)
        for name, prob in probs.items():
            values = prob if isinstance(prob, Sequence) else (prob, )
            if len(values) == 0 or any(not 0 <= p <= 1 for p in values):
                raise ConfigError(f'{name}_prob must be within 0..1, or one such value per view, got {prob!r}.')
        self.probs = probs

    def prob(self, name: str, view: int) -> float:
        """Probability of an operation (``'jitter'``, ``'blur'``, ...) in a view, counted from 0.

        Raises:
            ConfigError: If it is given per view and not for this one.
        """
        prob = self.probs[name]
        if not isinstance(prob, Sequence):
            return prob
        if not 0 <= view < len(prob):
            raise ConfigError(f'{name}_prob={tuple(prob)} has no value for view {view}.')
        return prob[view]

    def _chance(self, name: str, view: int) -> bool:
        prob = self.prob(name, view)
        return prob > 0 and np.random.random() < prob

    def sample_geometry(self, aspect: float = 1.0, view: int = 0) -> Geometry:
        """Draw a crop and flips from NumPy's global generator.

        Args:
            aspect (float): Width / height of the image, in pixels. Defaults to 1.
            view (int): For flip probabilities that are given per view. Defaults to 0.

        Returns:
            Geometry: In shares of height and width. If in ten draws no crop fits, the largest central one of an allowed ratio.
        """
        flips = self._chance('hflip', view), self._chance('vflip', view)
        for _ in range(10):
            a, r, y, x = np.random.random(4).tolist()
            area = self.scale[0] + a * (self.scale[1] - self.scale[0])
            ratio = self.ratio[0] * (self.ratio[1] / self.ratio[0])**r
            w, h = math.sqrt(area * ratio / aspect), math.sqrt(area / ratio * aspect)
            if w <= 1 and h <= 1:
                return Geometry(y * (1 - h), x * (1 - w), h, w, *flips)
        ratio = min(max(aspect, self.ratio[0]), self.ratio[1])
        w, h = min(1., ratio / aspect), min(1., aspect / ratio)
        return Geometry((1 - h) / 2, (1 - w) / 2, h, w, *flips)

    def __call__(self, image: np.ndarray, view: int = 0, geometry: Geometry | None = None, missing: np.ndarray | None = None) -> np.ndarray:
        """Augment an image.

        Args:
            image (ndarray): ``(H, W, C)``, uint8 or float32; 16-bit integers become float32. It is not changed. Planar memory (a
                transposed ``(C, H, W)`` array) is fastest.
            view (int): Which view, from 0. Defaults to 0.
            geometry (Geometry, optional): The crop and flips. Defaults to a draw of its own.
            missing (ndarray, optional): ``(H, W, C)`` bool, True where a pixel is missing. They are left out of interpolation, means and
                blur, and keep their value in the view.

        Returns:
            ndarray: ``(height, width, C)``, uint8 or float32. Its memory is planar, so the step to ``(C, height, width)`` is free.

        Raises:
            DataError: If the image is of another type or shape.
            ConfigError: If a float image meets a point operation without ``value_range``.
        """
        if image.ndim != 3 or 0 in image.shape:
            raise DataError(f'an image must have shape (H, W, C) and pixels, got {image.shape}.')
        if image.dtype in (np.uint16, np.int16):
            image = image.astype(np.float32)
        if image.dtype not in (np.uint8, np.float32):
            raise DataError(f'images of type {image.dtype} cannot be augmented, only uint8, float32 and 16-bit integers. Give the modality '
                            "a reader of another type, for example reader=dict(type='RasterioReader', dtype='float32').")
        return self.apply(image, self.draw(image.shape, view, geometry), missing)

    def draw(self, shape: Sequence, view: int = 0, geometry: Geometry | None = None) -> Draws:
        """Draw what is done to an image from NumPy's global generator.

        Args:
            shape (Sequence[int]): Of the image, (H, W, C).
            view (int): Which view, from 0. Defaults to 0.
            geometry (Geometry, optional): The crop and flips. Defaults to a draw.
        """
        height, width, channels = shape
        if geometry is None:
            geometry = self.sample_geometry(width / height, view)
        brightness = contrast = None
        if self._chance('jitter', view):
            brightness = np.random.uniform(max(0., 1 - self.brightness), 1 + self.brightness)
            contrast = np.random.uniform(max(0., 1 - self.contrast), 1 + self.contrast)
        gray = channels > 1 and self._chance('grayscale', view)
        sigma = np.random.uniform(*self.blur_sigma) if self._chance('blur', view) else 0.
        solarize = self._chance('solarize', view)
        dropped = ()
        if channels > 1 and self._chance('channel_drop', view):
            low, high = (min(n, channels - 1) for n in self.channel_drop)
            dropped = tuple(np.random.choice(channels, np.random.randint(low, high + 1), replace=False).tolist())
        return Draws(geometry, brightness, contrast, gray, sigma, solarize, dropped)

    def apply(self, image: np.ndarray, draws: Draws, missing: np.ndarray | None = None) -> np.ndarray:
        """Apply what was drawn to an image; see :meth:`__call__`."""
        channels = image.shape[2]
        planes = self._crop(image, draws.geometry, missing)
        hidden = None if missing is None else self._crop(missing, draws.geometry)
        if hidden is not None and not hidden.any():
            hidden = None
        fill = planes if hidden is None else planes.copy()
        if draws.brightness is not None:
            planes = self._jitter(planes, hidden, draws.brightness, draws.contrast)
        known = hidden
        if draws.gray:  # from here on all channels are the same: work on one
            planes = self._grayscale(planes, hidden)
            known = None if hidden is None else hidden.all(axis=0, keepdims=True)
        if draws.sigma:
            planes = self._blur(planes, draws.sigma, known)
        if draws.solarize:
            planes = self._solarize(planes)
        if draws.gray:
            planes = np.repeat(planes, channels, axis=0)
        if draws.dropped:
            planes[list(draws.dropped)] = self._range(image.dtype)[0]
        if hidden is not None:
            planes = np.where(hidden, fill, planes)
        return planes.transpose(1, 2, 0)

    def _range(self, dtype) -> tuple:
        """Lowest and highest value of images of a type."""
        if dtype == np.uint8:
            return 0., 255.
        if self.value_range is None:
            raise ConfigError('float images need value_range=(low, high) for brightness, contrast, solarize and channel drop: add it to '
                              'the augmentation, or set the probabilities of these to 0.')
        return self.value_range

    def _crop(self, image: np.ndarray, geometry: Geometry, missing: np.ndarray | None = None) -> np.ndarray:
        """Crop, resize and flip; ``(C, h, w)``, new memory. A bool image, which says where pixels are missing, is resized by nearest."""
        height, width, channels = image.shape
        h, w = max(1, round(geometry.h * height)), max(1, round(geometry.w * width))
        y, x = min(round(geometry.y * height), height - h), min(round(geometry.x * width), width - w)
        crop = image[y:y + h, x:x + w]
        if channels == 1 or image.strides[1] == image.itemsize or image.dtype == bool:  # planar already, or cheap
            planes = crop.transpose(2, 0, 1)
        else:
            planes = np.empty((channels, h, w), image.dtype)
            for first in range(0, channels, 64):  # OpenCV limits the number of channels (128 in version 5)
                part = np.ascontiguousarray(crop[..., first:first + 64])
                cv2.mixChannels([part], list(planes[first:first + 64]), [i for c in range(part.shape[2]) for i in (c, c)])
        out = np.empty((channels, *self.size), image.dtype)
        interpolation = 'nearest' if image.dtype == bool else self.interpolation
        code = -1 if geometry.hflip and geometry.vflip else int(geometry.hflip)
        flips = geometry.hflip or geometry.vflip
        for c, (plane, target) in enumerate(zip(planes, out)):
            gone = None if missing is None else missing[y:y + h, x:x + w, c]
            resized = resize_plane(plane, self.size, interpolation, gone, None if flips else target)
            if flips:
                target[...] = cv2.flip(resized.view(np.uint8), code) if image.dtype == bool else cv2.flip(resized, code, dst=target)
            elif resized is not target:
                target[...] = resized
        return out

    def _jitter(self, planes: np.ndarray, missing: np.ndarray | None, brighter: float, stronger: float) -> np.ndarray:
        """Brightness, then contrast about the mean of what is not missing.

        Linear operations on saturated types cost less than a look-up table per channel.
        """
        low, high = self._range(planes.dtype)
        if planes.dtype == np.uint8:
            factor = stronger
            if brighter > 1:
                planes = cv2.convertScaleAbs(planes.reshape(len(planes), -1), alpha=brighter).reshape(planes.shape)
            else:  # nothing can saturate in between: one pass does both
                factor = stronger * brighter
            for band, plane in enumerate(planes):
                valid = None if missing is None else (~missing[band]).astype(np.uint8)
                offset = (1 - stronger) * cv2.mean(plane, valid)[0] * min(brighter, 1.)
                if offset >= 0:  # nothing becomes negative, so the absolute value that this takes does not matter
                    cv2.convertScaleAbs(plane, dst=plane, alpha=factor, beta=offset)
                else:
                    cv2.addWeighted(plane, factor, plane, 0, offset, dst=plane)
            return planes
        planes = np.clip(low + (planes - np.float32(low)) * np.float32(brighter), low, high, dtype=np.float32)
        known = np.ones_like(planes, bool) if missing is None else ~missing
        total = planes.sum(axis=(1, 2), keepdims=True, dtype=np.float64, where=known)
        mean = total / np.maximum(known.sum(axis=(1, 2), keepdims=True), 1)
        return np.clip(planes * np.float32(stronger) + ((1 - stronger) * mean).astype(np.float32), low, high, dtype=np.float32)

    @staticmethod
    def _grayscale(planes: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
        """The mean of all channels, or of those that are not missing, ``(1, h, w)``."""
        if missing is not None:
            total = np.where(missing, 0, planes).sum(axis=0, keepdims=True, dtype=np.float32)
            mean = total / np.maximum((~missing).sum(axis=0, keepdims=True), 1)
            return np.rint(mean).astype(np.uint8) if planes.dtype == np.uint8 else mean.astype(np.float32)
        if planes.dtype != np.uint8:
            return planes.mean(axis=0, keepdims=True)
        if len(planes) > 257:
            return np.rint(planes.mean(axis=0, keepdims=True)).astype(np.uint8)
        total = np.add.reduce(planes, axis=0, dtype=np.uint16)  # 257 * 255 is the most that fits
        return cv2.convertScaleAbs(total, alpha=1 / len(planes))[None]

    @staticmethod
    def _blur(planes: np.ndarray, sigma: float, missing: np.ndarray | None) -> np.ndarray:
        """Gaussian blur with the window that OpenCV chooses by itself: three standard deviations on 8 bit, four on float.

        With missing pixels a normalized convolution: the weights of those that are there add up to 1.
        """
        window = blur_window(sigma, planes.dtype == np.uint8)
        if window == 1:
            return planes
        kernel = cv2.getGaussianKernel(window, sigma, cv2.CV_32F)
        out = np.empty_like(planes)
        for band, (plane, target) in enumerate(zip(planes, out)):
            if missing is None or not missing[band].any():
                # On single planes twice to three times as fast as GaussianBlur.
                cv2.sepFilter2D(plane, -1, kernel, kernel, dst=target)
                continue
            valid = (~missing[band]).astype(np.float32)
            total, weight = (cv2.sepFilter2D(x, -1, kernel, kernel) for x in (np.where(missing[band], 0, plane).astype(np.float32), valid))
            mean = np.where(missing[band], 0, total / np.maximum(weight, 1e-6))
            target[...] = np.clip(np.rint(mean), 0, 255) if planes.dtype == np.uint8 else mean
        return out

    def _solarize(self, planes: np.ndarray) -> np.ndarray:
        """Mirror the values within ``solarize_range``; 8 bit in place."""
        low, high = self._range(planes.dtype)
        first, last = (low + share * (high - low) for share in self.solarize_range)
        if planes.dtype == np.uint8:
            flat = planes.reshape(len(planes), -1)
            # 255 - x is the complement; with a mask it costs less than half of a look-up table.
            cv2.bitwise_not(flat, dst=flat, mask=cv2.inRange(flat, math.ceil(first), math.floor(last)))
            return planes
        return np.where((planes >= first) & (planes <= last), np.float32(low + high) - planes, planes)

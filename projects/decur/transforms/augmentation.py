"""The augmentation of one modality for one view (supplement B.1): crop, jitter, grayscale, blur, solarize, flips.

The published pipelines compute on float64 copies of channel-last images. Here nothing leaves the image's own type, every operation saturates
instead of wrapping around, and images of many channels are worked on in groups of four, the widest that OpenCV resizes with vector
instructions (``benchmarks/augmentation.py`` has the figures).
"""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError

_INTERPOLATION = dict(nearest=cv2.INTER_NEAREST, bilinear=cv2.INTER_LINEAR, bicubic=cv2.INTER_CUBIC, area=cv2.INTER_AREA)
#: Channels per group.
_GROUP = 4
#: From this window on OpenCV's separable filter is faster on 8 bit than its Gaussian blur.
_WIDE_BLUR = 7


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


def _apart(images: Sequence, count: int) -> np.ndarray:
    """Groups ``(H, W, <= 4)`` to planes ``(C, H, W)``."""
    planes = np.empty((count, *images[0].shape[:2]), images[0].dtype)
    cv2.mixChannels(list(images), list(planes), [i for c in range(count) for i in (c, c)])
    return planes


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
        ConfigError: If a range or a probability cannot be.
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
        if interpolation not in _INTERPOLATION:
            raise ConfigError(f'interpolation must be one of {sorted(_INTERPOLATION)}, got {interpolation!r}.')
        self.scale, self.ratio, self.blur_sigma = tuple(scale), tuple(ratio), tuple(blur_sigma)
        self.solarize_range, self.channel_drop = tuple(solarize_range), tuple(int(n) for n in channel_drop)
        self.brightness, self.contrast = brightness, contrast
        self.value_range = None if value_range is None else tuple(float(v) for v in value_range)
        self.interpolation = interpolation
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
            area = np.random.uniform(*self.scale)
            ratio = np.exp(np.random.uniform(np.log(self.ratio[0]), np.log(self.ratio[1])))
            w, h = np.sqrt(area * ratio / aspect), np.sqrt(area / ratio * aspect)
            if w <= 1 and h <= 1:
                return Geometry(np.random.uniform(0, 1 - h), np.random.uniform(0, 1 - w), h, w, *flips)
        ratio = min(max(aspect, self.ratio[0]), self.ratio[1])
        w, h = min(1., ratio / aspect), min(1., aspect / ratio)
        return Geometry((1 - h) / 2, (1 - w) / 2, h, w, *flips)

    def __call__(self, image: np.ndarray, view: int = 0, geometry: Geometry | None = None) -> np.ndarray:
        """Augment an image.

        Args:
            image (ndarray): ``(H, W, C)``, uint8 or float32; 16-bit integers become float32. It is not changed.
            view (int): Which view, from 0. Defaults to 0.
            geometry (Geometry, optional): The crop and flips. Defaults to a draw of its own.

        Returns:
            ndarray: ``(height, width, C)``, uint8 or float32. Its memory may be planar: only then is the step to ``(C, height, width)``
            free.

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
        channels = image.shape[2]
        if geometry is None:
            geometry = self.sample_geometry(image.shape[1] / image.shape[0], view)
        groups = self._crop(image, geometry)
        if self._chance('jitter', view):
            groups = self._jitter(groups)
        gray = channels > 1 and self._chance('grayscale', view)
        if gray:
            # From here on all channels are the same: work on one.
            groups = [self._grayscale(groups, channels)]
        if self._chance('blur', view):
            groups = self._blur(groups, np.random.uniform(*self.blur_sigma))
        if self._chance('solarize', view):
            groups = self._solarize(groups)
        if len(groups) == 1 and not gray:
            out = groups[0] if groups[0].ndim == 3 else groups[0][..., None]
        else:
            planes = np.repeat(groups[0][None], channels, axis=0) if gray else _apart(groups, channels)
            out = planes.transpose(1, 2, 0)
        if channels > 1 and self._chance('channel_drop', view):
            low, high = (min(n, channels - 1) for n in self.channel_drop)
            dropped = np.random.choice(channels, np.random.randint(low, high + 1), replace=False)
            out[..., dropped] = self._range(image.dtype)[0]
        return out

    def _range(self, dtype) -> tuple:
        if dtype == np.uint8:
            return 0., 255.
        if self.value_range is None:
            raise ConfigError('float images need value_range=(low, high) for brightness, contrast, solarize and channel drop: add it to '
                              'the augmentation, or set the probabilities of these to 0.')
        return self.value_range

    def _crop(self, image: np.ndarray, geometry: Geometry) -> list:
        """Crop, resize and flip; groups of at most four channels, ``(h, w, <= 4)`` or ``(h, w)``."""
        height, width, channels = image.shape
        h, w = max(1, round(geometry.h * height)), max(1, round(geometry.w * width))
        y, x = min(round(geometry.y * height), height - h), min(round(geometry.x * width), width - w)
        crop = image[y:y + h, x:x + w]
        if channels <= _GROUP:
            groups = [crop]
        else:
            counts = [min(_GROUP, channels - c) for c in range(0, channels, _GROUP)]
            groups = [np.empty((h, w, n), image.dtype) for n in counts]
            cv2.mixChannels([crop], groups, [i for c in range(channels) for i in (c, c)])
        flag, size = _INTERPOLATION[self.interpolation], self.size[::-1]
        groups = [cv2.resize(group, size, interpolation=flag) for group in groups]
        if geometry.hflip or geometry.vflip:
            code = -1 if geometry.hflip and geometry.vflip else int(geometry.hflip)
            groups = [cv2.flip(group, code) for group in groups]
        if np.may_share_memory(groups[0], image):  # a view of the very size of its crop
            groups = [group.copy() for group in groups]
        return groups

    def _jitter(self, groups: list) -> list:
        """Brightness, then contrast. Linear operations on saturated types cost less than a look-up table per channel."""
        low, high = self._range(groups[0].dtype)
        brighter = np.random.uniform(max(0., 1 - self.brightness), 1 + self.brightness)
        stronger = np.random.uniform(max(0., 1 - self.contrast), 1 + self.contrast)
        out = []
        for group in groups:
            h, w = group.shape[:2]
            flat = group.reshape(h, -1)
            exact = flat.dtype == np.uint8
            if exact:
                flat = cv2.convertScaleAbs(flat, alpha=brighter)
            else:
                flat = np.clip(low + (flat - np.float32(low)) * np.float32(brighter), low, high, dtype=np.float32)
            total = cv2.reduce(flat, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S if exact else cv2.CV_64F)
            mean = total.reshape(w, -1).sum(0, dtype=np.float64) / (h * w)
            if exact:
                # The mean is rounded: at most 0.2 grey levels at the strongest published setting.
                rows = np.broadcast_to(np.tile(np.rint(mean).astype(np.uint8), w), flat.shape)
                flat = cv2.addWeighted(flat, stronger, np.ascontiguousarray(rows), 1 - stronger, 0)
            else:
                offset = np.tile(((1 - stronger) * mean).astype(np.float32), w)
                flat = np.clip(flat * np.float32(stronger) + offset, low, high, dtype=np.float32)
            out.append(flat.reshape(group.shape))
        return out

    @staticmethod
    def _grayscale(groups: list, channels: int) -> np.ndarray:
        """The mean of all channels, ``(h, w)``."""
        planes = _apart(groups, channels)
        if planes.dtype == np.uint8:
            # In 16 bits as long as the sum fits.
            total = np.add.reduce(planes, axis=0, dtype=np.uint16 if channels <= 257 else np.uint32)
            return cv2.convertScaleAbs(total.astype(np.float32) if channels > 257 else total, alpha=1 / channels)
        return planes.mean(axis=0)

    @staticmethod
    def _blur(groups: list, sigma: float) -> list:
        """Gaussian blur with the window that OpenCV chooses by itself: three standard deviations on 8 bit, four on float."""
        exact = groups[0].dtype == np.uint8
        window = int(round(sigma * (6 if exact else 8) + 1)) | 1
        if window == 1:
            return groups
        if exact and window < _WIDE_BLUR:
            return [cv2.GaussianBlur(group, (window, window), sigma) for group in groups]
        kernel = cv2.getGaussianKernel(window, sigma, cv2.CV_32F)
        return [cv2.sepFilter2D(group, -1, kernel, kernel) for group in groups]

    def _solarize(self, groups: list) -> list:
        """Mirror the values within ``solarize_range``."""
        low, high = self._range(groups[0].dtype)
        first, last = (low + share * (high - low) for share in self.solarize_range)
        if groups[0].dtype == np.uint8:
            values = np.arange(256, dtype=np.uint8)
            table = np.where((values >= first) & (values <= last), 255 - values, values)
            return [cv2.LUT(group, table) for group in groups]
        return [np.where((group >= first) & (group <= last), np.float32(low + high) - group, group) for group in groups]

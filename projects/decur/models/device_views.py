"""The augmentation of :class:`~decur.transforms.ViewAugmentation` on the device, for a batch at a time.

What is done to a sample was drawn with it (:class:`~decur.transforms.MakeViews` with ``on='device'``), from (seed, epoch, sample), so that
the distributions are the same and a view does not depend on where it is made. On an accelerator every operation is a few batched tensor
operations with a parameter for each sample; on 8 bit they repeat OpenCV's roundings (fixed-point weights in resizing), so a view
differs from the CPU's by at most a grey level here and there. On a CPU, OpenCV's 8-bit operations are several times as fast as these,
so there the batch goes through :class:`~decur.transforms.ViewAugmentation` sample by sample.

torchvision's transforms draw one set of parameters for a batch, and kornia's colour operations are for three channels of floats: neither
does these for any number of channels.
"""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError, DataError
from decur.transforms.augmentation import Draws, ViewAugmentation, blur_window

#: Units of the fixed-point weights with which OpenCV resizes 8-bit images.
_RESIZE_UNIT = 2048


class DeviceViews:
    """Views of a modality.

    Args:
        augmentation (ViewAugmentation): The entry's; its interpolation must be ``'bilinear'`` or ``'nearest'``.
        batched (bool, optional): Whether to use tensor operations. Defaults to True except on a CPU.

    Raises:
        ConfigError: If the interpolation is another one.
    """

    def __init__(self, augmentation: ViewAugmentation, batched: bool | None = None):
        if augmentation.interpolation not in ('bilinear', 'nearest'):
            raise ConfigError(f"views on the device are interpolated 'bilinear' or 'nearest', not {augmentation.interpolation!r}: set it "
                              "in the augmentation, or MakeViews(on='cpu').")
        self.augmentation, self.batched = augmentation, batched

    @staticmethod
    def parameters(draws: Sequence[Draws], channels: int, size: Sequence[int]) -> Tensor:
        """Draws of a batch as one tensor ``(N, 12 + C)`` float64, for :meth:`__call__`.

        Args:
            draws (Sequence[Draws]): One for each sample.
            channels (int): C of the images.
            size (Sequence[int]): Their height and width; crops become whole pixels here, as on the CPU.
        """
        rows = []
        for one in draws:
            g, (height, width) = one.geometry, size
            h, w = max(1, round(g.h * height)), max(1, round(g.w * width))
            dropped = np.zeros(channels)
            dropped[list(one.dropped)] = 1
            rows.append([min(round(g.y * height), height - h), min(round(g.x * width), width - w), h, w, g.hflip, g.vflip,
                         one.brightness is not None, one.brightness or 1., one.contrast or (0. if one.contrast == 0 else 1.), one.gray,
                         one.sigma, one.solarize, *dropped])
        return torch.tensor(rows, dtype=torch.float64)

    def __call__(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Make the views.

        Args:
            images (Tensor): ``(N, C, H, W)`` uint8, int16, int32 (16-bit values) or float32, of one modality.
            parameters (Tensor): ``(N, 12 + C)``, see :meth:`parameters`.

        Returns:
            Tensor: ``(N, C, height, width)`` float32; of uint8 images whole numbers of 0..255 (on a CPU uint8).

        Raises:
            DataError: If the images are of another type.
            ConfigError: If a float image meets a point operation without ``value_range``.
        """
        if images.dtype not in (torch.uint8, torch.int16, torch.int32, torch.float32):
            raise DataError(f'images of type {images.dtype} cannot be augmented, only uint8, 16-bit integers and float32.')
        batched = images.device.type != 'cpu' if self.batched is None else self.batched
        return self._tensor_operations(images, parameters) if batched else self._one_by_one(images, parameters)

    def _one_by_one(self, images: Tensor, parameters: Tensor) -> Tensor:
        size = images.shape[2:]
        dtype = torch.uint8 if images.dtype == torch.uint8 else torch.float32
        out = torch.empty(*images.shape[:2], *self.augmentation.size, dtype=dtype)
        for image, row, target in zip(images, parameters.tolist(), out):
            array = image.numpy().transpose(1, 2, 0)
            array = array if array.dtype == np.uint8 else array.astype(np.float32)
            target.copy_(torch.from_numpy(self.augmentation.apply(array, _draws(row, size)).transpose(2, 0, 1)))
        return out

    def _tensor_operations(self, images: Tensor, parameters: Tensor) -> Tensor:
        eight_bit = images.dtype == torch.uint8
        p = parameters.to(images.device)
        y, x, h, w, hflip, vflip, jitter, brightness, contrast, gray, sigma, solarize = p[:, :12].T
        views = self._resize(images, y, x, h, w, hflip > 0, vflip > 0, eight_bit)
        points = parameters[:, [6, 11]].any() or parameters[:, 12:].any()
        low, high = self.augmentation._range(np.uint8 if eight_bit else np.float32) if points else (0., 0.)

        def some(chosen, function):
            index = chosen.nonzero()[:, 0]
            if len(index):
                views[index] = function(views[index], index)

        some(jitter > 0, lambda v, i: _jitter(v, brightness[i], contrast[i], low, high, eight_bit))
        some(gray > 0, lambda v, i: _rounded(v.mean(dim=1, keepdim=True), eight_bit).expand_as(v))
        some(sigma > 0, lambda v, i: _blur(v, parameters[i.cpu(), 10].tolist(), eight_bit))
        first, last = (low + share * (high - low) for share in self.augmentation.solarize_range)
        some(solarize > 0, lambda v, i: torch.where((v >= first) & (v <= last), low + high - v, v))
        if parameters[:, 12:].any():
            views = torch.where(p[:, 12:, None, None] > 0, low, views)
        return views

    def _resize(self, images: Tensor, y, x, h, w, hflip, vflip, eight_bit: bool) -> Tensor:
        """Crop, resize and flip: rows, then columns of every sample by indices and weights of its own."""
        height, width = self.augmentation.size
        rows, columns = (self._places(first, length, out, flip) for first, length, out, flip in
                         ((y, h, height, vflip), (x, w, width, hflip)))
        n, c, _, full = images.shape
        if self.augmentation.interpolation == 'nearest':
            taken = images.gather(2, rows[0][:, None, :, None].expand(n, c, height, full))
            return taken.gather(3, columns[0][:, None, None, :].expand(n, c, height, width)).float()
        dtype = torch.int32 if eight_bit else torch.float32
        x = images.to(dtype)
        left, right = (x.gather(3, index[:, None, None, :].expand(*x.shape[:3], width)) for index in columns[:2])
        weight = columns[2][:, None, None, :]
        if eight_bit:
            # OpenCV's integers: 11 bits for each direction, four of which it drops between them.
            weight = (weight * _RESIZE_UNIT).round().to(dtype)
            x = (left * (_RESIZE_UNIT - weight) + right * weight) >> 4
        else:
            x = left + (right - left) * weight.to(dtype)
        upper, lower = (x.gather(2, index[:, None, :, None].expand(n, c, height, width)) for index in rows[:2])
        weight = rows[2][:, None, :, None]
        if eight_bit:
            weight = (weight * _RESIZE_UNIT).round().to(dtype)
            return (((upper * (_RESIZE_UNIT - weight) >> 16) + (lower * weight >> 16) + 2) >> 2).clamp_(0, 255).float()
        return upper + (lower - upper) * weight.to(dtype)

    def _places(self, first: Tensor, length: Tensor, out: int, flip: Tensor) -> tuple:
        """For each pixel of a view ``(N, out)`` the two pixels of the image that it lies between, and the weight of the second."""
        place = torch.arange(out, device=first.device, dtype=torch.float64)[None].repeat(len(first), 1)
        place = torch.where(flip[:, None], out - 1 - place, place)
        first, length = first[:, None], length[:, None]
        if self.augmentation.interpolation == 'nearest':
            return (first + torch.div((2 * place + 1) * length, 2 * out, rounding_mode='floor')).long(), None, None
        source = ((place + .5) * length / out - .5).clamp(min=0)
        source = torch.minimum(source, length - 1)
        before = source.floor()
        return (first + before).long(), (first + torch.minimum(before + 1, length - 1)).long(), source - before


def _draws(row: Sequence[float], size: Sequence[int]) -> Draws:
    """The inverse of :meth:`DeviceViews.parameters`."""
    from decur.transforms.augmentation import Geometry
    y, x, h, w, hflip, vflip, jitter, brightness, contrast, gray, sigma, solarize, *dropped = row
    height, width = size
    return Draws(Geometry(y / height, x / width, h / height, w / width, bool(hflip), bool(vflip)), brightness if jitter else None,
                 contrast if jitter else None, bool(gray), sigma, bool(solarize), tuple(i for i, gone in enumerate(dropped) if gone))


def _rounded(x: Tensor, eight_bit: bool) -> Tensor:
    """To the nearest whole number on 8 bit, and within its range."""
    return x.round().clamp_(0, 255) if eight_bit else x


def _jitter(views: Tensor, brightness: Tensor, contrast: Tensor, low: float, high: float, eight_bit: bool) -> Tensor:
    """Brightness, then contrast about the mean; a factor for each sample."""
    b, c = (value.to(views.dtype)[:, None, None, None] for value in (brightness, contrast))
    if eight_bit:
        # As on the CPU: what cannot saturate in between is one pass, with one rounding.
        brighter = b > 1
        views = torch.where(brighter, _rounded(views * b, True), views)
        shift = (1 - c) * views.mean(dim=(2, 3), keepdim=True) * torch.where(brighter, 1., b)
        return _rounded(views * (c * torch.where(brighter, 1., b)) + shift, True)
    views = (low + (views - low) * b).clamp(low, high)
    return (views * c + (1 - c) * views.mean(dim=(2, 3), keepdim=True)).clamp(low, high)


def _blur(views: Tensor, sigmas: Sequence[float], eight_bit: bool) -> Tensor:
    """Gaussian blur with a window of its own for each sample; at the border the image is mirrored about its last pixel."""
    windows = [blur_window(sigma, eight_bit) for sigma in sigmas]
    reach = max(windows) // 2
    if not reach:
        return views
    kernels = torch.zeros(len(sigmas), 2 * reach + 1, dtype=views.dtype)
    for kernel, window, sigma in zip(kernels, windows, sigmas):
        weights = torch.from_numpy(cv2.getGaussianKernel(window, sigma, cv2.CV_32F)[:, 0])
        start = reach - window // 2
        kernel[start:start + window] = weights
    kernels = kernels.to(views.device)
    for axis, padding in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        padded, size = F.pad(views, padding, mode='reflect'), views.shape[axis]
        views = torch.zeros_like(views)
        for tap in range(2 * reach + 1):
            views.addcmul_(padded.narrow(axis, tap, size), kernels[:, tap, None, None, None])
    return _rounded(views, eight_bit)

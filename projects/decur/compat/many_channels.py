"""Let mmcv's and mmseg's transforms take images of any number of channels (hyperspectral images have hundreds).

mmcv resizes, rotates and pads with OpenCV, which takes 128 channels at most to resize and 4 to rotate and to pad; beyond, it stops with an
assertion that names neither. One number to pad with goes to the first channel alone; the others are padded with 0. Here larger images go
through OpenCV in groups of channels. Smaller ones are not touched.

Delete this file when ``mmcv.imresize``, ``mmcv.imrotate`` and ``mmcv.impad`` take such images.
"""
import functools
from collections.abc import Callable, Sequence

import mmcv
import mmcv.image.geometric
import numpy as np

#: Function: how many channels of an image OpenCV takes at once.
LIMITS = dict(imresize=64, imrotate=4, impad=1)


def in_groups(function: Callable, limit: int) -> Callable:
    """Apply an image function to groups of at most ``limit`` channels, where an image ``(H, W, C)`` has more."""

    @functools.wraps(function)
    def wrapper(img, *args, **kwargs):
        if getattr(img, 'ndim', 0) != 3 or img.shape[2] <= limit or kwargs.get('out') is not None:
            return function(img, *args, **kwargs)
        parts = []
        for i in range(0, img.shape[2], limit):
            value = kwargs.get('pad_val')  # one for each channel, or one for all
            own = dict(kwargs, pad_val=value[i:i + limit]) if isinstance(value, Sequence) else kwargs
            parts.append(function(np.ascontiguousarray(img[..., i:i + limit]), *args, **own))
        rest = parts[0][1:] if isinstance(parts[0], tuple) else None  # the scale factors, where they were asked for
        images = [part[0] if rest is not None else part for part in parts]
        joined = np.concatenate([image[..., None] if image.ndim == 2 else image for image in images], axis=2)
        return joined if rest is None else (joined, *rest)

    wrapper.in_groups = True
    return wrapper


def register() -> None:
    """Put the wrappers in the place of mmcv's functions; once."""
    for name, limit in LIMITS.items():
        function = getattr(mmcv.image.geometric, name)
        if not getattr(function, 'in_groups', False):
            for module in (mmcv.image.geometric, mmcv.image, mmcv):
                setattr(module, name, in_groups(function, limit))

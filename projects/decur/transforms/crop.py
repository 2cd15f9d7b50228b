"""A random resized crop of an image and its label map, for segmentation (supplement B.2)."""
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from .augmentation import ViewAugmentation


@TRANSFORMS.register_module()
class RandomResizedCropSeg(BaseTransform):
    """torchvision's ``RandomResizedCrop`` for ``img`` and every label map of ``seg_fields``: one box, labels by nearest neighbour.

    The share of the area is drawn uniformly from ``scale`` (``RandomResize`` and ``RandomCrop`` draw the side), width / height on a log
    scale from ``ratio``.

    Args:
        size (int | tuple[int]): Height and width of the result, pixels.
        scale (tuple[float]): Range of the crop's share of the image's area. Defaults to (0.2, 1.0).
        ratio (tuple[float]): Range of the crop's width / height. Defaults to (3/4, 4/3).

    Raises:
        ConfigError: If a range is not valid.
    """

    def __init__(self, size: int | Sequence, scale: Sequence = (0.2, 1.0), ratio: Sequence = (3 / 4, 4 / 3)):
        crop = dict(size=size, scale=scale, ratio=ratio, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0, hflip_prob=0.0, vflip_prob=0.0)
        self.image, self.label = ViewAugmentation(**crop), ViewAugmentation(**crop, interpolation='nearest')

    def transform(self, results: dict) -> dict:
        """Crop: ``img`` becomes ``(h, w, C)``, label maps ``(h, w)`` of their own type (uint8)."""
        height, width = results['img'].shape[:2]
        geometry = self.image.sample_geometry(width / height)
        results['img'] = np.ascontiguousarray(self.image(results['img'], geometry=geometry))
        for key in results.get('seg_fields', ()):
            results[key] = np.ascontiguousarray(self.label(results[key][..., None], geometry=geometry)[..., 0])
        results['img_shape'] = results['img'].shape[:2]
        return results

"""The middle of every image, for looking at a model rather than training it."""
import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from .loading import BoundTransform


@TRANSFORMS.register_module()
class CenterView(BoundTransform):
    """Scale every image so that its shorter side is ``size`` and crop the middle square: no draw, one size for a batch.

    Changes ``images``. An image of that size already is left as it is.

    Args:
        size (int, optional): Pixels. Defaults to the ``size`` of the modality's ``augmentation``; a modality without one is not changed.
    """

    def __init__(self, size: int | None = None):
        self.size = size

    def transform(self, results: dict) -> dict:
        """Scale and crop."""
        for name, image in results['images'].items():
            size = self.size or (self.modalities[name].get('augmentation') or {}).get('size')
            if image is None or not size:
                continue
            height, width = (size, size) if isinstance(size, int) else size
            scale = max(height / image.shape[0], width / image.shape[1])
            if scale != 1:
                shape = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
                mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
                if self.modalities[name].get('interpolation') == 'nearest':
                    mode = cv2.INTER_NEAREST
                # OpenCV resizes four channels at a time at most in some modes: one by one is safe for any number of bands.
                image = np.stack([cv2.resize(np.ascontiguousarray(image[..., c]), shape, interpolation=mode)
                                  for c in range(image.shape[2])], axis=-1)
            top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
            results['images'][name] = np.ascontiguousarray(image[top:top + height, left:left + width])
        return results

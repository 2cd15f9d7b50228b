"""The centre crop of every image, for evaluation."""
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.resizing import resize, resize_missing

from .loading import BoundTransform


@TRANSFORMS.register_module()
class CenterView(BoundTransform):
    """Scale every image so that its shorter side is ``size`` and crop the middle square: no draw, one size for a batch.

    Changes ``images`` and ``masks``. An image of that size already is left as it is.

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
            missing = results.get('masks', {}).get(name)
            if scale != 1:
                shape = max(height, round(image.shape[0] * scale)), max(width, round(image.shape[1] * scale))
                mode = 'area' if scale < 1 else 'bilinear'
                if self.modalities[name].get('interpolation') == 'nearest':
                    mode = 'nearest'
                image, missing = resize(image, shape, mode, missing), resize_missing(missing, shape)
            top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
            results['images'][name] = np.ascontiguousarray(image[top:top + height, left:left + width])
            if missing is not None:
                results['masks'][name] = missing[top:top + height, left:left + width]
        return results

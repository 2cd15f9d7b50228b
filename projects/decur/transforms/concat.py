"""One image of all modalities, the form in which mmseg's transforms and models take them."""
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.modalities import concat
from decur.resizing import resize

from .loading import BoundTransform


@TRANSFORMS.register_module()
class ConcatModalities(BoundTransform):
    """Concatenate the images along channels, in the order of the entries.

    Needs ``images`` (and ``masks``); adds ``img`` ``(H, W, sum C)``, ``img_shape`` and ``ori_shape``. An image of another resolution than
    the reference (the label map, or else the first modality) is resized to it with the ``interpolation`` of its entry (``'bilinear'``;
    ``'nearest'`` for depth with holes); missing pixels do not enter others. An image in another ratio of height to width is refused.

    Args:
        resize (bool): Allow different sizes. With False they are an error. Defaults to True.
    """

    def __init__(self, resize: bool = True):
        self.resize = resize

    def transform(self, results: dict) -> dict:
        """Concatenate.

        Raises:
            DataError: If a modality is absent, or images differ in size without ``resize``, or in the ratio of height to width.
        """
        images = dict(results['images'])
        first = next((image for image in images.values() if image is not None), None)
        if first is None:
            raise DataError(f'sample {results.get("sample_id")!r} has no modality at all.')
        size = results['gt_seg_map'].shape if 'gt_seg_map' in results else first.shape[:2]
        for name, image in images.items():
            if image is None or image.shape[:2] == size:
                continue
            if not self.resize:
                raise DataError(f'sample {results.get("sample_id")!r}: modality {name!r} is {image.shape[:2]}, expected {tuple(size)}.')
            if not _similar(image.shape[:2], size):
                what = 'the label' if 'gt_seg_map' in results else 'the first modality'
                raise DataError(f'sample {results.get("sample_id")!r}: modality {name!r} has {image.shape[0]}x{image.shape[1]} pixels and '
                                f'{what} {size[0]}x{size[1]}: it would be squeezed. Is one of them rotated or cropped? Resample them to '
                                'one grid.')
            images[name] = resize(image, size, self.modalities[name].get('interpolation', 'bilinear'), results.get('masks', {}).get(name))
        try:
            results['img'] = np.ascontiguousarray(concat(images, self.modalities, axis=-1))
        except DataError as error:
            raise DataError(f'sample {results.get("sample_id")!r}: {error}') from error
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        results['img_path'] = str(results.get('sample_id', ''))
        return results


def _similar(size, other) -> bool:
    """Whether two sizes are the same rectangle at different resolutions, to one pixel of the coarser one."""
    (height, width), (rows, columns) = sorted((tuple(size), tuple(other)))
    return abs(height - width * rows / columns) <= 1 or abs(width - height * columns / rows) <= 1

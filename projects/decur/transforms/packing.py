"""The last transform of a pipeline: arrays to tensors and a data sample."""
import numpy as np
import torch
from mmengine.registry import TRANSFORMS
from mmpretrain.structures import DataSample

from .loading import BoundTransform


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """``(H, W, C)`` array to ``(C, H, W)`` tensor; uint16, which torch hardly supports, becomes int32."""
    if image.dtype == np.uint16:
        image = image.astype(np.int32)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@TRANSFORMS.register_module()
class PackModalities(BoundTransform):
    """Pack ``views`` (or, without views, ``images``) by modality.

    Returns ``dict(inputs={name: [view, ...] or image}, data_samples=DataSample)``, tensors ``(C, h, w)``. A modality that is absent is
    packed as zeros and marked in ``data_sample.present`` (``{name: bool}``), so a batch can always be stacked.

    Args:
        meta_keys (Sequence[str]): What of the results goes into the data sample. Defaults to ``('sample_id', )``.
    """

    def __init__(self, meta_keys=('sample_id', )):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        arrays = results.get('views') or {name: None if x is None else [x] for name, x in results['images'].items()}
        size = next(x[0].shape[:2] for x in arrays.values() if x is not None)
        count = next(len(x) for x in arrays.values() if x is not None)
        inputs, present = {}, {}
        for name, views in arrays.items():
            present[name] = views is not None
            if views is None:
                shape = (*(self.size_of(name) or size), self.modalities[name]['channels'])
                views = [np.zeros(shape, np.float32)] * count
            tensors = [to_tensor(view) for view in views]
            inputs[name] = tensors if 'views' in results else tensors[0]
        sample = DataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if 'draws' in results:  # of views that are made on the device
            sample.set_field(results['draws'], 'draws', field_type='metainfo')
        if not all(present.values()):
            sample.set_field(present, 'present', field_type='metainfo')
        if results.get('gt_label') is not None:
            label = np.asarray(results['gt_label'])
            if label.ndim == 0 or label.dtype.kind in 'iu' and results.get('num_classes') is None:
                sample.set_gt_label(torch.as_tensor(label).reshape(-1))
            else:
                sample.set_gt_score(torch.as_tensor(label, dtype=torch.float32))
        return dict(inputs=inputs, data_samples=sample)

    def size_of(self, name: str):
        """Height and width that an entry's augmentation gives, or None."""
        size = (self.modalities[name].get('augmentation') or {}).get('size')
        return (size, size) if isinstance(size, int) else size

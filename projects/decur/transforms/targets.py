"""Targets that are no classes of pixels: numbers for pixels, and what a label map says of the whole scene."""
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers import build_reader, read_marked
from decur.readers.missing import split

from .loading import BoundTransform


@TRANSFORMS.register_module()
class LoadTargetMap(BoundTransform):
    """Read a number for every pixel from the sample's label raster, ``seg_source``.

    Adds ``gt_depth_map`` (mmseg's name for such maps) ``(H, W)`` float32, NaN where it is missing, and lists it in ``seg_fields``, so that
    it is cropped and flipped with the image.

    Args:
        reader (dict, optional): As a modality's. Defaults to the choice by suffix.
        scale (float): The target is ``scale * value``, for example 0.1 for decimetres. Defaults to 1.
    """

    def __init__(self, reader: dict | None = None, scale: float = 1.):
        self.reader, self.scale = build_reader(reader), float(scale)

    def transform(self, results: dict) -> dict:
        """Read.

        Raises:
            DataError: If there is no raster, or it has several bands.
        """
        source = results.get('seg_source')
        if source is None:
            raise DataError(f'sample {results.get("sample_id")!r} has no target: give the dataset label=dict(folder=..., suffix=...).')
        values, missing = split(read_marked(self.reader, source))
        if values.shape[2] != 1:
            raise DataError(f'{source}: a target must be one band, got {values.shape[2]}. Choose it: reader=dict(type=..., bands=[...]).')
        target = values[..., 0].astype(np.float32) * self.scale
        results['gt_depth_map'] = target if missing is None else np.where(missing[..., 0], np.float32('nan'), target)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_depth_map']
        return results


@TRANSFORMS.register_module()
class SceneTarget(BoundTransform):
    """What the label map says of the whole scene; comes after :class:`LoadLabelMap`.

    Args:
        kind (str): ``'majority'``: ``gt_label`` is the class of the most pixels (the first of equals), for single-label classification.
            ``'shares'``: the share of each class among the labelled pixels, 0 to 1, for regression. ``'present'``: whether each class has
            at least ``min_share`` of them, 0 or 1, for multi-label classification.
        min_share (float): See above. Defaults to 0.01.
    """

    def __init__(self, kind: str = 'majority', min_share: float = .01):
        self.kind, self.min_share = check_choice('kind', kind, ('majority', 'shares', 'present')), min_share

    def bind(self, modalities, dataset) -> None:
        """Remember the classes."""
        super().bind(modalities, dataset)
        self.table = dataset.label_table
        if not self.table.classes:
            raise ConfigError('SceneTarget counts classes, and the data set names none: give it metainfo=dict(classes=(...)).')

    def transform(self, results: dict) -> dict:
        """Count.

        Raises:
            DataError: If there is no label map, or no pixel of it has a label.
        """
        if 'gt_seg_map' not in results:
            raise DataError(f'sample {results.get("sample_id")!r} has no label map: put LoadLabelMap before SceneTarget.')
        labels = results['gt_seg_map']
        counts = np.bincount(labels[labels != self.table.ignore_index].ravel(), minlength=len(self.table.classes))
        if not counts.sum():
            raise DataError(f'sample {results.get("sample_id")!r}: no pixel has a label, so the scene has none. Leave it out of the split.')
        shares = counts / counts.sum()
        if self.kind == 'majority':
            results['gt_label'] = int(counts.argmax())
        else:
            results['gt_label'] = (shares if self.kind == 'shares' else shares >= self.min_share).astype(float).tolist()
        return results

"""Sources to arrays: the images of every modality and the label map."""
from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.readers.files import build_reader


class BoundTransform(BaseTransform):
    """A transform that needs the dataset's modality entries; the dataset binds it when it is built."""

    modalities: dict | None = None

    def bind(self, modalities: Mapping, dataset) -> None:
        """Remember the entries.

        Args:
            modalities (dict[str, dict]): The dataset's entries.
            dataset (MultimodalDataset): The dataset, for its classes and ignore index.
        """
        self.modalities = modalities


@TRANSFORMS.register_module()
class LoadModalities(BoundTransform):
    """Read every modality with the reader of its entry.

    Needs ``sources`` (``{name: source or None}``); adds ``images`` (``{name: (H, W, C) array or None}``), with the entry's ``radiometry``
    applied and as many channels as it says. A list of sources (one per view, see :class:`DrawSeasons`) gives a list of images; a source
    that occurs twice in it is read once.
    """

    def bind(self, modalities: Mapping, dataset) -> None:
        """Build one reader per entry."""
        super().bind(modalities, dataset)
        self.readers = {name: build_reader(entry.get('reader')) for name, entry in modalities.items()}
        self.radiometry = {name: [TRANSFORMS.build(cfg) for cfg in entry.get('radiometry') or ()] for name, entry in modalities.items()}

    def transform(self, results: dict) -> dict:
        """Read the sample.

        Raises:
            DataError: If a file has another number of channels than its modality.
        """
        results['images'] = {}
        for name, entry in self.modalities.items():
            source = results['sources'].get(name)
            if source is None:
                results['images'][name] = None
                continue
            if isinstance(source, list):
                read = []
                for i, one in enumerate(source):
                    twin = source.index(one)
                    read.append(read[twin] if twin < i else self._read(name, entry, one))
                results['images'][name] = read
            else:
                results['images'][name] = self._read(name, entry, source)
        return results

    def _read(self, name: str, entry: Mapping, source) -> np.ndarray:
        image = self.readers[name](source)
        try:
            for step in self.radiometry[name]:
                image = step(image)
        except DataError as error:
            raise DataError(f'{source}: modality {name!r}: {error}') from error
        if image.ndim != 3 or image.shape[2] != entry['channels']:
            raise DataError(f'{source}: modality {name!r} has {entry["channels"]} channels, the file has shape {image.shape} '
                            '(H, W, C). Correct channels in the entry, or choose bands with reader=dict(type=..., bands=[...]).')
        return image


@TRANSFORMS.register_module()
class LoadLabelMap(BoundTransform):
    """Read the label map of a sample.

    Needs ``seg_source``; adds ``gt_seg_map`` ``(H, W)`` uint8 and lists it in ``seg_fields``. Class ids start at 0 (at 1 with the dataset's
    ``reduce_zero_label``, where 0 becomes the ignore index); palette PNGs are read as indices.

    Args:
        reader (dict, optional): As a modality's. Defaults to the choice by suffix.
    """

    def __init__(self, reader: dict | None = None):
        self.reader = build_reader(reader)

    def bind(self, modalities: Mapping, dataset) -> None:
        """Remember the dataset's classes."""
        super().bind(modalities, dataset)
        self.reduce_zero_label = dataset.reduce_zero_label
        self.ignore_index = dataset.ignore_index
        self.label_map = dataset.label_map
        self.num_classes = len(dataset.label_map) if dataset.label_map is not None else dataset.num_classes

    def transform(self, results: dict) -> dict:
        """Read, shift, check and map the labels.

        Raises:
            DataError: If the file is no single-band integer raster or holds an id that is no class.
        """
        source = results.get('seg_source')
        if source is None:
            raise DataError(f'sample {results.get("sample_id")!r} has no label: give the dataset label=dict(folder=..., suffix=...).')
        label = self.reader(source)
        if label.shape[2] != 1 or label.dtype.kind not in 'iu':
            raise DataError(f'{source}: a label must be one integer band, got {label.shape[2]} of {label.dtype}. A colour-coded PNG '
                            'must be converted to class ids first (a palette PNG is fine).')
        label = label[..., 0].astype(np.int64)
        ignore = label == self.ignore_index
        if self.reduce_zero_label:
            ignore |= label == 0
            label = label - 1
        if self.num_classes is not None:
            wrong = ~ignore & ((label < 0) | (label >= self.num_classes))
            if wrong.any():
                ids = np.unique(label[wrong] + int(self.reduce_zero_label))
                allowed = f'{int(self.reduce_zero_label)}..{self.num_classes - 1 + int(self.reduce_zero_label)}'
                void = ', 0 = no label' if self.reduce_zero_label else ''
                raise DataError(f'{source}: label id(s) {ids[:8].tolist()} are outside the {self.num_classes} classes ({allowed}, ignore '
                                f'{self.ignore_index}{void}). Correct the classes or the file.')
        if self.label_map is not None:
            table = np.full(self.num_classes, self.ignore_index, np.int64)
            for old, new in self.label_map.items():
                table[old] = self.ignore_index if new == 255 else new
            label = table[np.where(ignore, 0, label)]
        label[ignore] = self.ignore_index
        results['gt_seg_map'] = label.astype(np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results

"""Label files to label maps."""
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.readers import IMAGE_SUFFIXES, NamedArray, Reader, build_reader, open_raster
from decur.readers.missing import equals, join, split

from .loading import BoundTransform, keep_in_memory


@TRANSFORMS.register_module()
class LoadLabelMap(BoundTransform):
    """Read the label map of a sample.

    Needs ``seg_source`` (and ``counted_before``, rows at the top and columns at the left to ignore, if there is such); adds
    ``gt_seg_map`` ``(H, W)`` and lists it in ``seg_fields``. Its values are indices into the data set's
    ``metainfo['classes']``, or the ignore index; its type is uint8 or, with more than 255 classes or another ignore index, uint16 or int16.
    What a value in the file means is the data set's ``label_table``. Palette PNGs are read as indices, floats if all are whole numbers.
    Pixels that the file itself marks as missing (a nodata tag, a mask band, NaN) become the ignore index, other than those whose value
    ``label_values`` names.

    Refused, since the labels would be wrong: files with lossy compression (JPEG), files with several bands or colours, and masks of 0 and
    255 where 255 is the ignore index and there is one foreground class, which would be ignored.

    Args:
        reader (dict, optional): As a modality's. Defaults to the choice by suffix.
    """

    def __init__(self, reader: dict | None = None):
        self.reader = build_reader(reader)
        self._told: set = set()

    def bind(self, modalities: Mapping, dataset) -> None:
        """Remember what the values mean."""
        super().bind(modalities, dataset)
        self.table = dataset.label_table
        if getattr(dataset, 'in_memory', False):
            self.reader = keep_in_memory(self.reader)

    def transform(self, results: dict) -> dict:
        """Read, check and map the labels.

        Raises:
            DataError: If the file is no single band of whole numbers, is compressed with loss, or holds a value that is no class.
        """
        source = results.get('seg_source')
        if source is None:
            raise DataError(f'sample {results.get("sample_id")!r} has no label: give the dataset label=dict(folder=..., suffix=...).')
        path = source.get('path') if isinstance(source, Mapping) else None if isinstance(source, np.ndarray | NamedArray) else source
        if path is not None:  # stores and shards keep the values as they are
            check_lossless(str(path))
        values, missing = self._read(source)
        if values.shape[2] != 1:
            raise DataError(f'{source}: {_several(values)}')
        values = values[..., 0]
        missing, void = np.zeros(values.shape, bool) if missing is None else missing[..., 0], None
        if values.dtype.kind == 'f':
            whole = (values == np.rint(values)) & (np.abs(values) < 2**53)
            odd = ~missing & ~np.isnan(values) & ~whole
            if odd.any():
                raise DataError(f'{source}: a label must be whole numbers, got {values[odd][0]:g}. Was it resampled? Use nearest '
                                'neighbours.')
            values, void = np.where(whole, values, 0), ~whole
        elif values.dtype.kind not in 'iub':
            raise DataError(f'{source}: a label must be whole numbers, got {values.dtype}.')
        label = results['gt_seg_map'] = self._map(values.astype(np.int64), missing, source, void)
        top, left = results.get('counted_before', (0, 0))
        label[:top], label[:, :left] = self.table.ignore_index, self.table.ignore_index
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results

    def _read(self, source) -> tuple:
        """``(H, W, C)`` values and where they are missing, or None."""
        if not isinstance(self.reader, Reader):
            return split(self.reader(source))
        values, missing = self.reader.decode(source)  # the values as they are in the file, those that are missing too
        for value in self.reader.missing:
            missing = join(missing, equals(values, value))
        return values, missing

    def _map(self, values: np.ndarray, missing: np.ndarray, source, void: np.ndarray | None) -> np.ndarray:
        """Labels of values; ``missing`` is where the file calls them so, ``void`` where there is no value at all (NaN)."""
        table, ignore = self.table, self.table.ignore_index
        present, inverse = _unique(values)
        nothing = missing if void is None else missing | void
        seen = np.ones(len(present), bool)
        if nothing.any():
            seen[:] = False
            seen[inverse[~nothing]] = True
        if table.explicit:
            named = np.isin(present, list(table.index))
            nothing = nothing & ~named[inverse] if void is None else void | (missing & ~named[inverse])
        elif missing.any():
            self._tell_missing(present[np.unique(inverse[missing])], source)
        if table.classes is None:
            labels = present - int(table.reduce_zero_label)
            ignored = (present == ignore) | ((present == 0) & table.reduce_zero_label)
            wrong = seen & ~ignored & (labels < 0)
            labels = np.where(ignored, ignore, labels)
        else:
            labels = np.array([table.index.get(value, ignore) for value in present.tolist()], np.int64)
            wrong = seen & ~np.isin(present, [*table.index, *([] if table.explicit else [ignore])])
        if wrong.any():
            raise DataError(f'{source}: label id(s) {present[wrong][:8].tolist()} are outside {self._allowed()}. Correct the classes or '
                            'the file, or say what the values mean: label_values={value: class}.')
        self._check_mask(present[seen], source)
        labels = np.where(nothing, ignore, labels[inverse])
        fits = table.classes is not None or labels.max(initial=0) <= np.iinfo(table.dtype).max
        return labels.astype(table.dtype if fits else np.int64)

    def _allowed(self) -> str:
        table = self.table
        if table.explicit:
            return f'those of label_values ({sorted(table.index)})'
        if table.classes is None:
            return 'what a class index can be'
        values = sorted(set(table.index) - ({0} if table.reduce_zero_label else set()))
        void = ', 0 = no label' if table.reduce_zero_label else ''
        return f'the {len(values)} classes ({values[0]}..{values[-1]}, ignore {table.ignore_index}{void})'

    def _check_mask(self, present: np.ndarray, source) -> None:
        """Refuse a mask whose foreground is the ignore index."""
        table = self.table
        foreground = [value for value in table.index if value != 0]
        if table.explicit or table.classes is None or table.ignore_index != 255 or len(foreground) != 1 or 255 in table.index:
            return
        if 255 in present and set(present.tolist()) <= {0, 255}:
            names = (None, *table.classes)[-2:]
            zero, one, void = repr(names[0]), repr(names[1]), foreground[0]
            raise DataError(f'{source}: the mask holds 255 and no {void}, and 255 is the ignore index: a foreground that is written as 255 '
                            f'would be ignored. Say what the values mean: label_values={{0: {zero}, 255: {one}}}, or, if 255 is no label '
                            f'here, {{0: {zero}, {void}: {one}, 255: None}}.')

    def _tell_missing(self, values: np.ndarray, source) -> None:
        """Say once for each class that its pixels are ignored because the file calls them missing."""
        table = self.table
        for value in values.tolist():
            label = table.index.get(value, table.ignore_index)
            if label != table.ignore_index and table.classes and value not in self._told:
                self._told.add(value)
                print_log(f'{source} marks {value}, class {table.classes[label]!r}, as missing (nodata), so it is ignored there. If it is '
                          f'a class, say so: label_values={{{value}: {table.classes[label]!r}, ...}}, or remove the nodata tag.',
                          logger='current', level=30)


def _unique(values: np.ndarray) -> tuple:
    """As ``np.unique`` with the inverse in the shape of ``values``, without sorting where the values are small."""
    if values.size and values.min() >= 0 and values.max() < 2**16:
        present = np.flatnonzero(np.bincount(values.ravel()))
        place = np.zeros(int(present[-1]) + 1, np.int64)
        place[present] = np.arange(len(present))
        return present, place[values]
    present, inverse = np.unique(values, return_inverse=True)
    return present, inverse.reshape(values.shape)


def _several(values: np.ndarray) -> str:
    """What is wrong with a label of several bands, and what to do."""
    if values.shape[2] == 2:
        return 'a label must be one integer band, got 2 (grey and alpha, or two bands). Write the classes alone.'
    flat = values.reshape(-1, values.shape[2])
    if values.shape[2] in (3, 4) and (flat[:, :3] == flat[:, :1]).all():
        return f'a label must be one integer band, got {values.shape[2]} that are equal. Write one of them.'
    colours = np.unique(flat, axis=0)
    listed = ', '.join(str(tuple(colour.tolist())) for colour in colours[:8])
    return (f'a label must be one integer band, got {values.shape[2]} with {len(colours)} different values: {listed}'
            f'{", ..." if len(colours) > 8 else ""}. A colour-coded picture must be converted to class ids first (a palette PNG is fine).')


@lru_cache(maxsize=4096)
def check_lossless(path: str) -> None:
    """Refuse a label file whose compression changes values.

    Raises:
        DataError: A JPEG or lossy WebP (whatever the suffix), or a raster that was compressed so.
    """
    cure = 'Classes were changed when it was written; write the labels again as PNG or GeoTIFF (deflate, lzw).'
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
    except OSError:
        return  # the reader says it
    if head[:3] == b'\xff\xd8\xff' or (head[:4] == b'RIFF' and head[8:16] == b'WEBPVP8 '):
        raise DataError(f'{path}: a label in {"JPEG" if head[:1] != b"R" else "lossy WebP"} is not what was labelled. {cure}')
    if Path(path).suffix.lower() in (*IMAGE_SUFFIXES, '.npy'):
        return
    try:
        with open_raster(Path(path)) as raster:
            tags = raster.tags(ns='IMAGE_STRUCTURE')
    except DataError:
        return  # the reader says it
    kind = tags.get('COMPRESSION', '').upper()
    reversible = tags.get('COMPRESSION_REVERSIBILITY', '').upper()
    lossy = 'JPEG' in kind and 'JPEG2000' not in kind and 'JXL' not in kind
    lossy = lossy or reversible == 'LOSSY' or float(tags.get('MAX_Z_ERROR', 0)) > 0
    if lossy:
        raise DataError(f'{path}: a label with lossy compression ({kind or "lossy"}) is not what was labelled. {cure}')

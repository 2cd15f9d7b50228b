"""NYU-Depth v2 as released: ``nyu_depth_v2_labeled.mat`` with ``splits.mat`` and ``classMapping40.mat`` beside it.

``splits.mat`` is on the data set's page; ``classMapping40.mat`` (894 -> 40 classes) comes with the code of S. Gupta et al., CVPR 2013.
"""
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.readers.depth import NYU_INTRINSICS

from . import engine
from .mat import field, read_array, read_integers, read_shape, reopen_hdf5
from .rgbd import RGBDRelease


def _beside(src, name, where):
    path = src.parent / name
    if not path.is_file():
        raise DataError(f'{path} does not exist. {where}')
    return path


class NYUv2Release(RGBDRelease):
    """NYU-Depth v2: ``nyu_depth_v2_labeled.mat`` (SRC, or in SRC), ``splits.mat`` and ``classMapping40.mat`` beside it."""

    command = dataset = 'nyudv2'
    title = 'NYU-Depth v2 to colour, depth, HHA and labels'
    num_classes = 40
    expected = dict(train=795, test=654)

    @classmethod
    def lies_in(cls, folder):
        """The file of the images."""
        return (folder / 'nyu_depth_v2_labeled.mat').is_file()

    def samples(self):
        """Every labelled image, in the order of the file; stems are the file's 1-based numbers with four digits."""
        src = self.src / 'nyu_depth_v2_labeled.mat' if self.src.is_dir() else self.src
        shape = read_shape(src, 'images')
        if len(shape) != 4 or shape[1] != 3:
            raise DataError(f'{src}: images has shape {shape}, expected (images, 3, width, height).')
        count, _, width, height = shape
        for name in ('depths', 'rawDepths', 'labels'):
            found = read_shape(src, name)
            if found != (count, width, height):
                raise DataError(f'{src}: {name} has shape {found}, expected {(count, width, height)}.')
        splits = _beside(src, 'splits.mat', 'Put the splits.mat of the data set\'s page beside the images.')
        mapping = _beside(src, 'classMapping40.mat', 'It maps the 894 classes to 40; put it beside the images.')
        to_40 = np.concatenate([[0], read_integers(mapping, 'mapClass')])
        if not np.isin(to_40, np.arange(self.num_classes + 1)).all():
            raise DataError(f'{mapping}: mapClass goes from {to_40.min()} to {to_40.max()}, expected classes 0 to {self.num_classes}.')
        to_40 = to_40.astype(np.uint8)
        split = {}
        for part in ('train', 'test'):
            split.update(dict.fromkeys(read_integers(splits, f'{part}Ndxs').tolist(), part))
        if not split or max(split) > count or min(split) < 1:
            raise DataError(f'{splits} names images {min(split, default=None)} to {max(split, default=None)}, {src} has 1 to {count}.')
        scale = width / 640
        fx, fy, cx, cy = NYU_INTRINSICS
        camera = NYU_INTRINSICS if scale == 1 else tuple(k * scale for k in (fx, fy, cx, cy))
        return [dict(stem=f'{number:04d}', split=split[number], intrinsics=camera, has_raw=True, rgb_suffix='.png', file=str(src),
                     index=number - 1, mapping=to_40) for number in sorted(split)]

    def read(self, sample):
        """One image of :meth:`samples`, decoded; the file is read image by image."""
        path, index = sample['file'], sample['index']
        file = reopen_hdf5(path)
        names = 'images', 'depths', 'rawDepths', 'labels'
        image, depth, raw, label = (read_array(field(file, path, name), path, index) for name in names)
        if label.dtype.kind not in 'ui' or image.dtype != np.uint8:
            raise DataError(f'{path}: image {index + 1} is of {image.dtype}, its labels of {label.dtype}; expected uint8 and integers.')
        if label.max() >= len(sample['mapping']) or label.min() < 0:
            raise DataError(f'{sample["file"]}: image {index + 1} has label {int(label.max())}, the class mapping ends at '
                            f'{len(sample["mapping"]) - 1}.')
        return dict(rgb=np.ascontiguousarray(image.transpose(2, 1, 0)), depth=depth.T, depth_raw=raw.T, label=sample['mapping'][label.T])


def prepare(src: str | Path, out: str | Path, hha: bool = True, **kwargs) -> dict:
    """Write NYU-Depth v2 to ``out``; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(NYUv2Release(src, hha), out, **kwargs)

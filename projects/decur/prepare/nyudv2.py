"""NYU-Depth v2 as released: ``nyu_depth_v2_labeled.mat`` with ``splits.mat`` and ``classMapping40.mat`` beside it.

``splits.mat`` is on the data set's page; ``classMapping40.mat`` (894 -> 40 classes) comes with the code of S. Gupta et al., CVPR 2013.
"""
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.readers.depth import NYU_INTRINSICS

from . import rgbd
from .mat import field, open_hdf5, read_mat

NAME, NUM_CLASSES = 'nyudv2', 40
#: Images of the whole data set.
EXPECTED = dict(train=795, test=654)


def _beside(src, name, where):
    path = src.parent / name
    if not path.is_file():
        raise DataError(f'{path} does not exist. {where}')
    return path


def samples(src):
    """Every labelled image, in the order of the file; stems are the file's 1-based numbers with four digits.

    Args:
        src (str | Path): ``nyu_depth_v2_labeled.mat``, or the folder it is in.

    Returns:
        list[dict]: As :func:`decur.prepare.rgbd.prepare` takes.

    Raises:
        DataError: A missing or damaged file, with what to do.
    """
    src = Path(src)
    if src.is_dir():
        src = src / 'nyu_depth_v2_labeled.mat'
    with open_hdf5(src) as file:
        shape = field(file, src, 'images').shape
        count, _, width, height = shape
        for name in ('depths', 'rawDepths', 'labels'):
            if field(file, src, name).shape != (count, width, height):
                raise DataError(f'{src}: {name} has shape {field(file, src, name).shape}, expected {(count, width, height)}.')
    splits = _beside(src, 'splits.mat', 'Put the splits.mat of the data set\'s page beside the images.')
    mapping = _beside(src, 'classMapping40.mat', 'It maps the 894 classes to 40; put it beside the images.')
    to_40 = np.concatenate([[0], np.atleast_1d(read_mat(mapping, 'mapClass')).ravel()]).astype(np.uint8)
    if to_40.max() > NUM_CLASSES:
        raise DataError(f'{mapping}: mapClass goes to {to_40.max()}, expected at most {NUM_CLASSES}.')
    split = {}
    for part in ('train', 'test'):
        for number in np.atleast_1d(read_mat(splits, f'{part}Ndxs')).ravel():
            split[int(number)] = part
    if not split or max(split) > count or min(split) < 1:
        raise DataError(f'{splits} names images {min(split, default=None)} to {max(split, default=None)}, {src} has 1 to {count}.')
    scale = width / 640
    fx, fy, cx, cy = NYU_INTRINSICS
    camera = NYU_INTRINSICS if scale == 1 else tuple(k * scale for k in (fx, fy, cx, cy))
    return [dict(stem=f'{number:04d}', split=split[number], intrinsics=camera, has_raw=True, rgb_suffix='.png', file=str(src),
                 index=number - 1, mapping=to_40) for number in sorted(split)]


@lru_cache(maxsize=1)
def _open(path, process):
    return open_hdf5(path)


def read(sample):
    """One image of :func:`samples`, decoded; the file is read image by image."""
    # An HDF5 file must not be shared by processes.
    file, index = _open(sample['file'], os.getpid()), sample['index']
    label = file['labels'][index].T
    if label.max() >= len(sample['mapping']):
        raise DataError(f'{sample["file"]}: image {index + 1} has label {int(label.max())}, the class mapping ends at '
                        f'{len(sample["mapping"]) - 1}.')
    return dict(rgb=np.ascontiguousarray(file['images'][index].transpose(2, 1, 0)), depth=file['depths'][index].T,
                depth_raw=file['rawDepths'][index].T, label=sample['mapping'][label])


def prepare(src, out, **kwargs):
    """Write NYU-Depth v2 to ``out``; arguments as :func:`decur.prepare.rgbd.prepare`."""
    return rgbd.prepare(NAME, samples(src), read, out, NUM_CLASSES, **kwargs)


def add_parser(subparsers):
    """Add this data set's command to the preparing tool's command line."""
    rgbd.add_parser(subparsers, sys.modules[__name__])

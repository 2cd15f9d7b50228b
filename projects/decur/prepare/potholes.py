"""Stereo pictures of potholes as released to a folder of smaller ones: RGB, transformed disparity, label.

Fan et al., "Pothole Detection Based on Disparity Transformation and Road Surface Modeling", IEEE Transactions on Image Processing 2019;
the data are the repository ruirangerfan/stereo_pothole_datasets on GitHub (MIT licence). ``OUT/rgb/<id>.png`` is RGB,
``OUT/disparity/<id>.png`` the disparity after a flat road was made level (16 bits, 0 where the stereo matching found none),
``OUT/label/<id>.png`` 0 (road) or 1 (pothole). An id such as ``dataset1_07`` has the released folder and number.

The frames of a released folder show a few potholes again and again, so a folder is one side of the split only (:func:`splits`).
"""
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError
from decur.readers import PillowReader
from decur.readers.missing import split
from decur.resizing import resize, resize_missing
from decur.writing import encode_png

from . import engine
from .folder_release import Content, FolderRelease, labelled_subsets
from .release import Unit

#: Frames of the release (commit a6cc8e7), by folder.
FRAMES = dict(dataset1=22, dataset2=40, dataset3=5)
#: The folder whose frames are for training.
TRAINING = 'dataset2'
#: Sizes and seeds of the labelled subsets of the training frames.
FEW, SEEDS = (5, 10), range(5)
_PICTURES = dict(rgb='rgb', disparity='disp_tg', label='label')


class PotholesRelease(FolderRelease):
    """Potholes in RGB and disparity: a clone of github.com/ruirangerfan/stereo_pothole_datasets.

    Args:
        src (str | Path): The clone.
        shrink (int): How many pixels become one, along each side; the released pictures are about 1700 x 1030.
    """

    command = dataset = 'potholes'
    title = 'stereo pothole data sets (RGB, disparity) to smaller pictures'
    contents = dict(rgb=Content(3, 'uint8'), disparity=Content(1, 'uint16'), label=Content(1, 'uint8', 1))
    expected = dict(train=FRAMES[TRAINING], test=sum(FRAMES.values()) - FRAMES[TRAINING])

    def __init__(self, src: str | Path, shrink: int = 4):
        super().__init__(src)
        if shrink < 1:
            raise ConfigError(f'--shrink {shrink}: give a number of pixels, at least 1.')
        self.shrink = shrink

    @classmethod
    def lies_in(cls, folder):
        """Its folders of transformed disparity."""
        return all((folder / name / 'disp_tg').is_dir() for name in FRAMES)

    def units(self, samples):
        """Every frame with its three pictures.

        Raises:
            DataError: If folders or files are missing.
        """
        out = []
        for name, count in FRAMES.items():
            folder = self.src / name / 'rgb'
            if not folder.is_dir():
                raise DataError(f'{folder} is not a folder. Give a whole clone of github.com/ruirangerfan/stereo_pothole_datasets.')
            numbers = sorted(path.stem for path in folder.iterdir() if re.fullmatch(r'\d+\.png', path.name))
            if len(numbers) != count:
                raise DataError(f'{folder} has {len(numbers)} frames, {count} are released. Clone the repository again, with all its '
                                'files.')
            for number in numbers:
                files = {part: self.src / name / released / f'{number}.png' for part, released in _PICTURES.items()}
                missing = [path for path in files.values() if not path.is_file()]
                if missing:
                    raise DataError(f'{missing[0]} is missing. Clone the repository again, with all its files.')
                out.append(Unit(f'{name}_{number}', f'{name}_{number}', dict(paths=files)))
        return out

    def settings(self):
        """The size."""
        return dict(shrink=self.shrink)

    def encode(self, key: str, files: Mapping) -> list:
        """The three pictures, smaller: means of the pixels that are known, the label by nearest neighbour.

        Raises:
            DataError: If a picture cannot be read, their sizes differ, or one is of another type than released.
        """
        files = files['paths']
        rgb = PillowReader(mode='RGB')(files['rgb'])
        disparity, missing = split(PillowReader(missing=0).read(files['disparity']))
        colours = PillowReader(mode='RGB')(files['label'])
        if disparity.shape[2] != 1 or disparity.dtype != np.uint16:
            raise DataError(f'{files["disparity"]} is {disparity.shape} of {disparity.dtype}, expected one channel of uint16.')
        if not rgb.shape[:2] == disparity.shape[:2] == colours.shape[:2]:
            raise DataError(f'{key}: the pictures differ in size: {rgb.shape[:2]}, {disparity.shape[:2]}, {colours.shape[:2]}.')
        size = tuple(side // self.shrink for side in rgb.shape[:2])
        disparity = resize(disparity, size, 'area', missing)
        missing = resize_missing(missing, size)
        if missing is not None:
            disparity = np.where(missing, 0, disparity).astype(np.uint16)
        # The potholes are drawn in red on black.
        label = resize((colours.max(axis=2, keepdims=True) > 127).astype(np.uint8), size, 'nearest')
        pictures = resize(rgb, size, 'area'), disparity[..., 0], label[..., 0]
        return [(name, encode_png(np.ascontiguousarray(picture), key)) for name, picture in zip(self.file_names(key), pictures)]

    def lists(self, units):
        """Both sides of the split, the folders of the test, and labelled subsets."""
        return splits([unit.key for unit in units])


def splits(samples: Sequence[str]) -> dict[str, list[str]]:
    """Lists of ids: ``train`` (the frames of :data:`TRAINING`), ``test`` (all others), ``test_<folder>`` for each of their folders, and
    ``few{5,10}_seed{0..4}``, labelled subsets of the training frames.
    """
    train = sorted(sample for sample in samples if sample.startswith(f'{TRAINING}_'))
    out = dict(train=train, test=sorted(set(samples) - set(train)))
    for folder in FRAMES:
        if folder != TRAINING:
            out[f'test_{folder}'] = [sample for sample in out['test'] if sample.startswith(f'{folder}_')]
    return {**out, **labelled_subsets(train, FEW, SEEDS)}


def prepare(src: str | Path, out: str | Path, shrink: int = 4, **kwargs) -> dict:
    """Write the pothole data set to ``out``; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(PotholesRelease(src, shrink), out, **kwargs)

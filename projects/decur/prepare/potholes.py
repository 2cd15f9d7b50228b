"""Stereo pictures of potholes as released to a folder of smaller ones: RGB, transformed disparity, label.

Fan et al., "Pothole Detection Based on Disparity Transformation and Road Surface Modeling", IEEE Transactions on Image Processing 2019;
the data are the repository ruirangerfan/stereo_pothole_datasets on GitHub (MIT licence). ``OUT/rgb/<id>.png`` is RGB,
``OUT/disparity/<id>.png`` the disparity after a flat road was made level (16 bits, 0 where the stereo matching found none),
``OUT/label/<id>.png`` 0 (road) or 1 (pothole). An id such as ``dataset1_07`` has the released folder and number.

The frames of a released folder show a few potholes again and again, so a folder is one side of the split only (:func:`splits`).
"""
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError
from decur.parallel import run_jobs
from decur.readers import PillowReader
from decur.readers.missing import split
from decur.resizing import resize, resize_missing
from decur.writing import encode_png

from . import engine
from .folder_writer import FolderWriter
from .release import Release, Unit

#: Raised when the same release gives other files.
VERSION = 1
#: Frames of the release (commit a6cc8e7), by folder.
FRAMES = dict(dataset1=22, dataset2=40, dataset3=5)
#: The folder whose frames are for training.
TRAINING = 'dataset2'
#: Sizes and seeds of the labelled subsets of the training frames.
FEW, SEEDS = (5, 10), range(5)
_PICTURES = dict(rgb='rgb', disparity='disp_tg', label='label')


class PotholesRelease(Release):
    """Potholes in RGB and disparity: a clone of github.com/ruirangerfan/stereo_pothole_datasets.

    Args:
        src (str | Path): The clone.
        shrink (int): How many pixels become one, along each side; the released pictures are about 1700 x 1030.
    """

    command = dataset = 'potholes'
    title = 'stereo pothole data sets (RGB, disparity) to smaller pictures'
    may_leave_out = False

    def __init__(self, src: str | Path, shrink: int = 4):
        super().__init__(src)
        if shrink < 1:
            raise ConfigError(f'--shrink {shrink}: give a number of pixels, at least 1.')
        self.shrink = shrink

    @classmethod
    def lies_in(cls, folder):
        """Its folders of transformed disparity."""
        return all((folder / name / 'disp_tg').is_dir() for name in FRAMES)

    @classmethod
    def add_options(cls, parser):
        """The size."""
        parser.add_argument('--shrink', type=int, default=4, help='pixels, along each side, that become one (default: 4)')

    @classmethod
    def from_options(cls, args):
        """With the size that was asked for."""
        return cls(args.src, args.shrink)

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

    def count_files(self, units):
        """Three pictures each."""
        return len(_PICTURES) * len(units)

    def open(self, out, repair):
        """A folder."""
        return FolderWriter(out, dict(dataset=self.dataset, version=VERSION, shrink=self.shrink))

    def records_of(self, unit):
        """The three pictures."""
        return _paths(unit.key)

    def unit_of(self, name):
        """The id."""
        return Path(name).stem

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
        return [(name, encode_png(np.ascontiguousarray(picture), key)) for name, picture in zip(_paths(key), pictures)]

    def damaged(self, out, units, workers):
        """Frames of which a picture is not as it should be."""
        there = [unit.key for unit in units if all((out / name).is_file() for name in self.records_of(unit))]
        return {key for key, wrong in zip(there, run_jobs(partial(_check, out), there, workers, f'checking {out}')) if wrong}

    def finish(self, writer, units, skipped):
        """The lists, which are there when everything else is."""
        for name, ids in splits([unit.key for unit in units]).items():
            writer.put(f'{name}.txt', ''.join(f'{sample}\n' for sample in ids).encode())
        return len(units)

    @classmethod
    def verify(cls, out, workers, whole):
        """Read every picture; and, if ``whole``, count the frames."""
        out, ids = Path(out), []
        for name in ('train', 'test'):
            path = out / f'{name}.txt'
            if not path.is_file():
                raise ConfigError(f'{path} does not exist: preparing was not finished. Run the same command without --verify; it goes on.')
            ids += path.read_text().split()
        total = sum(FRAMES.values())
        wrong = [f'{out} has {len(ids)} frames, the whole data set has {total}'] if whole and len(ids) != total else []
        return wrong + [text for found in run_jobs(partial(_check, out), ids, workers, f'verifying {out}') for text in found]

    @classmethod
    def left_out(cls, out):
        """Nothing ever is."""
        return {}


def splits(samples: Sequence[str]) -> dict[str, list[str]]:
    """Lists of ids: ``train`` (the frames of :data:`TRAINING`), ``test`` (all others), ``test_<folder>`` for each of their folders, and
    ``few{5,10}_seed{0..4}``, labelled subsets of the training frames.
    """
    train = sorted(sample for sample in samples if sample.startswith(f'{TRAINING}_'))
    out = dict(train=train, test=sorted(set(samples) - set(train)))
    for folder in FRAMES:
        if folder != TRAINING:
            out[f'test_{folder}'] = [sample for sample in out['test'] if sample.startswith(f'{folder}_')]
    for count in FEW:
        for seed in SEEDS:
            if count <= len(train):
                drawn = np.random.default_rng(seed).permutation(len(train))[:count]
                out[f'few{count}_seed{seed}'] = sorted(train[i] for i in drawn)
    return out


def _paths(sample: str) -> list:
    return [f'{part}/{sample}.png' for part in _PICTURES]


def _check(out: Path, sample: str) -> list:
    """What is wrong with a frame: a list of sentences."""
    wrong = []
    for name, channels, dtype in zip(_paths(sample), (3, 1, 1), ('uint8', 'uint16', 'uint8')):
        try:
            picture = PillowReader()(str(out / name))
        except DataError as error:
            wrong.append(str(error))
            continue
        if picture.shape[2] != channels or picture.dtype != dtype or name.startswith('label') and picture.max() > 1:
            wrong.append(f'{out / name} is no picture of this data set: {picture.shape} of {picture.dtype}, values to {picture.max()}')
    return wrong


def prepare(src: str | Path, out: str | Path, shrink: int = 4, **kwargs) -> dict:
    """Write the pothole data set to ``out``; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(PotholesRelease(src, shrink), out, **kwargs)

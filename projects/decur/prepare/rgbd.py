"""What RGB-D releases share: an image of theirs becomes the files of the layout ``prepared`` of :class:`decur.datasets.RGBDDataset`.

``OUT/{rgb,depth,depth_raw,hha,label}/<stem>``, ``OUT/intrinsics.json``, ``OUT/train.txt`` and ``OUT/test.txt``. Depth is uint16
millimetres, 0 missing.
"""
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from decur.datasets.finding import check_name, read_list
from decur.errors import ConfigError, DataError
from decur.hha import PLAUSIBLE_DEPTH, depth_to_hha
from decur.parallel import run_jobs
from decur.readers.depth import read_intrinsics
from decur.readers.files import PillowReader
from decur.writing import encode_png

from .folder_writer import FolderWriter
from .release import Release, Unit

#: Raised when the same release gives other files.
VERSION = 1
SPLITS = ('train', 'test')
#: Folders that every prepared data set has.
_ALWAYS = ('rgb', 'depth', 'label')


def to_millimetres(depth):
    """Metres (H, W), 0 or NaN missing, to uint16 millimetres, 0 missing."""
    return np.clip(np.rint(np.nan_to_num(np.asarray(depth, np.float64), nan=0, posinf=0, neginf=0) * 1000), 0, 65535).astype(np.uint16)


class RGBDRelease(Release):
    """An RGB-D data set as released. A benchmark's images must all be there, so one that cannot be read is an error.

    Args:
        src (str | Path): The release.
        hha (bool): Make HHA too (0.15 s of one core per 480x640 image).
    """

    may_leave_out = False
    apart = True  # HDF5
    #: Without void.
    num_classes: int
    #: Images of the whole data set, by split.
    expected: Mapping

    def __init__(self, src: str | Path, hha: bool = True):
        self.src, self.hha = Path(src), hha
        self.unpaired, self.broken = {}, {}

    @classmethod
    def add_options(cls, parser) -> None:
        """HHA can be left out."""
        parser.add_argument('--no-hha', action='store_true', help='leave HHA out (tools/make_hha.py makes it later)')

    @classmethod
    def from_options(cls, args) -> 'RGBDRelease':
        """With HHA unless it is left out."""
        return cls(args.src, hha=not args.no_hha)

    @abstractmethod
    def samples(self) -> list:
        """Every image: dicts with ``stem``, ``split`` (train or test), ``intrinsics`` (fx, fy, cx, cy), ``has_raw``, ``rgb_suffix``,
        optionally ``rgb_path`` (a file that is copied as it is), and what :meth:`read` needs.

        Raises:
            DataError: A missing or damaged file, with what to do.
        """

    @abstractmethod
    def read(self, sample: Mapping) -> dict:
        """``rgb`` (H, W, 3) uint8, ``depth`` and ``depth_raw`` (H, W) metres, ``label`` (H, W) with 0 void; in worker processes."""

    def units(self, samples):
        """Every image is a unit and a sample."""
        found = self.samples()
        twice = [stem for stem, count in Counter(s['stem'] for s in found).items() if count > 1]
        if twice:
            raise DataError(f'{len(twice)} samples have the same name, for example {twice[0]!r}.')
        for sample in found:
            check_name(sample['stem'], f'a sample of {self.src}')
        return [Unit(sample['stem'], sample['stem'], dict(sample=sample), sample['split']) for sample in found]

    def open(self, out, repair):
        """A folder."""
        return FolderWriter(out, dict(dataset=self.dataset, version=VERSION))

    def _paths(self, sample: Mapping) -> dict:
        stem = sample['stem']
        names = ('depth', 'label', *(['depth_raw'] if sample['has_raw'] else []), *(['hha'] if self.hha else []))
        return dict(rgb=f'rgb/{stem}{sample["rgb_suffix"]}', **{name: f'{name}/{stem}.png' for name in names})

    def records_of(self, unit):
        """All files of the image."""
        return list(self._paths(unit.files['sample']).values())

    def encode(self, key, files):
        """Every file of the image.

        Raises:
            DataError: If image, depth and label do not fit together, or cannot be read.
        """
        sample = files['sample']
        paths, content = self._paths(sample), self.read(sample)
        sizes = {name: content[name].shape[:2] for name in ('rgb', 'depth', 'depth_raw', 'label') if content.get(name) is not None}
        if len(set(sizes.values())) > 1:
            raise DataError(f'{key}: image, depth and label differ in size: {sizes}. Is the source complete and unchanged?')
        least, most = int(content['label'].min(initial=0)), int(content['label'].max(initial=0))
        if least < 0 or most > self.num_classes:
            raise DataError(f'{key}: label id {least if least < 0 else most} is outside 0..{self.num_classes}.')
        images = dict(depth=to_millimetres(content['depth']), label=content['label'].astype(np.uint8))
        if sample['has_raw']:
            images['depth_raw'] = to_millimetres(content['depth_raw'])
        if self.hha:
            try:
                images['hha'] = depth_to_hha(images['depth'] / np.float64(1000), sample['intrinsics'], images.get('depth_raw'))
            except DataError as error:
                raise DataError(f'{key}: {error}') from error
        rgb = Path(sample['rgb_path']).read_bytes() if sample.get('rgb_path') else encode_png(content['rgb'], paths['rgb'])
        return [(paths['rgb'], rgb), *((paths[name], encode_png(image, paths[name])) for name, image in images.items())]

    def unit_of(self, name):
        """The stem."""
        return str(Path(name).relative_to(Path(name).parts[0]).with_suffix(''))

    def damaged(self, out, units, workers):
        """Images of which a file is not as it should be."""
        there = [unit.key for unit in units if all((out / name).is_file() for name in self.records_of(unit))]
        return {stem for stem, wrong in zip(there, self._check_all(out, there, workers, 'checking')) if wrong}

    @classmethod
    def _check_all(cls, out: Path, stems: Sequence, workers: int, title: str) -> list:
        """What is wrong with each of the prepared images: lists of sentences."""
        folders = [*_ALWAYS, *(name for name in ('depth_raw', 'hha') if (out / name).is_dir())]
        check = partial(_check, out=out, num_classes=cls.num_classes, folders=folders)
        return run_jobs(check, stems, workers, f'{title} {out}')

    def finish(self, writer, units, skipped):
        """Intrinsics and the lists of the splits, which are there when everything else is."""
        cameras = {unit.key: [float(k) for k in unit.files['sample']['intrinsics']] for unit in units}
        writer.put('intrinsics.json', (json.dumps(cameras, indent=1) + '\n').encode())
        for split in SPLITS:
            writer.put(f'{split}.txt', ''.join(f'{unit.key}\n' for unit in units if unit.split == split).encode())
        return len(units)

    @classmethod
    def verify(cls, out, workers, whole):
        """Read every file and check it: there, whole, of one size, labels and depth in range; and, if ``whole``, the number of images."""
        out, wrong, stems = Path(out), [], []
        for split in SPLITS:
            path = out / f'{split}.txt'
            if not path.is_file():
                raise ConfigError(f'{path} does not exist: preparing was not finished. Run the same command without --verify; it goes on.')
            found = [check_name(stem, str(path)) for stem in (read_list(path) if path.stat().st_size else [])]
            if whole and len(found) != cls.expected[split]:
                wrong.append(f'{path} lists {len(found)} images, the whole data set has {cls.expected[split]}')
            stems += found
        cameras = read_intrinsics(out / 'intrinsics.json')
        wrong += [f'{stem} has no intrinsics' for stem in stems if stem not in cameras]
        return wrong + [problem for problems in cls._check_all(out, stems, workers, 'verifying') for problem in problems]

    @classmethod
    def left_out(cls, out):
        """Nothing ever is."""
        return {}


def _check(stem: str, out: Path, num_classes: int, folders: Sequence) -> list:
    """What is wrong with one prepared image: a list of sentences."""
    wrong, sizes = [], {}
    reader = PillowReader()
    for folder in folders:
        path = next((p for p in (out / folder / f'{stem}.png', out / folder / f'{stem}.jpg') if p.exists()), None)
        if path is None:
            wrong.append(f'{out / folder / stem}.png is missing')
            continue
        try:
            image = reader(path)
        except DataError as error:
            wrong.append(str(error))
            continue
        sizes[folder] = image.shape[:2]
        channels, kind = {'rgb': (3, 'uint8'), 'hha': (3, 'uint8'), 'label': (1, 'uint8')}.get(folder, (1, 'uint16'))
        if image.shape[2] != channels or image.dtype != kind:
            wrong.append(f'{path} has {image.shape[2]} channels of {image.dtype}, expected {channels} of {kind}')
        elif folder == 'label' and image.max() > num_classes:
            wrong.append(f'{path} has label id {int(image.max())}, outside 0..{num_classes}')
        elif folder == 'depth' and image.any():
            median = float(np.median(image[image > 0])) / 1000
            if not PLAUSIBLE_DEPTH[0] <= median <= PLAUSIBLE_DEPTH[1]:
                wrong.append(f'{path} has a median depth of {median} m')
    if len(set(sizes.values())) > 1:
        wrong.append(f'{stem}: sizes differ: {sizes}')
    return wrong

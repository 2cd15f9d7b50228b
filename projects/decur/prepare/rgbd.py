"""What RGB-D releases share: an image of theirs becomes the files of the layout ``prepared`` of :class:`decur.datasets.RGBDDataset`.

``OUT/{rgb,depth,depth_raw,hha,label}/<stem>``, ``OUT/intrinsics.json``, ``OUT/train.txt`` and ``OUT/test.txt``. Depth is uint16
millimetres, 0 missing.
"""
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decur.datasets.finding import check_name
from decur.errors import DataError
from decur.hha import PLAUSIBLE_DEPTH, depth_to_hha
from decur.readers.depth import read_intrinsics
from decur.writing import encode_png

from .folder_release import Content, FolderRelease
from .release import Unit


def to_millimetres(depth):
    """Metres (H, W), 0 or NaN missing, to uint16 millimetres, 0 missing."""
    return np.clip(np.rint(np.nan_to_num(np.asarray(depth, np.float64), nan=0, posinf=0, neginf=0) * 1000), 0, 65535).astype(np.uint16)


class RGBDRelease(FolderRelease):
    """An RGB-D data set as released. A benchmark's images must all be there, so one that cannot be read is an error.

    Args:
        src (str | Path): The release.
        hha (bool): Make HHA too (0.15 s of one core per 480x640 image).
    """

    apart = True  # HDF5
    #: Without void.
    num_classes: int

    def __init_subclass__(cls):
        picture = Content(3, 'uint8', suffixes=('.png', '.jpg'))
        cls.contents = dict(rgb=picture, depth=Content(1, 'uint16'), label=Content(1, 'uint8', cls.num_classes),
                            depth_raw=Content(1, 'uint16', optional=True), hha=picture._replace(optional=True))

    def __init__(self, src: str | Path, hha: bool = True):
        self.src, self.hha = Path(src), hha
        self.unpaired, self.broken = {}, {}

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

    def lists(self, units):
        """The splits."""
        return {split: [unit.key for unit in units if unit.split == split] for split in self.expected}

    def finish(self, writer, units, skipped):
        """Intrinsics, then the lists."""
        cameras = {unit.key: [float(k) for k in unit.files['sample']['intrinsics']] for unit in units}
        writer.put('intrinsics.json', (json.dumps(cameras, indent=1) + '\n').encode())
        return super().finish(writer, units, skipped)

    @classmethod
    def verify(cls, out, workers, whole):
        """Every file, that depth is that of rooms, and that every image has intrinsics."""
        listed, cameras = cls.listed(out), read_intrinsics(Path(out) / 'intrinsics.json')
        return super().verify(out, workers, whole) + [f'{stem} has no intrinsics' for stems in listed.values() for stem in stems
                                                      if stem not in cameras]

    @classmethod
    def oddities(cls, folder, path, image):
        """A depth that is not that of a room."""
        if folder == 'depth' and image.any():
            median = float(np.median(image[image > 0])) / 1000
            if not PLAUSIBLE_DEPTH[0] <= median <= PLAUSIBLE_DEPTH[1]:
                return [f'{path} has a median depth of {median} m']
        return []

"""Releases that become folders of images, one folder for each kind of image, with lists of the samples beside them."""
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decur.datasets.finding import check_name, read_list
from decur.errors import ConfigError, DataError
from decur.parallel import run_jobs
from decur.readers.files import AutoReader

from .folder_writer import FolderWriter
from .release import Release


class Content(NamedTuple):
    """What every image of a folder is.

    Attributes:
        channels (int): C.
        dtype (str): Type of its values.
        largest (int | None): Largest label, of label maps.
        suffixes (tuple[str]): Of its files; the first one is written.
        size (tuple[int] | None): Height and width, where all images have one size.
        optional (bool): Whether the folder may be absent.
    """

    channels: int
    dtype: str
    largest: int | None = None
    suffixes: tuple = ('.png', )
    size: tuple | None = None
    optional: bool = False


class FolderRelease(Release):
    """A release whose samples become images of the same name, one in each folder.

    Figures on a part of a benchmark cannot be compared with others, so a sample that cannot be read is an error.
    """

    may_leave_out = False
    #: Raised when the same release gives other files.
    version = 1
    #: Folders of the output.
    contents: Mapping[str, Content]
    #: The lists that together name every sample once, and how many samples of the whole data set each names.
    expected: Mapping[str, int]

    @abstractmethod
    def lists(self, units: Sequence) -> Mapping:
        """Names of lists, without the suffix ``.txt``, to the samples in them."""

    def settings(self) -> Mapping:
        """What the files depend on besides the release and :attr:`version`."""
        return {}

    def open(self, out, repair):
        """A folder."""
        return FolderWriter(out, dict(dataset=self.dataset, version=self.version, **self.settings()))

    @classmethod
    def file_names(cls, key: str) -> list:
        """The files of a sample, relative to the output, in the order of :attr:`contents`."""
        return [f'{folder}/{key}{content.suffixes[0]}' for folder, content in cls.contents.items()]

    def records_of(self, unit):
        """All files of the sample."""
        return self.file_names(unit.key)

    def count_files(self, units):
        """Where a unit names several files, all of them."""
        return sum(len(unit.files.get('paths', unit.files)) for unit in units)

    def damaged(self, out, units, workers):
        """Samples of which a file is not as it should be."""
        there = [unit.key for unit in units if all((out / name).is_file() for name in self.records_of(unit))]
        return {key for key, wrong in zip(there, self._check(out, there, workers, 'checking')) if wrong}

    def finish(self, writer, units, skipped):
        """The lists, which are there when everything else is."""
        for name, keys in self.lists(units).items():
            writer.put(f'{name}.txt', ''.join(f'{key}\n' for key in keys).encode())
        return len(units)

    @classmethod
    def listed(cls, out: Path) -> dict:
        """The samples of a finished output, by the lists of :attr:`expected`.

        Raises:
            ConfigError: If a list is missing, so that the output is not finished.
        """
        found = {}
        for name in cls.expected:
            path = Path(out) / f'{name}.txt'
            if not path.is_file():
                raise ConfigError(f'{path} does not exist: preparing was not finished. Run the same command without --verify; it goes on.')
            found[name] = [check_name(key, str(path)) for key in (read_list(path) if path.stat().st_size else [])]
        return found

    @classmethod
    def verify(cls, out, workers, whole):
        """Read every file and check it; and, if ``whole``, the number of samples in each list."""
        out, listed = Path(out), cls.listed(out)
        wrong = [f'{out / name}.txt lists {len(listed[name])} images, the whole data set has {count}'
                 for name, count in cls.expected.items() if whole and len(listed[name]) != count]
        keys = [key for names in listed.values() for key in names]
        return wrong + [problem for problems in cls._check(out, keys, workers, 'verifying') for problem in problems]

    @classmethod
    def _check(cls, out: Path, keys: Sequence, workers: int, title: str) -> list:
        """:meth:`problems` of each sample."""
        return run_jobs(partial(cls.problems, out), keys, workers, f'{title} {out}')

    @classmethod
    def problems(cls, out: Path, key: str) -> list:
        """What is wrong with a sample that was written: a list of sentences."""
        wrong, sizes = [], {}
        for folder, content in cls.contents.items():
            if content.optional and not (out / folder).is_dir():
                continue
            places = [out / folder / f'{key}{suffix}' for suffix in content.suffixes]
            path = next((place for place in places if place.exists()), places[0])
            try:
                image = AutoReader()(path) if path.exists() else None
            except DataError as error:
                wrong.append(str(error))
                continue
            if image is None:
                wrong.append(f'{path} is missing')
                continue
            sizes[folder] = image.shape[:2]
            if image.shape[2] != content.channels or image.dtype != content.dtype:
                wrong.append(f'{path} has {image.shape[2]} channels of {image.dtype}, expected {content.channels} of {content.dtype}')
            elif content.size and image.shape[:2] != content.size:
                wrong.append(f'{path} has {image.shape[0]}x{image.shape[1]} pixels, expected {content.size[0]}x{content.size[1]}')
            elif content.largest is not None and image.max() > content.largest:
                wrong.append(f'{path} has label id {int(image.max())}, outside 0..{content.largest}')
            else:
                wrong += cls.oddities(folder, path, image)
        if len(set(sizes.values())) > 1:
            wrong.append(f'{key}: sizes differ: {sizes}')
        return wrong

    @classmethod
    def oddities(cls, folder: str, path: Path, image: np.ndarray) -> list:
        """What only this data set knows to be wrong with an image ``(H, W, C)``: a list of sentences."""
        return []

    @classmethod
    def left_out(cls, out):
        """Nothing ever is."""
        return {}


def labelled_subsets(train: Sequence[str], counts: Sequence[int], seeds: Sequence[int], name: str = 'few{count}_seed{seed}') -> dict:
    """Lists of labelled training samples: of every seed the first ``count`` of one order, sorted. Counts above the number of samples have
    no list.
    """
    return {name.format(count=count, seed=seed): sorted(train[i] for i in np.random.default_rng(seed).permutation(len(train))[:count])
            for count in counts if count <= len(train) for seed in seeds}

"""What is particular to a public data set as its authors release it; :mod:`decur.prepare.engine` does the rest.

The unit of work is what becomes whole at once: the files of one scene, patch, raster or image. A unit becomes named records in an
output, which is a compact store (:class:`~decur.prepare.store_writer.StoreWriter`) or a folder of files
(:class:`~decur.prepare.folder_writer.FolderWriter`).
"""
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from decur.errors import DataError
from decur.readers.store import read_manifest

from .store_writer import StoreWriter, unreadable_records, verify_store


class Unit(NamedTuple):
    """Files that become records together."""

    key: str
    sample: str  # what --subset and --limit count
    files: Mapping  # {name: Path, bytes, or what else encode() understands}
    split: str = ''  # --limit counts in each


class FileGroup(Mapping):
    """``{name: path}``, the paths being ``prefix`` and a suffix by name. They are made when asked for: a release has millions."""

    __slots__ = ('prefix', 'suffixes')

    def __init__(self, prefix: str, suffixes: Mapping):
        self.prefix, self.suffixes = prefix, suffixes

    def __getitem__(self, name: str) -> Path:
        return Path(self.prefix + self.suffixes[name])

    def __iter__(self) -> Iterator:
        return iter(self.suffixes)

    def __len__(self) -> int:
        return len(self.suffixes)


class Release(ABC):
    """A data set as released.

    Args:
        src (str | Path): The folder of the release, extracted or as archives.

    Raises:
        DataError: If it is no folder.
    """

    #: Command, its help, and the id in the output.
    command: str
    title: str
    dataset: str
    #: Whether samples that cannot be read are left out and listed. Otherwise they are an error, after all the others are done.
    may_leave_out: bool = True
    #: Whether its files are read in other processes only, which they may end.
    apart: bool = False

    def __init__(self, src: str | Path):
        self.src = Path(src)
        #: Samples that are left out because a partner is missing, with the reason.
        self.unpaired: dict = {}
        #: Files that cannot be listed, with the reason.
        self.broken: dict = {}
        if not self.src.is_dir():
            raise DataError(f'{src} is not a folder. Give the folder that holds the extracted data set, or its archives.')

    @classmethod
    def lies_in(cls, folder: Path) -> bool:
        """Whether a folder holds the release in a form that no data set class reads, so that it must be prepared; by its names alone."""
        return False

    @classmethod
    def from_options(cls, src: str | Path, **options) -> 'Release':
        """The release that ``src`` holds; ``options`` are those of the class."""
        return cls(src, **options)

    @abstractmethod
    def units(self, samples: bool) -> list | None:
        """Every :class:`Unit` of the extracted folders, or None where there are none but perhaps archives.

        With ``samples``, each must know its sample, even where a file must be opened for it; without, it may be empty.
        """

    def archives(self) -> list:
        """The archives, each a list of its parts in order (see :func:`~decur.prepare.archives.find_archives`)."""
        return []

    def member(self, archive: str, path: tuple) -> tuple | None:
        """``(unit key, sample, file name)`` of an archive's member (its path as names), or None if it is not needed."""
        return None

    def needed(self, key: str) -> frozenset:
        """Names of the files that make a unit of an archive complete."""
        return frozenset()

    def listed(self, name: str) -> bool:
        """Whether the file must be read to know a unit's sample (:meth:`sample_of`)."""
        return False

    def sample_of(self, unit: Unit) -> str:
        """The sample of a unit, of whose files those in :meth:`listed` were read."""
        return unit.sample

    def count_files(self, units: Iterable) -> int:
        """How many files the units are read from."""
        return sum(len(unit.files) for unit in units)

    @abstractmethod
    def encode(self, key: str, files: Mapping) -> list:
        """The records ``[(name, bytes), ...]`` of a unit from its files; in worker processes.

        Files that :class:`Unit` gives by path were read (bytes) and are left out where they are absent.

        Raises:
            DataError: If a file is missing or cannot be read.
        """

    # The rest has defaults for releases that become a store; those that become a folder override it.

    def open(self, out: Path, repair: bool):
        """The output, claimed for this data set.

        Raises:
            DataError, ConfigError: If it holds something else, or cannot be written.
        """
        return StoreWriter(out, self.dataset, repair=repair)

    def records_of(self, unit: Unit) -> Sequence:
        """Names of records that are there when the unit is done: in a store its own key, which is written last."""
        return [unit.key]

    def unit_of(self, name: str) -> str:
        """The key of the unit that a record belongs to."""
        return name

    def damaged(self, out: Path, units: Sequence | None, workers: int) -> set:
        """Keys of the units some of whose records are damaged or missing; before the output is opened."""
        bad: list = []
        for check in (verify_store, unreadable_records):
            with suppress(DataError):  # not finished, so that no list says what must be there; or nothing is to be saved, as open() says
                bad += check(out)
        return {self.unit_of(key) for key in bad}

    @abstractmethod
    def finish(self, writer, units: Sequence | None, skipped: Mapping) -> int:
        """Write what tells readers that the output is whole; return how many records it has.

        Args:
            writer: Of :meth:`open`.
            units: Those that were asked for; None for archives.
            skipped: Keys of the units that were left out, with the reasons.
        """

    @classmethod
    def verify(cls, out: Path, workers: int, whole: bool) -> list:
        """What is wrong with a finished output, one text each. ``whole`` says that no part of the data set was left out.

        Raises:
            DataError, ConfigError: If it is not finished.
        """
        return [f'record {key} is damaged or missing' for key in verify_store(out)]

    @classmethod
    def left_out(cls, out: Path) -> Mapping:
        """What a finished output lacks because it could not be read, with the reasons."""
        return read_manifest(out).get('skipped', {})

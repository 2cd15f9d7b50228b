"""What the preparations of the remote-sensing data sets share: folders or archives in, the compact store out.

A data set is described by a :class:`Preparation`; everything else (streaming archives, parallel encoding, progress, figures, resuming,
repairing, the command line) is here. The unit of work is what becomes whole at once: the files of one scene, patch or raster. Its
records are written together, the one under the unit's own key last, so a unit whose key is in the store is done.
"""
import io
import json
import math
import multiprocessing
import re
import shutil
import tarfile
import time
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from decur.errors import ConfigError, DataError
from decur.progress import Progress
from decur.readers.store import decode, is_store, read_manifest, record_keys

from .store_writer import StoreWriter, verify_store

_PART = re.compile(r'^(?P<stem>.+?\.tar(?:\.gz|\.zst)?)\.?(?:part)?-?(?P<part>[a-z]{2}|\d+)$')
_ARCHIVE = re.compile(r'\.(tar|tar\.gz|tgz|tar\.zst)$')


class Unit(NamedTuple):
    """Files that become records together."""

    key: str
    sample: str  # what --subset draws
    files: Mapping  # {name: Path, bytes, or what else encode() understands}


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


class Preparation(ABC):
    """What is particular to a data set.

    Args:
        src (str | Path): The folder of the release, extracted or as archives.

    Raises:
        DataError: If it is no folder.
    """

    #: Command, its help, and the id in the manifest.
    command: str
    title: str
    dataset: str

    def __init__(self, src: str | Path):
        self.src = Path(src)
        #: Samples that are left out because a partner is missing, with the reason.
        self.unpaired: dict = {}
        #: Files that cannot be listed, with the reason.
        self.broken: dict = {}
        if not self.src.is_dir():
            raise DataError(f'{src} is not a folder. Give the folder that holds the extracted data set, or its archives.')

    @abstractmethod
    def units(self, samples: bool) -> list | None:
        """Every :class:`Unit` of the extracted folders, or None where there are none but perhaps archives.

        With ``samples``, each must know its sample, even where a file must be opened for it; without, it may be empty.
        """

    @abstractmethod
    def archives(self) -> list:
        """The archives, each a list of its parts in order (see :func:`find_archives`)."""

    @abstractmethod
    def member(self, archive: str, pieces: tuple) -> tuple | None:
        """``(unit key, sample, file name)`` of an archive's member (its path in ``pieces``), or None if it is not needed."""

    def listed(self, name: str) -> bool:
        """Whether the file must be read to know a unit's sample (:meth:`sample_of`)."""
        return False

    def sample_of(self, unit: Unit) -> str:
        """The sample of a unit, of whose files those in :meth:`listed` were read."""
        return unit.sample

    @abstractmethod
    def needed(self, key: str) -> frozenset:
        """Names of the files that make the unit complete."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of a unit in the store, about."""

    @classmethod
    @abstractmethod
    def encode(cls, key: str, files: Mapping) -> list:
        """The records ``[(key, bytes), ...]`` of a unit from its files, its own key last. Runs in worker processes.

        Files that :class:`Unit` gives by path were read (bytes) and are left out where they are absent.

        Raises:
            DataError: If a file is missing or cannot be read.
        """

    def count_files(self, units: Iterable) -> int:
        """How many files the units are read from."""
        return sum(len(unit.files) for unit in units)

    def unit_of(self, key: str) -> str:
        """The key of the unit that a record belongs to."""
        return key

    @abstractmethod
    def finish(self, writer: StoreWriter) -> tuple:
        """What the manifest says about the records, and the index (or None)."""


def read_raster(data: bytes, name: str) -> np.ndarray:
    """A raster file in memory as ``(C, H, W)``.

    Raises:
        DataError: If it cannot be read whole.
    """
    import warnings

    from rasterio.errors import NotGeoreferencedWarning
    if not data:  # which rasterio takes for a file to be written
        raise DataError(f'{name} is empty. Download or extract it again.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.MemoryFile(data) as memory, memory.open() as raster:
                return raster.read()
    except RasterioError as error:
        # GDAL's own reason is the cause: the error itself only points to it.
        raise DataError(f'{name} cannot be read ({error.__cause__ or error}). Is it complete?') from error


def read_bands(key: str, files: Mapping, bands: Iterable) -> dict:
    """``{band: (h, w)}`` from single-band rasters in memory.

    Raises:
        DataError: If one is missing or cannot be read.
    """
    missing = [band for band in bands if band not in files]
    if missing:
        raise DataError(f'no band {missing}')
    return {band: read_raster(files[band], f'{key}/{band}.tif')[0] for band in bands}


def find_archives(folder: Path, pattern: str) -> list:
    """Archives in a folder whose name matches ``pattern``, each a list of parts in order.

    ``NAME.tar``, ``.tar.gz``, ``.tgz``, ``.tar.zst``, or split: ``NAME.tar.gz.partaa``, ``.partab``, ..., ``NAME.tar.gzaa``, ...

    Raises:
        DataError: If a part is missing between the others.
    """
    groups: dict = {}
    for path in sorted(folder.iterdir()):
        found = None if _ARCHIVE.search(path.name) else _PART.match(path.name)
        stem = found.group('stem') if found else path.name
        if path.is_file() and _ARCHIVE.search(stem) and re.match(pattern, stem):
            groups.setdefault(stem, []).append((found.group('part') if found else '', path))
    for stem, parts in groups.items():
        if not parts[0][0]:
            continue
        letters = parts[0][0].isalpha()
        numbers = [ord(part[0]) * 26 + ord(part[1]) - 97 * 27 if letters else int(part) for part, _ in parts]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or (letters and numbers[0] != 0) or numbers[0] > 1:
            raise DataError(f'{folder / stem}: a part is missing; there are {[part for part, _ in parts]}.')
    return [[path for _, path in parts] for parts in groups.values()]


class _Parts(io.RawIOBase):
    """The concatenation of files as one stream, without writing it anywhere; ``position`` counts the bytes that were read."""

    def __init__(self, paths: Iterable):
        self.paths = [Path(path) for path in paths]
        self.file = None
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while True:
            if self.file is None:
                if not self.paths:
                    return 0
                self.file = open(self.paths.pop(0), 'rb')
            count = self.file.readinto(buffer)
            if count:
                self.position += count
                return count
            self.file.close()
            self.file = None

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
        super().close()


class _Member(tarfile.TarInfo):
    """A member of an archive; one that ends without its end mark is cut short, which tarfile alone takes for the end."""

    @classmethod
    def fromtarfile(cls, archive):
        try:
            return super().fromtarfile(archive)
        except tarfile.EmptyHeaderError as error:
            raise tarfile.ReadError('it ends without its end mark') from error


def _decompressed(stream, parts: list):
    """The stream of a zstd archive decompressed (tarfile itself knows gzip, bzip2 and xz)."""
    if '.tar.zst' not in parts[0].name:
        return stream
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(f"{parts[0]}: reading zstd archives needs pyarrow: pip install 'decur[data]'.") from error
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, 'r'), 'zstd')


def stream_units(data: Preparation, parts: list, wanted: Callable, seen: Callable = lambda position: None,
                 contents: Callable = lambda name: True) -> Iterator[Unit]:
    """Units of an archive in one pass over it, in its order; incomplete ones at the end.

    Args:
        data: The data set.
        parts: Files of the archive.
        wanted: Whether to take the unit ``(key, sample)``.
        seen: Is told after each member how many bytes of the archive were read.
        contents: Whether to read a file, by name; else it is there, but empty.

    Raises:
        DataError: If the archive is damaged or cut short; names the last unit before that.
    """
    collected: dict = {}
    last = None
    raw = _Parts(parts)
    try:
        with io.BufferedReader(raw, 1 << 20) as stream, \
                tarfile.open(fileobj=_decompressed(stream, parts), mode='r|*', tarinfo=_Member) as archive:
            for member in archive:
                archive.members = []  # tarfile remembers every member: gigabytes for millions
                seen(raw.position)
                found = data.member(parts[0].name, PurePosixPath(member.name).parts) if member.isfile() else None
                if found is None or not wanted(*found[:2]):
                    continue
                key, sample, name = last = found
                unit = collected.setdefault(key, Unit(key, sample, {}))
                unit.files[name] = archive.extractfile(member).read() if contents(name) else b''
                if data.needed(key) <= set(unit.files):
                    yield collected.pop(key)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        after = f' after {last[0]} ({last[2]})' if last else ''
        raise DataError(f'{parts[0]} is damaged or cut short{after}: {error}. Download it again and run the same command: what is in the '
                        'store already is not done again.') from error
    yield from collected.values()


def choose(samples: Iterable, subset: float | None, seed: int) -> list:
    """A share (up to 1) or a number (above 1) of the samples, drawn without replacement; sorted, so that order does not matter.

    Raises:
        ConfigError: If there are not so many.
    """
    samples = sorted(set(samples))
    if subset is None:
        return samples
    count = round(subset * len(samples)) if subset <= 1 else int(subset)
    if not 0 < count <= len(samples):
        raise ConfigError(f'--subset {subset}: there are {len(samples)} samples. Give a share above 0 and up to 1, or a number of samples.')
    chosen = np.random.default_rng(seed).choice(len(samples), count, replace=False)
    return [samples[i] for i in sorted(chosen)]


def _encode(encode: Callable, unit: Unit) -> tuple:
    """``(key, records, problem)``; runs in the workers."""
    try:
        files = {name: file.read_bytes() if isinstance(file, Path) else file for name, file in unit.files.items()
                 if not isinstance(file, Path) or file.is_file()}
        return unit.key, encode(unit.key, files), ''
    except (DataError, OSError) as error:
        return unit.key, [], str(error)


def _parallel(function: Callable, jobs: Iterable, workers: int) -> Iterator:
    """``map`` in processes, in order, never more than a few jobs ahead: an archive's files are not piled up in memory.

    If ``jobs`` fails, the results of those before it still come.
    """
    if workers <= 1:
        yield from map(function, jobs)
        return
    with multiprocessing.get_context('fork').Pool(workers) as pool:
        waiting: deque = deque()
        failure = None
        try:
            for job in jobs:
                waiting.append(pool.apply_async(function, (job, )))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().get()
        except DataError as error:
            failure = error
        while waiting:
            yield waiting.popleft().get()
        if failure is not None:
            raise failure


class _Run:
    """One run of a preparation."""

    def __init__(self, data: Preparation, out: Path, workers: int, repair: bool):
        self.data, self.workers = data, workers
        named = _named(out) if repair else []
        self.writer = StoreWriter(out, data.dataset, repair=repair)
        absent = [key for key in named if key not in self.writer]
        #: Units to be made again.
        self.damaged = {data.unit_of(key) for key in (*absent, *(_unreadable(self.writer) if repair else ()))}
        self.skipped: dict = dict(data.broken)

    def missing(self, key: str) -> bool:
        """Whether a unit is still to be done."""
        return key in self.damaged or key not in self.writer

    def write(self, units: Iterable, shown: Callable) -> None:
        """Encode units and put them into the store."""
        try:
            for key, records, problem in _parallel(partial(_encode, self.data.encode), units, self.workers):
                if problem:
                    self.skipped[key] = problem
                for record in records:
                    self.writer.put(*record)
                shown()
        except DataError:
            self.writer.commit()  # what is whole stays
            raise
        self.writer.commit()


def _named(out: Path) -> list:
    try:
        return record_keys(out)
    except DataError:
        return []  # not finished: no list to compare with


def _unreadable(writer: StoreWriter) -> Iterator[str]:
    for key in writer.keys():
        try:
            decode(writer.get(key), key)
        except DataError:
            yield key


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _check_space(out: Path, size: int) -> None:
    free = shutil.disk_usage(_existing(out)).free
    if free < size:
        raise DataError(f'{out} needs {size / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left.')


def _probe(data: Preparation, units: Iterable, seconds: float = 2.) -> tuple:
    """Encode units for a while: how many, their bytes in the store, and the seconds it took."""
    start, count, size = time.perf_counter(), 0, 0
    for unit in units:
        _, records, _ = _encode(data.encode, unit)
        count += 1
        size += sum(len(record) for _, record in records)
        if time.perf_counter() - start > seconds:
            break
    return count, size, time.perf_counter() - start


def prepare(data: Preparation, out: str | Path, subset: float | None = None, seed: int = 0, workers: int = 1, dry_run: bool = False,
            repair: bool = False) -> dict:
    """Write the store ``out`` and return its figures.

    Goes on where it was stopped, and ends with the same store. A file that cannot be read is reported with its unit and left out;
    ``skipped`` in the manifest lists it, and the next run tries it again.

    Args:
        data: The data set.
        out: The store.
        subset: Share (up to 1) or number of samples, drawn without replacement with ``seed``. Archives are then read once more before,
            to know what is in them.
        seed: Of the subset.
        workers: Processes that read and encode.
        dry_run: Count and estimate only; nothing is written.
        repair: Check the records that are there and make damaged ones again.

    Raises:
        DataError: If an archive is damaged, or the store cannot be written.
        ConfigError: If the subset cannot be drawn.
    """
    out = Path(out)
    units = data.units(subset is not None)
    groups = [] if units is not None else data.archives()
    if units is not None:
        chosen = set(choose((unit.sample for unit in units if unit.sample), subset, seed))
        units = [unit for unit in units if subset is None or unit.sample in chosen]
        size = sum(data.size(unit.key) for unit in units)
        figures = dict(samples=len(chosen), unpaired=len(data.unpaired), records=len(units),
                       files_to_read=data.count_files(units), files_to_write=4, bytes=size)
    else:
        size = sum(map(_bytes, groups))
        figures = dict(archives=len(groups), files_to_write=4, bytes_of_archives=size)
        chosen = None
    if dry_run:
        return _dry_run(data, units, groups, figures, workers)
    if units is None and subset is not None:
        chosen = set(choose(_names(data, groups), subset, seed))
        figures['samples'] = len(chosen)
        size = int(size * min(1., subset))
    if not is_store(out):
        _check_space(out, size)
    run = _Run(data, out, workers, repair)
    try:
        if units is not None:
            todo = [unit for unit in units if run.missing(unit.key)]
            with Progress(len(todo), data.command) as progress:
                run.write(todo, progress.update)
        for parts in groups:
            run.write(_shown_units(data, parts, parts[0].name,
                                   lambda key, sample: (chosen is None or sample in chosen) and run.missing(key)), lambda: None)
        try:
            manifest, index = data.finish(run.writer)
        except OSError as error:
            raise DataError(f'{out} cannot be written ({error}). Is the disk full? All records are whole; free some space and run the same '
                            'command again.') from error
        run.writer.finish(dict(manifest, skipped=run.skipped), index)
    finally:
        run.writer.close()
    return dict(figures, done=len(record_keys(out)), skipped=run.skipped)


def _bytes(parts: Iterable) -> int:
    return sum(path.stat().st_size for path in parts)


def _shown_units(data: Preparation, parts: list, title: str, wanted: Callable, contents: Callable = lambda name: True) -> Iterator[Unit]:
    """:func:`stream_units` with a display of how much of the archive was read."""
    with Progress(math.ceil(_bytes(parts) / 1e6), title, 'MB') as progress:
        yield from stream_units(data, parts, wanted, lambda position: progress.advance(int(position / 1e6)), contents)
        progress.advance(progress.total)  # the last members are read ahead, and what follows them is not read


def _names(data: Preparation, groups: list) -> list:
    samples: set = set()
    for parts in groups:
        units = _shown_units(data, parts, f'listing {parts[0].name}', lambda key, sample: True, data.listed)
        samples |= {data.sample_of(unit) for unit in units}
    return list(samples)


def _dry_run(data: Preparation, units: list | None, groups: list, figures: dict, workers: int) -> dict:
    """Add the time, and for archives what is in them, extrapolated from the first ones."""
    if units is not None:
        count, _, seconds = _probe(data, units)
        figures['minutes_about'] = round(seconds / max(1, count) * len(units) / max(1, workers) / 60, 1)
        return figures
    records = size = minutes = 0.
    for parts in groups:
        total = _bytes(parts)
        position = [1]
        count, written, seconds = _probe(data, stream_units(data, parts, lambda key, sample: True,
                                                            lambda now, position=position: position.__setitem__(0, max(1, now))))
        share = total / min(total, position[0])
        records, size, minutes = records + share * count, size + share * written, minutes + share * seconds / 60
    return dict(figures, records_about=round(records), bytes_about=round(size), minutes_about=round(minutes / max(1, workers), 1))


def add_parser(subparsers, build: Callable, preparation: type, extend: Callable = lambda parser: None) -> None:
    """Add a data set's command.

    Args:
        subparsers: Of the command line.
        build: ``build(args) -> Preparation``.
        preparation: Its class.
        extend: Adds what only this data set has.
    """
    parser = subparsers.add_parser(preparation.command, help=preparation.title, description=preparation.__doc__)
    parser.add_argument('src', help='folder of the release: extracted, or the archives (whole or in parts)')
    parser.add_argument('out', help='the store')
    parser.add_argument('--subset', type=float, help='share (to 1) or number of samples, drawn without replacement')
    parser.add_argument('--seed', type=int, default=0, help='of --subset')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--dry-run', action='store_true', help='count records, bytes, files and time; write nothing')
    parser.add_argument('--verify', action='store_true', help='check every record of the store; write nothing')
    parser.add_argument('--repair', action='store_true', help='make damaged records again')
    extend(parser)
    parser.set_defaults(run=partial(_run, build))


def _run(build: Callable, args) -> None:
    if args.verify:
        bad = verify_store(args.out)
        if bad:
            raise DataError(f'{len(bad)} record(s) of {args.out} are damaged or missing: {", ".join(bad[:10])}. Run the same command with '
                            '--repair instead of --verify.')
        skipped = read_manifest(args.out).get('skipped', {})
        print(f'{args.out}: every record is whole' + (f'; {len(skipped)} were left out' if skipped else ''))
        return
    data = build(args)
    figures = prepare(data, args.out, args.subset, args.seed, args.workers, args.dry_run, args.repair)
    for sample, problem in list(data.unpaired.items())[:20]:
        print(f'left out {sample}: {problem}')
    for key, problem in figures.get('skipped', {}).items():
        print(f'left out {key}: {problem}')
    print(json.dumps({key: len(value) if key == 'skipped' else value for key, value in figures.items()}))

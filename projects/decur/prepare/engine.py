"""Preparing any public data set: choose samples, stream archives, encode in parallel, write, go on, repair, estimate.

The data set is a :class:`~decur.prepare.release.Release`. Records of a unit are written together, so a unit whose records are in the
output is done, and the same command goes on where it was killed.
"""
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from decur.datasets.finding import is_hidden
from decur.errors import ConfigError, DataError
from decur.parallel import parallel_map
from decur.progress import Progress
from decur.writing import check_writable, read_json, write_json

from .archives import ArchiveError, read_members, size_of
from .release import Release, Unit

#: In the output: which archives were begun, and which of them were found whole at their end.
ARCHIVES = 'archives.json'
#: Bytes of files of incomplete units of an archive that are kept in memory.
_LARGEST_WAITING = 256 << 20


def prepare(release: Release, out: str | Path, subset: float | None = None, limit: int | None = None, seed: int = 0, workers: int = 1,
            dry_run: bool = False, repair: bool = False) -> dict:
    """Write the output ``out`` and return its figures.

    Goes on where it was stopped, and ends with the same output. A file that cannot be read is reported with its unit; the next run tries
    it again.

    Args:
        release: The data set.
        out: The store or folder.
        subset: Share (up to 1) or number of samples, drawn without replacement with ``seed``. Archives are then read once more before,
            to know what is in them.
        limit: Only the first so many samples of each split (of those that ``subset`` drew).
        seed: Of the subset.
        workers: Processes that read and encode.
        dry_run: Count and estimate only; nothing is written.
        repair: Check the records that are there and make damaged ones again.

    Raises:
        DataError: If an archive is damaged, the output cannot be written, or a sample of a data set that must be complete cannot be read.
        ConfigError: If the samples cannot be chosen, or the output holds another data set.
    """
    out = Path(out)
    if not dry_run:
        check_writable(out)
    units = release.units(subset is not None or limit is not None)
    groups = [] if units is not None else release.archives()
    chosen = None
    if units is not None:
        chosen = choose({unit.sample: unit.split for unit in units if unit.sample}, subset, limit, seed)
        units = [unit for unit in units if subset is limit is None or unit.sample in chosen]
        figures = dict(samples=len(chosen), **Counter(split for split in chosen.values() if split), unpaired=len(release.unpaired),
                       records=len(units), files_to_read=release.count_files(units))
    else:
        figures = dict(archives=len(groups), bytes_of_archives=sum(map(size_of, groups)))
    if dry_run:
        estimate = estimate_units(release, units, workers) if units is not None else estimate_archives(release, groups, workers)
        return {**figures, **estimate}
    if units is None and not subset is limit is None:
        chosen = choose(dict.fromkeys(_names(release, groups), ''), subset, limit, seed)
        figures['samples'] = len(chosen)
    run = _Run(release, out, units, workers, repair)
    try:
        if units is not None:
            run.write_units([unit for unit in units if run.missing(unit)])
        for parts in groups:
            run.write_archive(parts, chosen)
        if run.skipped and (not release.may_leave_out or run.writer.is_empty()):
            raise _failed(release, run.skipped)
        done = release.finish(run.writer, units, run.skipped)
        if not done and run.skipped:
            raise _failed(release, run.skipped)
    finally:
        run.writer.close()
    return dict(figures, done=done, skipped=run.skipped)


def _failed(release: Release, skipped: Mapping) -> DataError:
    name, problem = next(iter(skipped.items()))
    return DataError(f'{release.dataset}: {len(skipped)} sample(s) cannot be prepared, the first is {name}: {problem.rstrip(".")}. The '
                     'others are done; mend the files and run the same command again.')


def choose(samples: Mapping, subset: float | None, limit: int | None, seed: int) -> dict:
    """Which of the samples ``{name: split}`` to prepare, in their order: a share or number of them, then the first of each split.

    Raises:
        ConfigError: If there are not so many.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f'--limit {limit}: give a number of samples, at least 1.')
    if subset is not None:
        count = round(subset * len(samples)) if subset <= 1 else int(subset)
        if not 0 < count <= len(samples):
            raise ConfigError(f'--subset {subset}: there are {len(samples)} samples. Give a share above 0 and up to 1, or a number of '
                              'samples.')
        names = sorted(samples)  # so that the draw does not depend on the order of the release
        drawn = {names[i] for i in np.random.default_rng(seed).choice(len(names), count, replace=False)}
        samples = {name: split for name, split in samples.items() if name in drawn}
    if limit is not None:
        places: Counter = Counter()
        samples = {name: split for name, split in samples.items() if (places.update([split]) or places[split] <= limit)}
    return dict(samples)


class _Run:
    """One run of a preparation."""

    def __init__(self, release: Release, out: Path, units: list | None, workers: int, repair: bool):
        self.release, self.workers = release, workers
        #: Keys of units to be made again.
        self.damaged = release.damaged(out, units, workers) if repair else set()
        self.writer = release.open(out, repair)
        self.log = _ArchiveLog(out)
        self.skipped: dict = dict(release.broken)

    def missing(self, unit: Unit) -> bool:
        """Whether a unit is still to be done."""
        return unit.key in self.damaged or not all(name in self.writer for name in self.release.records_of(unit))

    def write_units(self, units: list) -> None:
        """Units of extracted folders."""
        if not units:
            return
        self._check_space(estimate_units(self.release, units, self.workers, 16, 1.)['bytes'])
        with Progress(len(units), self.release.command) as progress:
            self._write(units, progress.update)

    def write_archive(self, parts: list, chosen: Mapping | None) -> None:
        """Units of an archive. Those of an archive that turns out to be damaged are taken back."""
        trusted = self.log.begin(parts)
        touched: set = set()

        def wanted(key: str, sample: str) -> bool:
            if chosen is not None and sample not in chosen:
                return False
            touched.add(key)
            return not trusted or self.missing(Unit(key, sample, {}))

        if shutil.disk_usage(self.writer.folder).free < 2 * size_of(parts):
            self._check_space(estimate_archives(self.release, [parts], self.workers, wanted)['bytes_about'])
            touched.clear()
        try:
            self._write(_shown_units(self.release, parts, parts[0].name, wanted), lambda: None)
        except ArchiveError:
            if not self.log.found_whole(parts):
                self.writer.delete(touched)
            raise
        self.log.end(parts)

    def _write(self, units: Iterable, shown: Callable) -> None:
        try:
            for key, records, problem in parallel_map(partial(encode_unit, self.release), units, self.workers, self.release.apart):
                if problem:
                    self.skipped[key] = problem
                for record in records:
                    self.writer.put(*record)
                shown()
        except DataError:
            self.writer.commit()  # what is whole stays
            raise
        self.writer.commit()

    def _check_space(self, size: int) -> None:
        """Refuse to begin what the disk cannot hold. ``size`` is an estimate, so what may just fit is begun."""
        free = shutil.disk_usage(self.writer.folder).free
        if free < .8 * size:
            raise DataError(f'{self.writer.folder}: about {size / 1e6:.0f} MB are still to be written, the disk has {free / 1e6:.0f} MB '
                            'left. Free some space and run the same command again.')


def encode_unit(release: Release, unit: Unit) -> tuple:
    """``(key, records, problem)`` of a unit; runs in the workers."""
    try:
        files = {name: file.read_bytes() if isinstance(file, Path) else file for name, file in unit.files.items()
                 if not isinstance(file, Path) or file.is_file()}
        return unit.key, release.encode(unit.key, files), ''
    except (DataError, OSError) as error:
        return unit.key, [], str(error)


def stream_units(release: Release, parts: list, wanted: Callable, seen: Callable = lambda position: None,
                 contents: Callable = lambda name: True) -> Iterator[Unit]:
    """Units of an archive in one pass over it, in its order; incomplete ones at the end.

    Args:
        release: The data set.
        parts: Files of the archive.
        wanted: Whether to take the unit ``(key, sample)``.
        seen: Is told how many bytes of the archive were read; a true answer ends the reading.
        contents: Whether a file's content is used, by name; else it is there, but empty.

    Raises:
        ArchiveError: If the archive is damaged, cut short or hostile.
    """
    collected: dict = {}
    waiting = 0

    def needed(path: tuple) -> bool:
        found = None if any(map(is_hidden, path)) else release.member(parts[0].name, path)
        return found is not None and wanted(*found[:2])

    for path, content in read_members(parts, needed, seen):
        key, sample, name = release.member(parts[0].name, path)
        unit = collected.setdefault(key, Unit(key, sample, {}))
        unit.files[name] = content if contents(name) else b''
        waiting += len(unit.files[name])
        if release.needed(key) <= set(unit.files):
            waiting -= sum(map(len, unit.files.values()))
            yield collected.pop(key)
        if waiting > _LARGEST_WAITING:
            raise ArchiveError(f'{parts[0]}: files of more than {len(collected)} samples are apart, so that none is complete. Extract the '
                               'archive and give its folder.')
    yield from collected.values()


def _shown_units(release: Release, parts: list, title: str, wanted: Callable, contents: Callable = lambda name: True) -> Iterator[Unit]:
    """:func:`stream_units` with a display of how much of the archive was read."""
    with Progress(math.ceil(size_of(parts) / 1e6), title, 'MB') as progress:
        yield from stream_units(release, parts, wanted, lambda position: progress.advance(math.ceil(position / 1e6)), contents)


def _names(release: Release, groups: list) -> list:
    """Samples of the archives, sorted."""
    samples: set = set()
    for parts in groups:
        units = _shown_units(release, parts, f'listing {parts[0].name}', lambda key, sample: True, release.listed)
        samples |= {release.sample_of(unit) for unit in units}
    return sorted(samples)


class _ArchiveLog:
    """Which archives an output was made of, so that records of one that was never found whole are not kept when another takes its place.

    The checksum of an archive is at its end: what was written before is known to be right only when the end was reached.
    """

    def __init__(self, out: Path):
        self.path = out / ARCHIVES
        try:
            archives = read_json(self.path).get('archives')
        except DataError:
            archives = None
        self.archives = archives if isinstance(archives, dict) else {}

    @staticmethod
    def _identity(parts: list) -> list:
        return [[path.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for path in parts for stat in [path.stat()]]

    def begin(self, parts: list) -> bool:
        """Note that an archive is read. Returns whether records that the output has of it may stay: the archive was read to its end
        before, or it is still the file that they were made of.
        """
        before = self.archives.get(parts[0].name)
        known = isinstance(before, dict)
        trusted = not known or before.get('whole') is True or before.get('files') == self._identity(parts)
        if not (known and before.get('whole') is True):
            self._note(parts, False)
        return trusted

    def found_whole(self, parts: list) -> bool:
        """Whether the end of this archive was reached before."""
        return self.archives[parts[0].name].get('whole') is True

    def end(self, parts: list) -> None:
        """Note that its end was reached and its checksums fit."""
        self._note(parts, True)

    def _note(self, parts: list, whole: bool) -> None:
        self.archives[parts[0].name] = dict(files=self._identity(parts), whole=whole)
        write_json(self.path, dict(archives=self.archives))


def _encode_some(release: Release, units: Iterable, seconds: float) -> tuple:
    """Encode units until the time is over: their number, their bytes in the output, and the seconds that it took."""
    start, count, size = time.perf_counter(), 0, 0
    for unit in units:
        if time.perf_counter() - start > seconds:  # what an archive that is not read further gives last is incomplete
            break
        count += 1
        size += sum(len(record) for _, record in encode_unit(release, unit)[1])
        if time.perf_counter() - start > seconds:  # before more of the archive is read, which would count as done
            break
    return count, size, time.perf_counter() - start


def estimate_units(release: Release, units: list, workers: int, count: int = 256, seconds: float = 2.) -> dict:
    """Bytes in the output and minutes of extracted units, from some that are drawn and encoded: ``count`` at most, for ``seconds``."""
    drawn = np.random.default_rng(0).choice(len(units), min(count, len(units)), replace=False) if units else []
    found, size, spent = _encode_some(release, (units[i] for i in drawn), seconds)
    scale = len(units) / max(1, found)
    return dict(bytes=round(scale * size), minutes_about=round(scale * spent / max(1, workers) / 60, 1))


def estimate_archives(release: Release, groups: list, workers: int, wanted: Callable = lambda key, sample: True,
                      seconds: float = 2.) -> dict:
    """Records and bytes in the output and minutes of archives, extrapolated from the first ``seconds`` of each."""
    totals = np.zeros(3)  # records, bytes, seconds
    for parts in groups:
        end, position = time.perf_counter() + seconds, 1

        def over(now: int, end=end) -> bool:
            nonlocal position
            position = max(1, now)
            return time.perf_counter() > end

        found = _encode_some(release, stream_units(release, parts, wanted, over), seconds)
        total = size_of(parts)
        totals += total / min(total, position) * np.array(found)
    records, size, spent = totals.tolist()
    return dict(records_about=round(records), bytes_about=round(size), minutes_about=round(spent / max(1, workers) / 60, 1))

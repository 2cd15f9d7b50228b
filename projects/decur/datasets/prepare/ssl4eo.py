"""SSL4EO-S12 v1.0 to the compact store: from the extracted folders, or straight from the tar archives (whole or in split parts).

The store keeps every band at its native resolution in its own type, so reading it gives the arrays that the files give.
"""
import io
import json
import multiprocessing
import re
import shutil
import tarfile
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from mmengine.utils import ProgressBar
from rasterio.errors import RasterioError

from decur.errors import ConfigError, DataError

from ..ssl4eo import PRODUCTS, list_scenes, scene_time
from ..store import MANIFEST, StoreWriter, decode, encode, read_manifest, verify_store

DATASET = 'ssl4eo-s12-v1.0'
_PART = re.compile(r'^(?P<stem>.+\.tar(?:\.gz)?)\.?part(?P<part>[a-z]{2}|\d+)$')


def native_bytes(product: str) -> int:
    """Bytes of one season of a product as the store keeps it."""
    sizes = {'B1': 44, 'B9': 44, 'B10': 44, **{b: 264 for b in ('B2', 'B3', 'B4', 'B8', 'VV', 'VH')}}
    return sum(sizes.get(band, 132)**2 for band in PRODUCTS[product]) * (4 if product == 's1' else 2)


def read_band(data: bytes, name: str) -> np.ndarray:
    """A single-band GeoTIFF in memory as ``(h, w)``.

    Raises:
        DataError: If it cannot be read whole.
    """
    try:
        with rasterio.MemoryFile(data) as memory, memory.open() as raster:
            return raster.read(1)
    except RasterioError as error:
        raise DataError(f'{name} cannot be read ({error}). Is it complete?') from error


def _encode_folder(job: tuple) -> tuple:
    """One scene folder, ``(key, folder, product)``, to ``(key, record or None, problem)``."""
    key, folder, product = job
    paths = {band: Path(folder) / f'{band}.tif' for band in PRODUCTS[product]}
    return _encode_bytes((key, {band: path.read_bytes() for band, path in paths.items() if path.is_file()}, product))


def _encode_bytes(job: tuple) -> tuple:
    """One scene's files, ``(key, {band: bytes}, product)``, to ``(key, record or None, problem)``."""
    key, bands, product = job
    missing = [band for band in PRODUCTS[product] if band not in bands]
    if missing:
        return key, None, f'no band {missing}'
    try:
        return key, encode({band: read_band(bands[band], f'{key}/{band}.tif') for band in PRODUCTS[product]}), ''
    except DataError as error:
        return key, None, str(error)


class _Parts(io.RawIOBase):
    """The concatenation of files as one stream, without writing it anywhere."""

    def __init__(self, paths: Iterable):
        self.paths = [Path(path) for path in paths]
        self.file = None

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
                return count
            self.file.close()
            self.file = None


def archives(folder: Path, product: str) -> list:
    """Archives of a product in a folder, each a list of parts in order: ``s1.tar.gz``, or ``s1.tar.gz.partaa``, ``.partab``, ...

    Raises:
        DataError: If a part is missing between the others.
    """
    groups: dict = {}
    for path in sorted(folder.iterdir()):
        found = _PART.match(path.name)
        stem = found.group('stem') if found else path.name
        if path.is_file() and re.match(rf'{product}(?![a-z0-9]).*\.tar(\.gz)?$', stem):
            groups.setdefault(stem, []).append((found.group('part') if found else '', path))
    for stem, parts in groups.items():
        if parts[0][0].isalpha():
            numbers = [ord(part[0]) * 26 + ord(part[1]) - 97 * 27 for part, _ in parts]
            if numbers != list(range(len(numbers))):
                raise DataError(f'{folder / stem}: a part is missing; there are {[part for part, _ in parts]}.')
    return [[path for _, path in parts] for parts in groups.values()]


def _tar_scenes(parts: list, product: str, wanted) -> Iterator[tuple]:
    """``(key, {band: bytes})`` of the scenes of an archive whose key is ``wanted``, in one pass over it."""
    collected: dict = {}
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Parts(parts), 1 << 20), mode='r|*') as archive:
            for member in archive:
                pieces = Path(member.name).parts
                if not member.isfile() or len(pieces) < 3 or not pieces[-1].endswith('.tif'):
                    continue
                scene_time(pieces[-2])  # an unknown scene name is an error
                key = f'{pieces[-3]}/{product}/{pieces[-2]}'
                if not wanted(key):
                    continue
                bands = collected.setdefault(key, {})
                bands[pieces[-1][:-4]] = archive.extractfile(member).read()
                if set(PRODUCTS[product]) <= set(bands):
                    yield key, collected.pop(key)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f'{parts[0]} is damaged or cut short ({error}). Download it again and run the same command: what is in the store '
                        'already is not done again.') from error
    yield from collected.items()


def _choose(locations: list, subset: float | None, seed: int) -> list:
    """A share (or, above 1, a number) of the locations, drawn without replacement."""
    if subset is None:
        return locations
    count = round(subset * len(locations)) if subset <= 1 else int(subset)
    if not 0 < count <= len(locations):
        raise ConfigError(f'--subset {subset}: there are {len(locations)} locations.')
    chosen = np.random.default_rng(seed).choice(len(locations), count, replace=False)
    return [locations[i] for i in sorted(chosen)]


def prepare(src, out, products=('s1', 's2c'), subset=None, seed=0, workers=1, dry_run=False, repair=False) -> dict:
    """Write the store ``out`` from ``src`` and return its figures.

    Goes on where it was stopped, and ends with the same store. A file that cannot be read is reported with its location and left out;
    ``skipped`` in the manifest lists it, and the next run tries it again.

    Args:
        src: The folder of ``s1``, ``s2a``, ``s2c``, or of their archives.
        out: The store.
        products: Which of them.
        subset: Share (to 1) or number of locations, drawn with ``seed``; needs folders, as archives are read in one pass.
        workers: Processes that read and encode.
        dry_run: Count only.
        repair: Check the records that are there and make damaged ones again.

    Raises:
        DataError: If ``src`` is neither, or the store cannot be written.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise DataError(f'{src} is not a folder. Give the folder that holds s1 and s2c, or their tar archives.')
    unknown = [product for product in products if product not in PRODUCTS]
    if unknown:
        raise ConfigError(f'unknown product {unknown}: choose from {sorted(PRODUCTS)}.')
    folders = all((src / product).is_dir() for product in products)
    tars = {} if folders else {product: archives(src, product) for product in products}
    if not folders and not all(tars.values()):
        lacking = [product for product in products if not tars[product]]
        raise DataError(f'{src} has neither a folder nor an archive (NAME.tar.gz, or NAME.tar.gz.partaa, ...) of {lacking}.')
    if not folders and subset is not None:
        raise ConfigError('--subset needs extracted folders: archives are read in one pass.')
    jobs = []
    if folders:
        common = set.intersection(*({p.name for p in (src / product).iterdir() if p.is_dir()} for product in products))
        chosen = _choose(sorted(common), subset, seed)
        jobs = [(f'{location}/{product}/{folder.name}', str(folder), product)
                for location in chosen for product in products for folder in list_scenes(src, product, location)]
        size = sum(native_bytes(job[2]) for job in jobs)
        figures = dict(locations=len(chosen), records=len(jobs), files_to_read=sum(len(PRODUCTS[job[2]]) for job in jobs),
                       files_to_write=3, bytes=size)
    else:
        size = sum(path.stat().st_size for groups in tars.values() for parts in groups for path in parts)
        figures = dict(archives=sum(map(len, tars.values())), files_to_write=3, bytes_of_archives=size)
    if dry_run:
        if jobs:
            start = time.perf_counter()
            _encode_folder(jobs[0])
            figures['minutes_about'] = round((time.perf_counter() - start) * len(jobs) / max(1, workers) / 60, 1)
        return figures
    if (out / MANIFEST).is_file() and read_manifest(out).get('dataset') != DATASET:
        raise ConfigError(f'{out} holds another data set; choose another folder.')
    if jobs and not out.exists():
        free = shutil.disk_usage(next(folder for folder in out.absolute().parents if folder.exists())).free
        if free < size:
            raise DataError(f'{out} needs {size / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left.')
    writer, skipped = StoreWriter(out), {}
    try:
        if jobs:
            todo = [job for job in jobs if not _there(writer, job[0], repair)]
            _write(writer, _parallel(_encode_folder, todo, workers), skipped, len(todo))
        for product, groups in tars.items():
            for parts in groups:
                scenes = _tar_scenes(parts, product, lambda key: not _there(writer, key, repair))
                _write(writer, _parallel(_encode_bytes, ((key, bands, product) for key, bands in scenes), workers), skipped, 0)
        writer.finish(dict(dataset=DATASET, values='raw', scenes=_scenes(writer), skipped=skipped))
    except BaseException:
        writer.close()
        raise
    return dict(figures, done=sum(len(v) for p in read_manifest(out)['scenes'].values() for v in p.values()), skipped=skipped)


def _there(writer: StoreWriter, key: str, check: bool) -> bool:
    """Whether a record is in the store (and, where asked, whole)."""
    if key not in writer or not check:
        return key in writer
    try:
        decode(writer.get(key), key, check=True)
    except DataError:
        return False
    return True


def _parallel(function, jobs: Iterable, workers: int) -> Iterator:
    """``map`` in processes, in order, never more than a few jobs ahead: an archive's bands are not piled up in memory."""
    if workers <= 1:
        yield from map(function, jobs)
        return
    with multiprocessing.get_context('fork').Pool(workers) as pool:
        waiting: deque = deque()
        for job in jobs:
            waiting.append(pool.apply_async(function, (job, )))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()


def _write(writer: StoreWriter, results: Iterable, skipped: dict, count: int) -> None:
    bar = ProgressBar(count)  # of an unknown number it shows the rate
    for key, data, problem in results:
        if data is None:
            skipped[key] = problem
        else:
            writer.put(key, data)
        bar.update()
    writer.commit()
    print(flush=True)


def _scenes(writer: StoreWriter) -> dict:
    """``{product: {location: [scene, ...]}}`` of what is in the store, ordered by date."""
    scenes: dict = {}
    for key in writer.keys():
        location, product, scene = key.split('/')
        scenes.setdefault(product, {}).setdefault(location, []).append(scene)
    return {product: {location: sorted(names, key=scene_time) for location, names in places.items()} for product, places in scenes.items()}


def _run(args) -> None:
    if args.verify:
        bad = verify_store(args.out)
        if bad:
            raise DataError(f'{len(bad)} record(s) of {args.out} are damaged or missing: {", ".join(bad[:10])}. Run the same command with '
                            '--repair instead of --verify.')
        print(f'{args.out}: every record is whole')
        return
    figures = prepare(args.src, args.out, args.products, args.subset, args.seed, args.workers, args.dry_run, args.repair)
    for key, problem in figures.get('skipped', {}).items():
        print(f'left out {key}: {problem}')
    print(json.dumps({key: len(value) if key == 'skipped' else value for key, value in figures.items()}))


def add_parser(subparsers) -> None:
    """Add the command ``ssl4eo``."""
    parser = subparsers.add_parser('ssl4eo', help='SSL4EO-S12 v1.0 to the compact store', description=__doc__)
    parser.add_argument('src', help='folder of s1, s2a, s2c, or of their archives')
    parser.add_argument('out', help='the store')
    parser.add_argument('--products', nargs='+', default=['s1', 's2c'], choices=sorted(PRODUCTS))
    parser.add_argument('--subset', type=float, help='share (to 1) or number of locations, drawn without replacement')
    parser.add_argument('--seed', type=int, default=0, help='of --subset')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--dry-run', action='store_true', help='count records, bytes, files and time; write nothing')
    parser.add_argument('--verify', action='store_true', help='check every record of the store; write nothing')
    parser.add_argument('--repair', action='store_true', help='make damaged records again')
    parser.set_defaults(run=_run)

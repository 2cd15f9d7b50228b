"""Generated land cover in tar shards, as SSL4EO-S12 v1.1 and TerraMesh are shipped now.

``{split}/{product}/{name}_shard_NNNNNN.tar`` with a member ``{key}.zarr.zip`` (zarr format 2, consolidated) for each sample; the shards of
all products hold the same keys in the same order. Names, types and members are those of the releases, so programs for the public data read
these shards too. Writes are atomic; a run that was stopped goes on with the missing shards, and the same seed gives the same files.
"""
import io
import tarfile
import zipfile
from datetime import UTC
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from decur.dataset_record import start_record
from decur.errors import ConfigError, DataError
from decur.parallel import run_jobs
from decur.sensors import S1_BANDS, S2A_BANDS, S2C_BANDS
from decur.writing import write_bytes

from .landcover import COVERS, make_landscape
from .landcover_layouts import _season_date
from .landcover_sensors import object_heights, sense_optical, sense_radar

#: Raised when the same seed gives other files.
VERSION = 1
RELEASES = ('ssl4eo', 'terramesh')
SPLITS = ('train', 'val')
#: Products of SSL4EO-S12 v1.1; TerraMesh has S1RTC in most shards, and S1GRD in those of SSL4EO-S12's locations.
PRODUCTS = ('S1GRD', 'S2L1C', 'S2L2A', 'S2RGB', 'NDVI', 'DEM', 'LULC')
#: Class of the land-cover product by kind of cover.
LULC = dict(water=1, wetland=3, sand=6, bare=6, broadleaf=2, conifer=2, mixed=2, heath=9, pasture=9, crops=4, rice=3, vineyard=4,
            residential=5, industrial=5)
#: Terrain correction brightens: the difference of the published means, dB.
_CORRECTED = {'VV': 1.647, 'VH': 2.936}
#: Where the scenes begin, so that none is shared with the other layouts.
_OFFSET = 3 << 24


def _import_zarr():
    try:
        import zarr
    except ImportError as error:
        raise DataError("generating shards needs zarr: pip install 'decur[data]'.") from error
    return zarr


def zarr_zip(bands: np.ndarray, names: tuple, times: list, key: str, location: tuple, cloud: np.ndarray | None = None) -> bytes:
    """A sample as the releases have it.

    Args:
        bands (ndarray): ``(time, band, y, x)``.
        names (tuple[str]): Of the bands.
        times (list[datetime | None]): Of the dates; None for what has no date.
        key (str): Of the sample.
        location (tuple[float]): Latitude and longitude of the centre, degrees.
        cloud (ndarray, optional): ``(time, y, x)`` uint8.
    """
    zarr = _import_zarr()
    from numcodecs import Blosc
    store = zarr.storage.MemoryStore()
    group = zarr.create_group(store, zarr_format=2)
    stamps = [0 if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1e9) for time in times]
    arrays = dict(bands=bands, band=np.array(names), time=np.array(stamps, np.int64), sample=np.array(key),
                  center_lat=np.array(location[0]), center_lon=np.array(location[1]), x=np.arange(bands.shape[3]) * 10.,
                  y=np.arange(bands.shape[2]) * -10.)
    if cloud is not None:
        arrays['cloud_mask'] = cloud
    for name, values in arrays.items():
        # A date is a chunk of its own.
        chunks = (1, *values.shape[1:]) if name in ('bands', 'cloud_mask') else values.shape
        group.create_array(name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=Blosc(cname='lz4', shuffle=1),
                           config=dict(write_empty_chunks=True))[...] = values
    zarr.consolidate_metadata(store, zarr_format=2)
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, value in sorted(store._store_dict.items()):
            archive.writestr(zipfile.ZipInfo(name), value.to_bytes())
    return out.getvalue()


def write_shard(path: Path, members: list) -> None:
    """Write ``[(key, bytes), ...]`` as a shard, atomically."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.USTAR_FORMAT) as archive:
        for key, data in members:
            member = tarfile.TarInfo(f'{key}.zarr.zip')
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, out.getvalue())


def _full_size(bands: dict, names: tuple, size: int) -> np.ndarray:
    """All bands at 10 m, ``(band, y, x)`` int16."""
    planes = [bands[name] for name in names]
    return np.stack([plane if plane.shape == (size, size) else cv2.resize(plane, (size, size), interpolation=cv2.INTER_CUBIC)
                     for plane in planes]).astype(np.int16)


def _sample(number: int, seed: int, size: int, dates: int, radar: str, offset: int) -> dict:
    """Bands, names, times and clouds of a location, by product."""
    rng = np.random.default_rng([seed, number, 9])
    landscape = make_landscape(seed, _OFFSET + number, size, region='world')
    seasons = list(range(4)) if dates == 4 else [int(rng.integers(4))]
    times = [_season_date(rng, season) for season in seasons]
    if offset:
        times = [time.replace(year=2023) for time in times]
    out = {product: [] for product in (radar, *PRODUCTS[1:5])}
    clouds = []
    for season in seasons:
        backscatter, optical = sense_radar(landscape, season, rng), sense_optical(landscape, season, rng, clouds=.2)
        out[radar].append(np.stack([backscatter[band] + (_CORRECTED[band] if radar == 'S1RTC' else 0) for band in S1_BANDS]).astype('f2'))
        l1c, l2a = _full_size(optical['l1c'], S2C_BANDS, size), _full_size(optical['l2a'], S2A_BANDS, size)
        red, near = (np.maximum(l2a[S2A_BANDS.index(band)].astype(np.float32), 1) for band in ('B4', 'B8'))
        rgb = l2a[[S2A_BANDS.index(band) for band in ('B4', 'B3', 'B2')]]
        out['S2L1C'].append(l1c + np.int16(offset))
        out['S2L2A'].append(l2a)
        out['S2RGB'].append(np.clip(rgb / 2500 * 255, 0, 255).astype(np.uint8))
        out['NDVI'].append(((near - red) / (near + red)).astype(np.float32)[None])
        clouds.append((l1c[1] > 3500).astype(np.uint8))
    spelt = {'S2L1C': S2C_BANDS, 'S2L2A': S2A_BANDS, radar: S1_BANDS, 'S2RGB': ('R', 'G', 'B'), 'NDVI': ('NDVI', )}
    found = {product: (np.stack(images), tuple(f'B{b[1:]:>02}' if b[0] == 'B' and b[1:].isdigit() else b.lower() if product == radar else b
                                               for b in spelt[product]), times, np.stack(clouds) if product.startswith('S2') else None)
             for product, images in out.items()}
    height = (landscape.terrain + object_heights(landscape)).astype(np.float32)[None, None]
    cover = np.array([LULC[c.name] for c in COVERS], np.uint8)[landscape.cover][None, None]
    return {**found, 'DEM': (height, ('DEM', ), [None], None), 'LULC': (cover, ('LULC', ), times[:1], None)}


def _write_shard(job: tuple, out: Path, release: str, seed: int, size: int) -> None:
    """The shards of one number, of all products."""
    split, name, numbers = job
    prefix = name.partition('_shard')[0]
    radar = 'S1RTC' if prefix == 'majortom' else 'S1GRD'
    products = (radar, *PRODUCTS[1:])
    if all((out / split / product / name).exists() for product in products):
        return
    members = {product: [] for product in products}
    for number in numbers:
        key = f'{prefix}_{split}_{number:07d}'
        # Of TerraMesh's locations about half are of 2022 and later, and their L1C values carry the offset of processing baseline 04.00.
        found = _sample(number + (1 << 20) * SPLITS.index(split), seed, size, 4 if release == 'ssl4eo' else 1, radar,
                        1000 * (prefix == 'majortom' and number % 2))
        place = np.random.default_rng([seed, number, 10]).uniform((-40, -120), (60, 120))
        for product in products:
            bands, names, times, cloud = found[product]
            members[product].append((key, zarr_zip(bands, names, times, key, tuple(place.tolist()), cloud)))
    for product in products:
        write_shard(out / split / product / name, members[product])


def shard_jobs(release: str, counts: dict, per_shard: int) -> list:
    """``(split, file name, numbers of the samples)`` of every shard; of TerraMesh the last shard of a split is of SSL4EO-S12."""
    jobs = []
    for split, count in counts.items():
        starts = range(0, count, per_shard)
        for i, start in enumerate(starts):
            own = release == 'ssl4eo' or (len(starts) > 1 and i == len(starts) - 1)
            jobs.append((split, f'{"ssl4eos12" if own else "majortom"}_shard_{i + 1:06d}.tar', range(start, min(start + per_shard, count))))
    return jobs


def write_shards(release: str, out: str | Path, num_train: int, num_val: int = 0, per_shard: int = 16, size: int = 264, seed: int = 0,
                 workers: int = 1) -> None:
    """Write generated land cover as shards. A run that was stopped goes on.

    Args:
        release (str): ``'ssl4eo'`` (four dates) or ``'terramesh'`` (one date, S1RTC or S1GRD).
        out (str | Path): A new or an empty folder, or one that this was called for before.
        num_train (int), num_val (int): Samples of the splits.
        per_shard (int): Samples of a shard. Defaults to 16; released are 512 and 10,240.
        size (int): Side of an image, pixels at 10 m, a multiple of 6. Defaults to the releases' 264.
        seed (int): A sample depends on it and on its number alone.
        workers (int): Processes.

    Raises:
        ConfigError: If an argument is out of range, or the folder holds other files.
    """
    if release not in RELEASES:
        raise ConfigError(f'release must be one of {RELEASES}, got {release!r}.')
    if min(num_train, num_val) < 0 or not num_train + num_val or per_shard < 1:
        raise ConfigError(f'cannot generate {num_train} and {num_val} samples in shards of {per_shard}.')
    if size < 24 or size % 6:
        raise ConfigError(f'size must be at least 24 pixels and a multiple of 6 (bands of 10, 20 and 60 m), got {size}.')
    _import_zarr()
    out = Path(out)
    start_record(out, dict(world='shards', version=VERSION, release=release, seed=int(seed), size=int(size), per_shard=int(per_shard)))
    run_jobs(partial(_write_shard, out=out, release=release, seed=seed, size=size),
             shard_jobs(release, dict(zip(SPLITS, (num_train, num_val))), per_shard), workers, f'shards in {out}')

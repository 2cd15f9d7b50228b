"""Generated land cover in the layouts of SSL4EO-S12 v1.0, BigEarthNet v1 and v2, and GeoNRW, file by file as they are released.

Names, types, native resolutions and metadata are those of the releases, so programs for the public data read these files too. Writes are
atomic; a run that was stopped goes on with the files that are missing, and the same seed gives the same files.
"""
import json
import warnings
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from decur.dataset_record import start_record
from decur.datasets.bigearthnet import METADATA, ROOTS, TO_19
from decur.datasets.geonrw import TEST_CITIES
from decur.errors import ConfigError, check_choice
from decur.parallel import run_jobs
from decur.sensors import SSL4EO_BANDS
from decur.writing import write_bytes

from .landcover import COVERS, make_landscape
from .landcover_aerial import sense_aerial
from .landcover_change import write_change
from .landcover_sensors import sense_optical, sense_radar

#: Raised when the same seed gives other files.
VERSION = 2
LAYOUTS = ('ssl4eo', 'bigearthnet', 'bigearthnet-v2', 'geonrw', 'change')
#: Sides as released, pixels; two dates (:mod:`decur_worlds.landcover_change`) are no release's.
SIZES = {'ssl4eo': 264, 'bigearthnet': 120, 'bigearthnet-v2': 120, 'geonrw': 1000, 'change': 96}
#: Where the scenes of each set begin, so that no two share one.
_OFFSETS = {'ssl4eo': 0, 'bigearthnet': 1 << 24, 'bigearthnet-v2': 1 << 24, 'geonrw': 1 << 25}
_SPLITS = dict(train=0, validation=1 << 22, test=1 << 23)
TRAIN_CITIES = ('aachen', 'bielefeld', 'bochum', 'bonn', 'dortmund', 'duisburg', 'essen', 'hagen', 'koeln', 'muenster', 'paderborn',
                'siegen')
#: Country, UTM zone and tile of groups of patches.
_PLACES = (('Austria', 33, '33UUP'), ('Ireland', 29, '29UPU'), ('Portugal', 29, '29SND'), ('Finland', 35, '35VPK'), ('Serbia', 34, '34TCR'),
           ('Belgium', 31, '31UES'))
#: Patches of one Sentinel-2 product.
_PER_PRODUCT = 24


def tif(array, crs, west, north, step, nodata=None) -> bytes:
    """A GeoTIFF of ``(H, W)`` as the releases have them: one band, uncompressed, in strips."""
    import rasterio
    from rasterio.io import MemoryFile
    step = step if isinstance(step, tuple) else (step, step)
    with MemoryFile() as memory:
        with memory.open(driver='GTiff', height=array.shape[0], width=array.shape[1], count=1, dtype=array.dtype.name, crs=crs,
                         transform=rasterio.transform.from_origin(west, north, *step), nodata=nodata) as file:
            file.write(array, 1)
        return bytes(memory.getbuffer())


def jp2(array) -> bytes:
    """A JPEG 2000 of ``(H, W, 3)`` uint8, reversible."""
    from rasterio.io import MemoryFile
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter('ignore')  # no georeference: the tile's name is one
        with memory.open(driver='JP2OpenJPEG', height=array.shape[0], width=array.shape[1], count=array.shape[2], dtype='uint8',
                         QUALITY='100', REVERSIBLE='YES') as file:
            file.write(array.transpose(2, 0, 1))
        return bytes(memory.getbuffer())


def _write_all(files):
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)


def _stamp(time):
    return time.strftime('%Y%m%dT%H%M%S')


def _season_date(rng, season, year=2020):
    """A date in spring, summer, autumn or winter."""
    return datetime(year, 3, 20) + timedelta(days=91 * season + int(rng.integers(80)))


def _ssl4eo_scenes(rng):
    """Names of the scenes of a location by product and season."""
    tile = f'T{int(rng.integers(1, 61)):02d}{"CDEFGHJKLMNPQRSTUVWX"[int(rng.integers(20))]}{"".join(rng.choice(list("ABCDEFGH"), 2))}'
    scenes = {}
    for product in ('s1', 's2c', 's2a'):
        for season in range(4):
            start = _season_date(rng, season) + timedelta(hours=int(rng.integers(5, 18)), seconds=int(rng.integers(3600)))
            end = start + timedelta(seconds=25 if product == 's1' else 132)
            orbit = int(rng.integers(30000, 38000))
            scenes[product, season] = (f'S1A_IW_GRDH_1SDV_{_stamp(start)}_{_stamp(end)}_{orbit:06d}_{int(rng.integers(1 << 24)):06X}_'
                                       f'{int(rng.integers(1 << 16)):04X}' if product == 's1' else f'{_stamp(start)}_{_stamp(end)}_{tile}')
    # As in the release, an L2A scene is that of its L1C scene where both exist.
    for season in range(4):
        scenes['s2a', season] = scenes['s2c', season]
    return scenes


def _ssl4eo_location(index, out, seed, size):
    rng = np.random.default_rng([seed, index, 2])
    scenes = _ssl4eo_scenes(rng)
    location = f'{200 + index * 7:07d}'  # as released, ids are not contiguous
    wanted = [out / product / location / scene / name for (product, _), scene in scenes.items()
              for name in (*(f'{band}.tif' for band in SSL4EO_BANDS[product]), 'metadata.json')]
    if all(path.exists() for path in wanted):
        return
    landscape = make_landscape(seed, _OFFSETS['ssl4eo'] + index, size, region='world')
    west, north = float(rng.uniform(-120, 120)), float(rng.uniform(-40, 60))
    for season in range(4):
        radar = sense_radar(landscape, season, rng)
        optical = sense_optical(landscape, season, rng, clouds=.28)
        for product, images in (('s1', radar), ('s2a', optical['l2a']), ('s2c', optical['l1c'])):
            scene = scenes[product, season]
            folder = out / product / location / scene
            metadata = {'system:index': scene, 'generator': 'land cover', 'biome': landscape.biome}
            if product != 's1':
                metadata.update(CLOUDY_PIXEL_PERCENTAGE=round(100 * optical['cloud'], 4), PROCESSING_BASELINE='02.09')
            files = {}
            for band in SSL4EO_BANDS[product]:
                degrees = 8.983e-5 * size / images[band].shape[0]
                files[folder / f'{band}.tif'] = tif(images[band], 'EPSG:4326', west, north, degrees)
            files[folder / 'metadata.json'] = json.dumps(metadata).encode()
            _write_all(files)


def _patch(split, index, seed, layout):
    """Everything about a BigEarthNet patch but its pixels."""
    number = _SPLITS[split] + index
    group = number // _PER_PRODUCT
    rng = np.random.default_rng([seed, group, 3])
    country, zone, tile = _PLACES[int(rng.integers(len(_PLACES)))]
    season = int(rng.integers(4))
    date = _season_date(rng, season, 2017) + timedelta(hours=10, seconds=int(rng.integers(3600)))
    radar = date + timedelta(hours=6, minutes=int(rng.integers(50)))
    place = number % _PER_PRODUCT
    row, column = int(rng.integers(60)) + place // 6, int(rng.integers(60)) + place % 6
    own = np.random.default_rng([seed, number, 4])
    snow = season == 3 and bool(own.random() < .15)
    s2_old, s1_scene = f'S2A_MSIL2A_{_stamp(date)}_{column}_{row}', f'S1A_IW_GRDH_1SDV_{_stamp(radar)}'
    product = f'S2A_MSIL2A_{_stamp(date)}_N9999_R022_T{tile}'
    return dict(number=number, rng=own, season=season, country=country, zone=zone, split=split, snow=snow, product=product, scene=s1_scene,
                s2=f'{product}_{column:02d}_{row:02d}' if layout == 'bigearthnet-v2' else s2_old, s2_old=s2_old,
                s1=f'{s1_scene}_{tile}_{column}_{row}', west=300000 + 1200 * column, north=5400000 - 1200 * row)


def _bigearthnet_patch(job, out, seed, size, layout):
    """Write one pair of patches; returns its row of the metadata."""
    patch = _patch(*job, seed, layout)
    rng, v2 = patch['rng'], layout == 'bigearthnet-v2'
    landscape = make_landscape(seed, _OFFSETS[layout] + patch['number'], size, region='europe')
    labels = landscape.labels()
    radar = sense_radar(landscape, patch['season'], rng)
    optical = sense_optical(landscape, patch['season'], rng, clouds=.08, snow=patch['snow'])
    row = dict(patch_id=patch['s2'], split=patch['split'], country=patch['country'], s1_name=patch['s1'], s2v1_name=patch['s2_old'],
               contains_seasonal_snow=patch['snow'], contains_cloud_or_shadow=optical['cloud'] > .05)
    s2_root, s1_root = ROOTS['v2' if v2 else 'v1']
    s2 = out / s2_root / (patch['product'] if v2 else '') / patch['s2']
    s1 = out / s1_root / (patch['scene'] if v2 else '') / patch['s1']
    crs, side = f'EPSG:326{patch["zone"]}', size * 10
    row['labels'] = sorted({TO_19[label] for label in labels} - {None}) if v2 else labels
    files = {}
    for band, plane in optical['l2a'].items():
        name = f'B{band[1:]:>02}'
        files[s2 / f'{s2.name}_{name}.tif'] = plane, side / plane.shape[0], 0 if v2 else None
    for band, plane in radar.items():
        files[s1 / f'{s1.name}_{band}.tif'] = plane, 10., None
    if v2:
        codes = np.array([cover.codes for cover in COVERS], np.uint16)[landscape.cover, int(landscape.coast)]
        files[out / 'Reference_Maps' / patch['product'] / s2.name / f'{s2.name}_reference_map.tif'] = codes, 10., 0
    files = {path: tif(plane, crs, patch['west'], patch['north'], step, nodata) for path, (plane, step, nodata) in files.items()
             if not path.exists()}
    if not v2:
        from rasterio.crs import CRS
        corners = dict(ulx=patch['west'], uly=patch['north'], lrx=patch['west'] + side)
        common = dict(labels=labels, projection=CRS.from_string(crs).to_wkt())
        date = datetime.strptime(patch['s2_old'].split('_')[2], '%Y%m%dT%H%M%S')
        # "lly" is the release's own spelling for Sentinel-1.
        files[s2 / f'{s2.name}{METADATA}'] = json.dumps(
            dict(common, coordinates=dict(corners, lry=patch['north'] - side), tile_source=f'{patch["product"]}.SAFE',
                 acquisition_date=str(date))).encode()
        files[s1 / f'{s1.name}{METADATA}'] = json.dumps(
            dict(common, coordinates=dict(corners, lly=patch['north'] - side), corresponding_s2_patch=s2.name, scene_source=patch['scene'],
                 acquisition_time=patch['scene'].split('_')[-1])).encode()
    _write_all(files)
    return row


def _write_bigearthnet(out, counts, seed, size, layout, workers):
    jobs = [(split, i) for split, count in counts.items() for i in range(count)]
    rows = run_jobs(partial(_bigearthnet_patch, out=out, seed=seed, size=size, layout=layout), jobs, workers, f'patches in {out}')
    if layout == 'bigearthnet-v2':
        import io

        import pandas
        table = pandas.DataFrame(rows, columns=['patch_id', 'labels', 'split', 'country', 's1_name', 's2v1_name', 'contains_seasonal_snow',
                                                'contains_cloud_or_shadow'])
        spoilt = table.contains_seasonal_snow | table.contains_cloud_or_shadow
        for name, part in (('metadata', table[~spoilt]), ('metadata_for_patches_with_snow_cloud_or_shadow', table[spoilt])):
            buffer = io.BytesIO()
            part.to_parquet(buffer, index=False)
            write_bytes(out / f'{name}.parquet', buffer.getvalue())
        return

    def listed(chosen):
        return ''.join(f'{row["patch_id"]},{row["s1_name"]}\n' for row in chosen).encode()

    for split, name in (('train', 'train'), ('validation', 'val'), ('test', 'test')):
        write_bytes(out / f'{name}.csv', listed(row for row in rows if row['split'] == split))
    for key, name in (('contains_seasonal_snow', 'patches_with_seasonal_snow'),
                      ('contains_cloud_or_shadow', 'patches_with_cloud_and_shadow')):
        write_bytes(out / f'{name}.csv', ''.join(f'{row["patch_id"]}\n' for row in rows if row[key]).encode())


def _geonrw_image(job, out, seed, size):
    split, index = job
    cities = TRAIN_CITIES if split == 'train' else TEST_CITIES
    east, north = 280 + index // len(cities), 5600 + 3 * cities.index(cities[index % len(cities)]) + (1000 if split == 'test' else 0)
    stem = out / cities[index % len(cities)] / f'{east}_{north}'
    paths = {name: stem.with_name(f'{stem.name}_{name}') for name in ('rgb.jp2', 'dem.tif', 'seg.tif')}
    if all(path.exists() for path in paths.values()):
        return
    landscape = make_landscape(seed, _OFFSETS['geonrw'] + _SPLITS[split] + index, size, pixel=1., region='ruhr',
                                          parcel=float(np.clip(size / 3, 60, 130)))
    images = sense_aerial(landscape)
    place = 'EPSG:25832', east * 1000., north * 1000., 1.
    _write_all({paths['rgb.jp2']: jp2(images['rgb']), paths['dem.tif']: tif(images['dem'], *place),
                paths['seg.tif']: tif(images['seg'], *place)})


def write_landcover(layout: str, out, num_train: int, num_test: int = 0, num_validation: int = 0, size: int | None = None, seed: int = 0,
                    workers: int = 1) -> None:
    """Write generated land cover in the layout of a public data set. A run that was stopped goes on.

    Args:
        layout (str): One of :data:`LAYOUTS`.
        out (str | Path): A new or an empty folder, or one that this was called for before.
        num_train (int): Locations (SSL4EO-S12), patches or images for training.
        num_test (int), num_validation (int): Of the other splits; SSL4EO-S12 has none, GeoNRW and two dates no validation.
        size (int, optional): Side of a patch or image, pixels (at 10 m, a multiple of 6; at 1 m for GeoNRW). Defaults to the release's.
        seed (int): The scenes of a layout depend on it and on their number alone.
        workers (int): Processes.

    Raises:
        ConfigError: If an argument is out of range, or the folder holds other files.
    """
    check_choice('layout', layout, LAYOUTS)
    counts = dict(train=num_train, validation=num_validation, test=num_test)
    allowed = dict(ssl4eo=('train', ), geonrw=('train', 'test'), change=('train', 'test')).get(layout, tuple(counts))
    wrong = {split: count for split, count in counts.items() if count and split not in allowed}
    if wrong or min(counts.values()) < 0 or not sum(counts.values()):
        raise ConfigError(f'{layout} has the splits {allowed}; cannot generate {counts}')
    size = SIZES[layout] if size is None else int(size)
    if size < 24 or (layout != 'geonrw' and size % 6):
        raise ConfigError(f'size must be at least 24 pixels and, but for geonrw, a multiple of 6 (bands of 10, 20 and 60 m), got {size}')
    out = Path(out)
    start_record(out, dict(world='landcover', version=VERSION, layout=layout, seed=int(seed), size=size))
    if layout == 'ssl4eo':
        run_jobs(partial(_ssl4eo_location, out=out, seed=seed, size=size), range(num_train), workers, f'locations in {out}')
    elif layout == 'geonrw':
        jobs = [(split, i) for split in allowed for i in range(counts[split])]
        run_jobs(partial(_geonrw_image, out=out, seed=seed, size=size), jobs, workers, f'images in {out}')
    elif layout == 'change':
        write_change(out, counts, seed, size, workers)
    else:
        _write_bigearthnet(out, counts, seed, size, layout, workers)

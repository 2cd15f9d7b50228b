"""What a folder or store is: its layout, its values, what is missing, and how to use it."""
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from decur.datasets.bigearthnet import ROOTS, list_v1, patch_folder, read_parquet
from decur.datasets.geonrw import ENDINGS, FOLDERS, split_name
from decur.datasets.ssl4eo import list_scenes
from decur.errors import ConfigError, DataError
from decur.readers.bands import stack_bands
from decur.readers.files import IMAGE_SUFFIXES, AutoReader, RasterioReader
from decur.readers.store import StoreReader, is_store, read_index, read_manifest, read_record
from decur.readers.zarr_archives import open_archive, read_bands
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS, S2A_BANDS, S2C_BANDS, SSL4EO_BANDS, STATISTICS
from decur.transforms.radiometry import has_offset

#: What a layout is called, and what to run on it (``{root}`` is the folder).
LAYOUTS = {
    'ssl4eo-v1.0': ('SSL4EO-S12 v1.0, as released',
                    'python tools/train.py configs/decur/ssl4eo_s1-s2_r50_decur.py --cfg-options '
                    'train_dataloader.dataset.data_root={root}'),
    'ssl4eo-v1.1': ('SSL4EO-S12 v1.1 (zarr)',
                    'python tools/train.py configs/decur/ssl4eo-v11_s1-s2_r50_decur.py --cfg-options '
                    'train_dataloader.dataset.data_root={root}'),
    'bigearthnet-v1': ('BigEarthNet-MM v1, as released',
                       'python tools/train.py configs/classification/bigearthnet_s1-s2_r50_frozen.py --cfg-options '
                       'train_dataloader.dataset.data_root={root} train_dataloader.dataset.split=train.csv'),
    'bigearthnet-v2': ('BigEarthNet v2 (reBEN), as released',
                       'python tools/train.py configs/classification/bigearthnet_s1-s2_r50_frozen.py --cfg-options '
                       'train_dataloader.dataset.data_root={root} train_dataloader.dataset.split=train'),
    'geonrw': ('GeoNRW, as released',
               'python tools/train.py configs/decur/geonrw_rgb-dem_r50_decur.py --cfg-options '
               'train_dataloader.dataset.data_root={root}'),
    'geonrw-tiles': ("GeoNRW, DeCUR's tiles",
                     'python tools/train.py configs/decur/geonrw_rgb-dem_r50_decur.py --cfg-options '
                     'train_dataloader.dataset.data_root={root}'),
    'sunrgbd-release': ('SUN-RGBD, as released', 'python tools/prepare_dataset.py sunrgbd {root} data/sunrgbd'),
    'nyudv2-release': ('NYUv2, as released', 'python tools/prepare_dataset.py nyudv2 {root} data/nyudv2'),
    'rgbd': ('prepared RGB-D (colour, depth, HHA)',
             'python tools/train.py configs/decur/sunrgbd_rgb-hha_r50_decur.py --cfg-options '
             'train_dataloader.dataset.data_root={root}'),
    'store': ('compact store of {dataset}', '{command}'),
    'paired': ('co-located files, a folder per modality',
               "dataset=dict(type='PairedRasterDataset', data_root='{root}', modalities=dict({entries}))"),
    'pickled-lmdb': ('LMDB of the published code (pickles, which run code when read: refused)',
                     'python tools/prepare_dataset.py ssl4eo ORIGINAL_FILES data/ssl4eo'),
}
_RASTER_BANDS = dict(rgb=('R', 'G', 'B'), dem=('DEM', ), seg=('class', ))
_RASTERS = (*IMAGE_SUFFIXES, '.tif', '.tiff', '.jp2', '.npy')


class Part(NamedTuple):
    """One modality of a data set: names of its bands, all sample ids, and a function from an id to ``{band: (h, w)}``."""

    bands: tuple
    ids: list
    read: object


def _folders(path: Path) -> list:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith('.')) if path.is_dir() else []


def detect_layout(path) -> str:
    """The layout of a folder, a key of :data:`LAYOUTS`.

    Raises:
        DataError: If the path does not exist, or is none of them.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f'{path} does not exist.')
    if is_store(path) or path.suffix == '.lmdb':
        try:
            read_manifest(path if path.is_dir() else path.parent)
        except DataError as error:
            if 'pickles' in str(error):
                return 'pickled-lmdb'
            raise
        return 'store'
    if not path.is_dir():
        raise DataError(f'{path} is a file. Give the folder of a data set, or a store.')
    names = {p.name for p in path.iterdir()}
    if any((path / product).is_dir() and any(_folders(scenes) for scenes in _folders(path / product)[:3]) for product in SSL4EO_BANDS):
        return 'ssl4eo-v1.0'
    if next(path.rglob('*.zarr.zip'), None) is not None:
        return 'ssl4eo-v1.1'
    if names & {'BigEarthNet-v1.0', 'BigEarthNet-S1-v1.0'}:
        return 'bigearthnet-v1'
    if names & {'BigEarthNet-S2', 'BigEarthNet-S1'}:
        return 'bigearthnet-v2'
    if names & {'img_dir', 'dem_dir'}:
        return 'geonrw-tiles'
    if any(next(city.glob('*_rgb.jp2'), None) or next(city.glob('*_dem.tif'), None) for city in _folders(path)):
        return 'geonrw'
    if names & {'SUNRGBD', 'SUNRGBDtoolbox'}:
        return 'sunrgbd-release'
    if 'nyu_depth_v2_labeled.mat' in names:
        return 'nyudv2-release'
    if 'intrinsics.json' in names and {'rgb', 'depth'} <= names:
        return 'rgbd'
    if any(next((f for f in folder.iterdir() if f.suffix.lower() in _RASTERS), None) for folder in _folders(path)):
        return 'paired'
    raise DataError(f'{path} is no layout that is known: {"; ".join(title for title, _ in LAYOUTS.values() if "{" not in title)}. '
                    'Is it the folder above or below the data? Are the archives extracted whole?')


def _bands_of(folder: Path, pattern: str, bands) -> dict:
    reader = RasterioReader()
    return {band: reader(folder / pattern.format(band=band))[..., 0] for band in bands}


def _file(path: Path, names=None) -> dict:
    image = AutoReader()(path)
    names = names or [f'{i + 1}' for i in range(image.shape[2])]
    return {name: image[..., i] for i, name in enumerate(names)}


def _ssl4eo(root: Path) -> dict:
    parts = {}
    for product, bands in SSL4EO_BANDS.items():
        if (root / product).is_dir():
            def read(location, product=product, bands=bands):
                scenes = list_scenes(root, product, location)
                if not scenes:
                    raise DataError(f'{root / product / location} holds no scene')
                return _bands_of(root / product / location / scenes[0], '{band}.tif', bands)
            parts[product] = Part(bands, [p.name for p in _folders(root / product)], read)
    return parts


def _bigearthnet(root: Path, version: str) -> dict:
    if version == 'v1':
        rows = list_v1(root)
    elif (root / 'metadata.parquet').is_file():
        rows = read_parquet(root)
    else:
        # Without the table patches cannot be paired or labelled, but their files can be looked at.
        rows = [{'id': patch.name, sensor: patch.name} for sensor, folder in zip(('s2', 's1'), ROOTS['v2'])
                for tile in _folders(root / folder) for patch in _folders(tile)]

    def read(sensor, patch):
        return _bands_of(Path(patch_folder(root, sensor, patch, version)), f'{patch}_{{band}}.tif', BIGEARTHNET_BANDS[sensor])
    return _patches(rows, read)


def _patches(rows: Iterable, read: Callable) -> dict:
    """Both sensors of BigEarthNet, from rows with ``id``, ``s1`` and ``s2`` and a function of sensor and patch."""
    rows, parts = list(rows), {}
    for sensor in BIGEARTHNET_BANDS:
        patches = {row['id']: row[sensor] for row in rows if row.get(sensor)}
        if patches:
            # B01 is B1 in the statistics.
            bands = S2A_BANDS if sensor == 's2' else S1_BANDS
            parts[sensor] = Part(bands, list(patches), lambda name, sensor=sensor, patches=patches: read(sensor, patches[name]))
    return parts


def _geonrw(root: Path, tiled: bool) -> dict:
    files: dict = {raster: {} for raster in ENDINGS}
    for raster, found in files.items():
        for path in sorted(root.glob(f'{FOLDERS[raster]}/*/*') if tiled else root.glob('*/*')):
            name = split_name(path.name)
            if name and name[1] == raster:
                found[name[0]] = path
    return _rasters(files, AutoReader())


def _rasters(files: Mapping, read: Callable) -> dict:
    """Rasters of GeoNRW from ``{raster: {image: source}}`` and their reader."""
    return {raster: Part(_RASTER_BANDS[raster], list(found), lambda name, found=found, raster=raster:
                         dict(zip(_RASTER_BANDS[raster], read(found[name]).transpose(2, 0, 1))))
            for raster, found in files.items() if found}


def _paired(root: Path) -> dict:
    parts = {}
    for folder in _folders(root):
        found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in _RASTERS}
        if found:
            first = _file(next(iter(found.values())))
            bands = S2C_BANDS if len(first) == 13 else S2A_BANDS if len(first) == 12 else tuple(first)
            parts[folder.name] = Part(bands, list(found), lambda name, found=found, bands=bands: _file(found[name], bands))
    return parts


def _store(root: Path) -> dict:
    manifest = read_manifest(root)
    if 'rasters' in manifest:  # GeoNRW: {city}/{image}/{raster}
        files: dict = {raster: {} for raster in ENDINGS}
        for key, size in manifest['rasters'].items():
            image, raster = key.rsplit('/', 1)
            files[raster][image] = dict(store=str(root), key=key, size=size)
        return _rasters(files, StoreReader())

    def read(key, bands):
        record = read_record(str(root), key)  # which keeps its bands by name, in no order
        return {band: record[band] for band in bands}
    index = read_index(root)
    if 's2' in index.columns:  # BigEarthNet: {sensor}/{patch}
        columns = {name: [value.decode() for value in index[name].tolist()] for name in ('id', 's1', 's2')}
        rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
        return _patches(rows, lambda sensor, patch: read(f'{sensor}/{patch}', BIGEARTHNET_BANDS[sensor]))
    # SSL4EO-S12: {location}/{product}/{scene}; the first scene stands for its location.
    parts = {}
    for product in sorted(set(index.columns) - {'id'}):
        scenes = {name.decode(): row[0].decode() for name, row in zip(index['id'].tolist(), index[product].tolist()) if row[0]}
        keys = {name: f'{name}/{product}/{scene}' for name, scene in scenes.items()}
        bands = SSL4EO_BANDS.get(product) or tuple(read_record(str(root), next(iter(keys.values()))))
        parts[product] = Part(bands, list(keys), lambda name, keys=keys, bands=bands: read(keys[name], bands))
    return parts


def _zarr(root: Path) -> dict:
    by_product: dict = {}
    for path in sorted(root.rglob('*.zarr.zip')):
        by_product.setdefault(path.parent.name, {})[str(path.relative_to(root))] = path
    # The first season of an archive's first sample stands for the archive.
    return {product: Part(tuple(open_archive(next(iter(paths.values())))[1]), list(paths),
                          lambda name, paths=paths: read_bands(paths[name], 0, 0))
            for product, paths in by_product.items()}


def _rgbd(root: Path) -> dict:
    return {name: part for name, part in _paired(root).items() if name in ('rgb', 'depth', 'depth_raw', 'hha', 'label')}


def open_parts(path, layout: str) -> dict:
    """The modalities of a data set, ``{name: Part}``; empty for layouts that are not read directly."""
    path = Path(path)
    readers = {
        'ssl4eo-v1.0': _ssl4eo, 'ssl4eo-v1.1': _zarr, 'bigearthnet-v1': lambda p: _bigearthnet(p, 'v1'),
        'bigearthnet-v2': lambda p: _bigearthnet(p, 'v2'), 'geonrw': lambda p: _geonrw(p, False),
        'geonrw-tiles': lambda p: _geonrw(p, True), 'store': _store, 'paired': _paired, 'rgbd': _rgbd}
    return readers[layout](path) if layout in readers else {}


def fit_statistics(bands, mean) -> list:
    """Named statistics for these bands, best first: ``[(id, distance)]``.

    The distance is the root mean square over bands of the difference of the means, in the statistics' standard deviations.
    """
    mean, found = np.asarray(mean, np.float64), []
    for name, known in STATISTICS.items():
        if tuple(known.bands) == tuple(bands):
            found.append((name, float(np.sqrt((((mean - known.mean) / np.asarray(known.std))**2).mean()))))
    return sorted(found, key=lambda pair: pair[1])


def _summarise(part: Part, count: int) -> dict:
    """Types, sizes and values of up to ``count`` samples, evenly spread over the list."""
    chosen = [part.ids[i] for i in np.unique(np.linspace(0, len(part.ids) - 1, min(count, len(part.ids))).astype(int))]
    moments: dict = {}
    sizes, dtypes, unreadable, pictures, ids, offsets = set(), set(), {}, [], [], []
    for name in chosen:
        try:
            bands = part.read(name)
        except (DataError, ConfigError) as error:
            unreadable[name] = str(error)
            continue
        if 'B10' in bands:
            offsets.append(has_offset(bands['B10']))
        for band, plane in zip(part.bands, bands.values()):
            sizes.add(plane.shape)
            dtypes.add(plane.dtype.name)
            good = plane[np.isfinite(plane)].astype(np.float64)
            if good.size:
                row = good.size, good.sum(), (good**2).sum(), good.min(), good.max(), plane.size - good.size
                moments.setdefault(band, []).append(row)
        pictures.append(bands)
        ids.append(name)
    values = {}
    for band, rows in moments.items():
        n, total, squares, low, high, bad = np.array(rows).T
        mean = total.sum() / n.sum()
        values[band] = dict(min=low.min(), max=high.max(), mean=mean, std=max(squares.sum() / n.sum() - mean**2, 0)**.5,
                            not_finite=int(bad.sum()))
    return dict(sizes=sorted(sizes), dtypes=sorted(dtypes), unreadable=unreadable, values=values, pictures=pictures, ids=ids,
                offset=float(np.mean(offsets)) if offsets else None)


def _picture(bands: Mapping, side: int = 160) -> np.ndarray:
    """Three bands (red, green, blue where there are such), stretched between the 2nd and 98th percentile."""
    for names in (('B4', 'B3', 'B2'), ('B04', 'B03', 'B02'), ('R', 'G', 'B'), ('VV', 'VH', 'VV')):
        if all(name in bands for name in names):
            break
    else:
        keys = list(bands)
        names = keys[:3] if len(keys) >= 3 else [keys[0]] * 3
    planes = [np.asarray(bands[name]) for name in names]
    size = max(p.shape for p in planes)
    image = stack_bands([p.astype(np.float32) for p in planes], size)
    if image.shape[0] * image.shape[1] and not all(p.dtype == np.uint8 and len(bands) == 3 for p in planes):
        low, high = np.nanpercentile(image, (2, 98), axis=(0, 1))
        image = np.nan_to_num((image - low) / np.maximum(high - low, 1e-6) * 255)
    image = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if max(size) > side else cv2.INTER_NEAREST)


def inspect(path, count: int = 16) -> dict:
    """Look at a data set.

    Args:
        path (str | Path): A folder or a store.
        count (int): Samples to read from each modality. Defaults to 16.

    Returns:
        dict: ``layout`` (a key of :data:`LAYOUTS`), ``title``, ``modalities`` (``{name: dict(bands, samples, sizes, dtypes, values,
        statistics, offset, unreadable)}``, ``offset`` being the share of samples whose band 10 shows an offset of 1000),
        ``expected_offset`` (whether the release has it), ``gaps`` (``{name: ids that other modalities have}``), ``config`` (how to use it)
        and ``pictures`` (``[{modality: (h, w, 3) uint8}]``).

    Raises:
        DataError: If it is no layout that is known.
    """
    if count < 1:
        raise ConfigError(f'count must be at least 1, got {count}.')
    path = Path(path)
    layout = detect_layout(path)
    dataset = str(read_manifest(path).get('dataset')) if layout == 'store' else ''
    # What a store was made of, as a layout.
    release = re.sub(r'^ssl4eo-s12-(v[\d.]+).*', r'ssl4eo-\1', dataset) or layout
    expected_offset = release == 'ssl4eo-v1.1'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        parts = open_parts(path, layout)
        modalities, pictures = {}, {}
        for name, part in parts.items():
            if not part.ids:
                continue
            found = _summarise(part, count)
            bands = [band for band in part.bands if band in found['values']]
            # Values that carry the offset are compared without it; only v1.1 has statistics of its own, with it.
            offset = 0 if expected_offset else 1000 * (found['offset'] or 0)
            statistics = fit_statistics(bands, [found['values'][b]['mean'] - offset for b in bands])
            for sample, image in zip(found.pop('ids'), found.pop('pictures')):
                pictures.setdefault(sample, {})[name] = _picture(image)
            modalities[name] = dict(bands=list(part.bands), samples=len(part.ids), statistics=statistics, **found)
    everyone = set().union(*(part.ids for part in parts.values())) if parts else set()
    gaps = {name: sorted(everyone - set(part.ids)) for name, part in parts.items() if layout != 'ssl4eo-v1.1' and everyone - set(part.ids)}
    title, config = LAYOUTS[layout]
    entries = ', '.join(f"{re.sub(r'[^A-Za-z0-9_]', '_', n).lower()}=dict(channels={len(m['bands'])}, files=dict(folder='{n}', "
                        f"suffix='{next(f.suffix for f in sorted((path / n).iterdir()) if f.suffix.lower() in _RASTERS)}'))"
                        for n, m in modalities.items()) if layout == 'paired' else ''
    command = LAYOUTS[release][1].format(root=path) if layout == 'store' else ''
    return dict(layout=layout, title=title.format(dataset=dataset), modalities=modalities, gaps=gaps, expected_offset=expected_offset,
                config=config.format(root=path, command=command, entries=entries), pictures=list(pictures.values()))


def report(found: Mapping) -> str:
    """What :func:`inspect` found, as text that ends with the config line."""
    lines = [f'layout: {found["title"]} [{found["layout"]}]']
    for name, m in found['modalities'].items():
        sizes = ', '.join(f'{h}x{w}' for h, w in m['sizes'])
        lines.append(f'{name}: {m["samples"]} samples, {len(m["bands"])} bands in the order {" ".join(m["bands"])}; '
                     f'{"/".join(m["dtypes"])}; {sizes} pixels')
        for band, v in m['values'].items():
            bad = f'  {v["not_finite"]} not finite' if v['not_finite'] else ''
            lines.append(f'  {band:>6}  min {v["min"]:10.2f}  mean {v["mean"]:10.2f}  std {v["std"]:9.2f}  max {v["max"]:10.2f}{bad}')
        if m['offset'] is not None:
            advice = '' if found['expected_offset'] else ": put dict(type='RemoveOffset') first"
            lines.append(f"  band 10 shows an offset of 1000 in {100 * m['offset']:.0f} % of them{advice}"
                         if m['offset'] else '  band 10 shows no offset')
        if m['statistics']:
            lines.append('  statistics that fit (distance in standard deviations): ' +
                         ', '.join(f'{name} {distance:.2f}' for name, distance in m['statistics']))
        for sample, error in m['unreadable'].items():
            lines.append(f'  unreadable: {sample}: {error}')
    for name, missing in found['gaps'].items():
        lines.append(f'gap: {len(missing)} samples lack {name}: {", ".join(missing[:5])}{", ..." if len(missing) > 5 else ""}')
    if len(found['modalities']) > 1 and not found['gaps']:
        lines.append('pairs: every sample has every modality')
    return '\n'.join([*lines, f'use: {found["config"]}'])

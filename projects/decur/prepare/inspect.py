"""What a folder or store is: its layout, its values, what is missing, and how to use it."""
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from decur.datasets import Layout, Part, recognise
from decur.errors import ConfigError, DataError
from decur.readers.bands import stack_bands
from decur.readers.store import is_store, read_manifest
from decur.sensors import STATISTICS
from decur.transforms.radiometry import has_offset

from .releases import RELEASES


def detect_layout(path: str | Path) -> Layout:
    """How a data set lies in a folder or store: as a data set class knows it, or as released and to be prepared.

    Raises:
        DataError: If the path does not exist, is no store that can be read, or holds nothing that is known.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f'{path} does not exist.')
    if is_store(path) or path.suffix == '.lmdb':
        read_manifest(path)
    if not path.is_dir():
        raise DataError(f'{path} is a file. Give the folder of a data set, or a store.')
    for release in RELEASES:
        if release.lies_in(path):
            return Layout(f'{release.command}-release', f'{release.title}: as released, to be prepared',
                          f'python tools/prepare_dataset.py {release.command} {{root}} data/{release.command}', dict)
    layout = recognise(path)
    if layout is None:
        raise DataError(f'{path} holds nothing that is known: neither a public data set, nor a store, nor folders of rasters. Is it the '
                        'folder above or below the data? Are the archives extracted whole?')
    return layout


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
    sizes, dtypes, unreadable, pictures, offsets = set(), set(), {}, {}, []
    for name in chosen:
        try:
            bands = part.read(name)
        except (DataError, ConfigError) as error:
            unreadable[name] = str(error)
            continue
        if 'B10' in bands:
            offsets.append(has_offset(bands['B10']))
        for band, plane in bands.items():
            sizes.add(plane.shape)
            dtypes.add(plane.dtype.name)
            moments.setdefault(band, []).append(_moments(plane))
        pictures[name] = _picture(bands)
    return dict(read=len(chosen), sizes=sorted(sizes), dtypes=sorted(dtypes), unreadable=unreadable, pictures=pictures,
                values={band: _values(np.array(moments[band])) for band in part.bands if band in moments},
                offset=float(np.mean(offsets)) if offsets else None)


def _moments(plane: np.ndarray) -> tuple:
    """Count, sum, sum of squares, least and greatest of a band's numbers, and how many of its pixels are missing and not finite."""
    there = np.ma.getdata(plane)[~np.ma.getmaskarray(plane)]
    good = there[np.isfinite(there)].astype(np.float64)
    ends = (good.min(), good.max()) if good.size else (np.inf, -np.inf)
    return good.size, good.sum(), (good**2).sum(), *ends, plane.size - there.size, there.size - good.size


def _values(moments: np.ndarray) -> dict:
    """The values of a band over samples; NaN where there is no number."""
    n, total, squares, _, _, missing, bad = moments.sum(0)
    mean = total / n if n else np.nan
    low, high = (moments[:, 3].min(), moments[:, 4].max()) if n else (np.nan, np.nan)
    return dict(min=low, max=high, mean=mean, std=max(squares / n - mean**2, 0)**.5 if n else np.nan, missing=int(missing),
                not_finite=int(bad))


def _picture(bands: Mapping, side: int = 160) -> np.ndarray:
    """Three bands (red, green, blue where there are such), stretched between the 2nd and 98th percentile."""
    for names in (('B4', 'B3', 'B2'), ('B04', 'B03', 'B02'), ('R', 'G', 'B'), ('VV', 'VH', 'VV')):
        if all(name in bands for name in names):
            break
    else:
        keys = list(bands)
        names = keys[:3] if len(keys) >= 3 else [keys[0]] * 3
    planes = [bands[name] for name in names]
    size = max(p.shape for p in planes)
    image = stack_bands([np.ma.filled(plane.astype(np.float32), np.nan) for plane in planes], size)
    if image.shape[0] * image.shape[1] and not all(p.dtype == np.uint8 and len(bands) == 3 for p in planes):
        low, high = np.nanpercentile(image, (2, 98), axis=(0, 1))
        image = (image - low) / np.maximum(high - low, 1e-6) * 255
    image = np.ascontiguousarray(np.clip(np.nan_to_num(image), 0, 255).astype(np.uint8))
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if max(size) > side else cv2.INTER_NEAREST)


def inspect(path: str | Path, count: int = 16) -> dict:
    """Look at a data set.

    Args:
        path (str | Path): A folder or a store.
        count (int): Samples to read from each modality. Defaults to 16.

    Returns:
        dict: ``layout`` (the name of a :class:`~decur.datasets.Layout`), ``stored`` (whether it is a store), ``title``, ``modalities``
        (``{name: dict(bands, samples, read, sizes, dtypes, values, statistics, offset, unreadable)}``, ``offset`` being the share of
        samples whose band 10 shows an offset of 1000), ``expected_offset`` (whether the release has it), ``gaps`` (``{name: ids that
        it should have}``), ``config`` (how to use it) and ``pictures`` (``[{modality: (h, w, 3) uint8}]``).

    Raises:
        DataError: If it is no layout that is known.
    """
    if count < 1:
        raise ConfigError(f'count must be at least 1, got {count}.')
    layout = detect_layout(path)
    modalities, pictures = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        parts = {name: part for name, part in layout.parts().items() if part.ids}
        for name, part in parts.items():
            found = _summarise(part, count)
            # Values that carry the offset are compared without it; only a release that has it has statistics with it.
            offset = 0 if layout.has_offset else 1000 * (found['offset'] or 0)
            statistics = fit_statistics(found['values'], [v['mean'] - offset for v in found['values'].values()])
            for sample, picture in found.pop('pictures').items():
                pictures.setdefault(sample, {})[name] = picture
            modalities[name] = dict(bands=list(part.bands), samples=len(part.ids), statistics=statistics, **found)
    everyone = set().union(*(part.ids for part in parts.values()))
    gaps = {name: sorted((everyone if part.expected is None else part.expected) - set(part.ids)) for name, part in parts.items()}
    gaps = {name: missing for name, missing in gaps.items() if missing and layout.same_ids}
    entries = ', '.join(_entry(name, part) for name, part in parts.items() if part.bands)
    return dict(layout=layout.name, stored=layout.stored, title=layout.title, modalities=modalities, gaps=gaps,
                expected_offset=layout.has_offset, config=layout.command.format(root=path, entries=entries),
                pictures=list(pictures.values()))


def _entry(name: str, part: Part) -> str:
    """A modality's entry as it stands in a config."""
    key = re.sub(r'[^A-Za-z0-9_]', '_', name).lower()
    bands = '' if part.bands[0] == '1' else f'bands={tuple(part.bands)!r}, '
    files = ', '.join(f'{option}={value!r}' for option, value in part.files.items())
    return f'{key}=dict(channels={len(part.bands)}, {bands}files=dict({files}))'


def report(found: Mapping) -> str:
    """What :func:`inspect` found, as text that ends with the config line."""
    lines = [f'layout: {found["title"]} [{found["layout"]}]']
    for name, m in found['modalities'].items():
        sizes = ', '.join(f'{h}x{w}' for h, w in m['sizes'])
        looked = f' ({m["read"]} looked at)' if m['read'] < m['samples'] else ''
        about = f'{len(m["bands"])} bands in the order {" ".join(m["bands"])}; {"/".join(m["dtypes"])}; {sizes} pixels'
        lines.append(f'{name}: {m["samples"]} samples{looked}, {about if m["values"] else "none of which can be read"}')
        for band, v in m['values'].items():
            ends = f'min {v["min"]:10.2f}  mean {v["mean"]:10.2f}  std {v["std"]:9.2f}  max {v["max"]:10.2f}'
            bad = ''.join(f'  {v[key]} {key.replace("_", " ")}' for key in ('missing', 'not_finite') if v[key])
            lines.append(f'  {band:>6}  {"no numbers" if np.isnan(v["mean"]) else ends}{bad}')
        if m['offset'] is not None:
            advice = '' if found['expected_offset'] else ": put dict(type='RemoveOffset') first"
            lines.append(f"  band 10 shows an offset of 1000 in {100 * m['offset']:.0f} % of them{advice}"
                         if m['offset'] else '  band 10 shows no offset')
        if m['statistics']:
            lines.append('  statistics that fit (distance in standard deviations): ' +
                         ', '.join(f'{name} {distance:.2f}' for name, distance in m['statistics']))
        lines += [f'  unreadable: {sample}: {error}' for sample, error in m['unreadable'].items()]
    for name, missing in found['gaps'].items():
        lines.append(f'gap: {len(missing)} samples lack {name}: {", ".join(missing[:5])}{", ..." if len(missing) > 5 else ""}')
    unreadable = {sample for m in found['modalities'].values() for sample in m['unreadable']}
    if unreadable:
        lines.append(f'damage: {len(unreadable)} of the samples that were looked at cannot be read, see above')
    elif len(found['modalities']) > 1 and not found['gaps']:
        lines.append('pairs: every sample has every modality')
    return '\n'.join([*lines, f'use: {found["config"]}'])

"""Generated land cover at two dates: Sentinel-1 and Sentinel-2 before and after a part of the ground was covered otherwise.

A folder for each sensor and date, ``{s1,s2}_{before,after}/<id>.tif`` (VV, VH in dB; B2, B3, B4, B8 of Sentinel-2 L2A), a label
``change/<id>.png`` (1 where the cover is another), and ``train.txt`` and ``test.txt``. The dates are of one season and differ in clouds,
speckle, haze and light too, as real ones do.
"""
import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from decur.parallel import run_jobs
from decur.writing import write_bytes

from .landcover import fbm, make_landscape
from .landcover_sensors import sense_optical, sense_radar

BANDS = ('B2', 'B3', 'B4', 'B8')
#: Share of the ground that is covered by another landscape at the later date.
SHARE = .25
#: Where the scenes begin, so that no layout shares one.
_OFFSET = 1 << 26


def write_change(out, counts, seed: int, size: int, workers: int) -> None:
    """Write the pairs of dates.

    Args:
        out (Path): The folder.
        counts (dict[str, int]): Number of pairs by split, ``train`` and ``test``.
        seed (int): The scenes depend on it and on their number alone.
        size (int): Side of an image, pixels of 10 m.
        workers (int): Processes.
    """
    jobs = [(split, i) for split in ('train', 'test') for i in range(counts[split])]
    run_jobs(partial(_pair, out=Path(out), seed=seed, size=size), jobs, workers, f'pairs of dates in {out}')
    for split in ('train', 'test'):
        text = ''.join(f'{name}\n' for name in (_name(job) for job in jobs if job[0] == split))
        write_bytes(Path(out) / f'{split}.txt', text.encode())


def _name(job) -> str:
    return f'{job[0]}_{job[1]:05d}'


def _pair(job, out, seed, size):
    split, index = job
    name = _name(job)
    paths = {f'{sensor}_{date}': out / f'{sensor}_{date}' / f'{name}.tif' for sensor in ('s1', 's2') for date in ('before', 'after')}
    label = out / 'change' / f'{name}.png'
    if label.exists() and all(path.exists() for path in paths.values()):
        return
    number = _OFFSET + 2 * (index + (1 << 20) * (split == 'test'))
    rng = np.random.default_rng([seed, number])
    before, other = make_landscape(seed, number, size), make_landscape(seed, number + 1, size)
    smooth = fbm(before.x, before.y, 300., int(rng.integers(1 << 20)))
    turned = smooth >= np.quantile(smooth, 1 - SHARE)
    after = replace(before, **{key: np.where(turned, getattr(other, key), getattr(before, key))
                               for key in ('cover', 'parcel', 'edge', 'texture')})
    for date, landscape in (('before', before), ('after', after)):
        radar, optical = sense_radar(landscape, 1, rng), sense_optical(landscape, 1, rng, clouds=.1)['l2a']
        _write(paths[f's1_{date}'], np.stack([radar['VV'], radar['VH']]))
        _write(paths[f's2_{date}'], np.stack([optical[band] for band in BANDS]))
    buffer = io.BytesIO()
    Image.fromarray((before.cover != after.cover).astype(np.uint8)).save(buffer, format='png')
    label.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(label, buffer.getvalue())


def _write(path, array) -> None:
    """A GeoTIFF of ``(C, H, W)`` at 10 m."""
    import rasterio
    from rasterio.io import MemoryFile
    with MemoryFile() as memory:
        with memory.open(driver='GTiff', height=array.shape[1], width=array.shape[2], count=len(array), dtype=array.dtype.name,
                         crs='EPSG:32632', transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10)) as file:
            file.write(array)
        data = bytes(memory.getbuffer())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)

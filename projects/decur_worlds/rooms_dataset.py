"""Writing generated rooms in the layout that the RGB-D configs read.

``OUT/{rgb,depth,hha,label}/<stem>.png``, ``OUT/intrinsics.json`` (``{stem: [fx, fy, cx, cy]}``, pixels), ``OUT/train.txt`` and
``OUT/test.txt`` (a stem a line). Depth is uint16 millimetres, 0 missing; HHA is made of that depth; label 0 is void, then
:data:`~decur_worlds.rooms.CLASSES` from 1.
"""
from functools import partial
from pathlib import Path

import numpy as np

from decur.dataset_record import start_record
from decur.errors import ConfigError
from decur.hha import depth_to_hha
from decur.parallel import run_jobs
from decur.writing import write_bytes, write_json, write_png

from .rooms import CLASSES, TEST_OFFSET, generate_room, make_scene

#: Raised when the same seed gives other scenes, so that two versions are not mixed in one folder.
VERSION = 1
FOLDERS = ('rgb', 'depth', 'hha', 'label')


def _write_room(job, out, seed, size):
    """Write one scene unless it is there; return its stem and intrinsics."""
    stem, index = job
    paths = {name: out / name / f'{stem}.png' for name in FOLDERS}
    if all(path.exists() for path in paths.values()):
        return stem, make_scene(seed, index, size).camera.intrinsics
    room = generate_room(seed, index, size)
    depth = np.rint(room['depth'] * 1000).astype(np.uint16)
    images = dict(rgb=room['rgb'], depth=depth, hha=depth_to_hha(depth / np.float64(1000), room['intrinsics']), label=room['label'])
    for name, image in images.items():
        write_png(paths[name], image)
    return stem, room['intrinsics']


def write_rooms(out, num_train, num_test, size=(128, 128), seed=0, workers=1):
    """Generate ``num_train`` and ``num_test`` scenes of ``size`` (height, width) into the folder ``out``.

    Goes on where it was stopped, and may be called again with larger numbers. The same seed and size give the same files, however many
    workers make them.

    Raises:
        ConfigError: If a number or size is out of range, or the folder holds something else.
    """
    if num_train < 0 or num_test < 0 or num_train + num_test == 0:
        raise ConfigError(f'nothing to generate: {num_train} training and {num_test} test scenes')
    if min(size) < 16:
        raise ConfigError(f'size (height, width) must be at least 16 pixels, got {tuple(size)}')
    out, size = Path(out), tuple(int(s) for s in size)
    start_record(out, dict(world='rooms', version=VERSION, seed=int(seed), size=list(size), classes=list(CLASSES)))
    for name in FOLDERS:
        (out / name).mkdir(exist_ok=True)
    splits = {'train': [(f'train_{i:06d}', i) for i in range(num_train)],
              'test': [(f'test_{i:06d}', TEST_OFFSET + i) for i in range(num_test)]}
    done = run_jobs(partial(_write_room, out=out, seed=seed, size=size), splits['train'] + splits['test'], workers, f'rooms in {out}')
    write_json(out / 'intrinsics.json', {stem: [round(float(k), 6) for k in intrinsics] for stem, intrinsics in done})
    for split, jobs in splits.items():
        write_bytes(out / f'{split}.txt', ''.join(f'{stem}\n' for stem, _ in jobs).encode())

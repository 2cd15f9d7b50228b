import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run_code, run_tool

from decur.errors import ConfigError, DataError
from decur.hha import depth_to_hha
from decur_worlds import rooms_dataset
from decur_worlds.rooms_dataset import write_rooms

TOOL = Path(__file__).parents[2] / 'tools' / 'generate_dataset.py'
SIZE = (32, 40)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def command(out, *options):
    return [str(TOOL), 'rooms', str(out), '--size', '32', '40', '--seed', '3', *options]


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    out = tmp_path_factory.mktemp('rooms') / 'set'
    write_rooms(out, 6, 3, SIZE, seed=3, workers=1)
    return out


def test_layout(reference):
    train, test = ((reference / f'{split}.txt').read_text().split() for split in ('train', 'test'))
    assert len(train) == 6 and len(test) == 3
    intrinsics = json.loads((reference / 'intrinsics.json').read_text())
    assert sorted(intrinsics) == sorted(train + test)
    for stem in train + test:
        rgb, depth, hha, label = (cv2.imread(str(reference / name / f'{stem}.png'), cv2.IMREAD_UNCHANGED)
                                  for name in ('rgb', 'depth', 'hha', 'label'))
        assert rgb.shape == (*SIZE, 3) and rgb.dtype == np.uint8 and label.shape == SIZE and label.dtype == np.uint8
        assert depth.shape == SIZE and depth.dtype == np.uint16 and 500 < np.median(depth[depth > 0]) < 8000
        # HHA is that of the depth on disk, in RGB order.
        assert np.array_equal(hha[..., ::-1], depth_to_hha(depth / 1000, intrinsics[stem]))


def test_the_command_gives_the_same_files_whatever_the_workers(reference, tmp_path):
    out = tmp_path / 'set'
    done = run_tool(*command(out, '--num-train', '6', '--num-test', '3', '--workers', '2'))
    assert 'ETA' in done.stdout
    assert files(out) == files(reference)


def test_killed_and_resumed(reference, tmp_path):
    out = tmp_path / 'set'
    options = ('--num-train', '6', '--num-test', '3', '--workers', '1')
    script = f'''
import os, signal, sys
import decur_worlds.rooms_dataset as module
real, count = module.write_png, [0]
def write(path, image):
    count[0] += 1
    if count[0] == 10:
        # In the middle of a file.
        path.with_name(f'.{{path.name}}.{{os.getpid()}}.tmp').write_bytes(b'half')
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, image)
module.write_png = write
sys.argv = {command(out, *options)!r}
exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))
'''
    killed = run_code(script)
    assert killed.returncode == -9, killed.stderr
    assert len(list(out.rglob('*.png'))) == 9 and not (out / 'train.txt').exists()
    before = {p: p.stat().st_mtime_ns for p in (out / 'label').glob('*.png')}
    time.sleep(.01)
    write_rooms(out, 6, 3, SIZE, seed=3)
    assert files(out) == files(reference)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items()), 'finished scenes were made again'


def test_more_scenes_leave_the_old_ones(reference, tmp_path):
    out = tmp_path / 'set'
    write_rooms(out, 2, 3, SIZE, seed=3)
    write_rooms(out, 6, 3, SIZE, seed=3)
    assert files(out) == files(reference)


def test_refuses_to_mix(reference, tmp_path):
    done = run_tool(*command(reference, '--num-train', '2', '--seed', '4'), check=False)
    assert done.returncode == 1 and 'seed' in done.stderr and 'another folder' in done.stderr and 'Traceback' not in done.stderr
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(ConfigError, match='not empty'):
        write_rooms(tmp_path, 1, 1, SIZE)
    with pytest.raises(DataError, match='is a file'):
        write_rooms(tmp_path / 'mine.txt', 1, 1, SIZE)
    with pytest.raises(ConfigError, match='nothing to generate'):
        write_rooms(tmp_path / 'new', 0, 0, SIZE)
    with pytest.raises(ConfigError, match='16 pixels'):
        write_rooms(tmp_path / 'new', 1, 0, (8, 64))
    assert not (tmp_path / 'new').exists()


def test_version_guards_old_folders(reference, monkeypatch):
    monkeypatch.setattr(rooms_dataset, 'VERSION', rooms_dataset.VERSION + 1)
    with pytest.raises(ConfigError, match='version'):
        write_rooms(reference, 6, 3, SIZE, seed=3)

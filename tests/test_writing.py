"""Atomic writes: whole or not at all, errors that name the file, and nothing left of a killed run."""
import os
import resource
import sys
import time

import numpy as np
import processes
import pytest
from helpers import run_code
from PIL import Image

from decur.errors import DataError
from decur.writing import (
    WriteError,
    check_writable,
    output_folder,
    read_json,
    remove_leftovers,
    replacing,
    sample_path,
    write_bytes,
    write_json,
    write_png,
)

NOBODY = 4194305  # above the largest number of a process


def test_a_file_is_replaced_at_once_or_stays(tmp_path):
    path = tmp_path / 'x.bin'
    write_bytes(path, b'old')
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b'half')
        raise ZeroDivisionError
    assert path.read_bytes() == b'old' and [p.name for p in tmp_path.iterdir()] == ['x.bin']
    write_json(path, dict(a=1))
    assert path.read_text() == '{\n "a": 1\n}\n'


def test_what_must_survive_a_power_cut_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    write_bytes(tmp_path / 'a', b'1', durable=True)
    assert calls == ['fsync', 'replace', 'fsync'] and (tmp_path / 'a').read_bytes() == b'1'
    write_bytes(tmp_path / 'a', b'2')
    assert calls[3:] == ['replace'] and (tmp_path / 'a').read_bytes() == b'2'


def test_png_keeps_values_and_colour_order(tmp_path):
    rng = np.random.default_rng(0)
    for image in (rng.integers(0, 256, (5, 7, 3), dtype=np.uint8), rng.integers(0, 65536, (5, 7), dtype=np.uint16)):
        write_png(tmp_path / 'x.png', image)
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'x.png')).astype(image.dtype), image)
    for image in (np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)):
        with pytest.raises(DataError, match='x.png: cannot encode'):
            write_png(tmp_path / 'x.png', image)


def test_a_full_disk_names_the_file_and_keeps_what_was_there(tmp_path):
    path = tmp_path / 'x.bin'
    write_bytes(path, b'old')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(WriteError, match='x.bin cannot be written.*File too large.*before is whole') as error:
            write_bytes(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == 27 and isinstance(error.value, OSError) and '\n' not in str(error.value)
    assert path.read_bytes() == b'old' and len(list(tmp_path.iterdir())) == 1
    if os.path.exists('/dev/full'):
        with pytest.raises(WriteError, match=r'dataset.json cannot be written \(No space left on device\)'), \
                replacing(tmp_path / 'dataset.json') as temporary:
            temporary.write_bytes(b'')
            with open('/dev/full', 'wb') as file:
                file.write(b'x')


@pytest.mark.parametrize('make', [lambda p: p / 'none' / 'x', lambda p: p / ('n' * 300)])
def test_a_place_that_cannot_be_is_named(tmp_path, make):
    with pytest.raises(WriteError, match='cannot be written'):
        write_bytes(make(tmp_path), b'')


def test_long_names_are_written(tmp_path):
    path = tmp_path / ('n' * 251 + '.png')
    write_bytes(path, b'x')
    assert path.read_bytes() == b'x'


def test_a_folder_that_is_a_file_is_said_before_anything_is_written(tmp_path):
    (tmp_path / 'file').write_text('')
    for folder in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(WriteError, match='file is a file; give a folder'):
            output_folder(folder)
    check_writable(tmp_path / 'new' / 'deep')
    assert not (tmp_path / 'new').exists()


def test_a_read_only_folder_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: str(path) != str(tmp_path))  # root may write everywhere
    for folder in (tmp_path, tmp_path / 'new', tmp_path / 'new' / 'deep'):
        with pytest.raises(WriteError, match='cannot be written .Permission denied.'):
            output_folder(folder)
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_processes_go_and_those_of_running_ones_stay(tmp_path):
    with processes.started(sys.executable, '-c', 'import time; time.sleep(60)') as other:
        with replacing(tmp_path / 'mine.png') as mine:
            mine.write_bytes(b'')
            theirs = tmp_path / mine.name.replace(str(os.getpid()), str(other.pid)).replace('mine', 'theirs')
            time.sleep(.1)
            theirs.write_bytes(b'')
            dead = [tmp_path / f'.a.png.{NOBODY}.tmp', tmp_path / mine.name.replace(str(os.getpid()), str(NOBODY))]
            kept = [tmp_path / name for name in ('.hidden', 'a.tmp', '.notes.tmp', f'.b.png.{NOBODY}@elsewhere.tmp', 'x.png')]
            for path in (*dead, *kept):
                path.write_bytes(b'')
            old = tmp_path / f'.c.png.{NOBODY}@elsewhere.tmp'
            reused = tmp_path / f'.d.png.{other.pid}.tmp'  # of a process that had the number before
            for path in (old, reused):
                path.write_bytes(b'')
                os.utime(path, (time.time() - 1e6, ) * 2)
            remove_leftovers(tmp_path)
            assert {p.name for p in tmp_path.iterdir()} == {p.name for p in (mine, theirs, *kept)}
    remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {'mine.png', *(p.name for p in kept)}


def test_a_killed_process_whose_status_nobody_has_asked_for_writes_no_more(tmp_path):
    with processes.started(sys.executable, '-c', 'import time; time.sleep(60)') as killed:
        with replacing(tmp_path / 'x.png') as mine:
            left = tmp_path / mine.name.replace(str(os.getpid()), str(killed.pid))
            left.write_bytes(b'')
            mine.write_bytes(b'')
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
        remove_leftovers(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ['x.png']


def test_a_killed_writer_leaves_what_the_next_run_removes(tmp_path):
    write_bytes(tmp_path / 'x', b'old')
    script = ('import os, sys; from decur.writing import replacing\n'
              f'with replacing({str(tmp_path / "x")!r}) as temporary:\n    temporary.write_bytes(b"half"); os.kill(os.getpid(), 9)')
    assert run_code(script).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / 'x').read_bytes() == b'old'
    output_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['x']


@pytest.mark.parametrize('ids', [('a', 'a.b', 'a.c', 'a.b.c'), ('x/a', 'y/a', 'x_a', 'x/a.b'), ('a b', 'a_b', 'a  b', ' a'),
                                 ('a@0,64', 'a@0,6', 'ü', 'u')])
def test_every_sample_has_a_file_of_its_own(tmp_path, ids):
    paths = [sample_path(tmp_path / 'out', name) for name in ids]
    assert len(set(paths)) == len(ids)
    for path, name in zip(paths, ids):
        path.write_text(name)
        assert path.is_relative_to(tmp_path / 'out') and path.suffix == '.png'
    assert [path.read_text() for path in paths] == list(ids)


@pytest.mark.parametrize('name', ['../a', 'a/../../b', '/etc/a', '', '.', 'a//b', 'a/', 'a\0b', '..\\a'])
def test_names_that_lead_out_of_the_folder(tmp_path, name):
    with pytest.raises(DataError, match='cannot be the name of a file'):
        sample_path(tmp_path, name)


@pytest.mark.parametrize('data, says', [
    (None, 'x.json cannot be read .No such file'), (b'{"a": ', 'x.json is damaged'), (b'\xff\x00\xfe', 'x.json is damaged'),
    (b'[1]', 'expected an object, got list'), (b'[' * 100000, 'x.json is damaged')])
def test_a_json_file_that_holds_no_object_is_named(tmp_path, data, says):
    if data is not None:
        (tmp_path / 'x.json').write_bytes(data)
    with pytest.raises(DataError, match=says) as error:
        read_json(tmp_path / 'x.json')
    assert '\n' not in str(error.value)
    write_json(tmp_path / 'y.json', dict(a=[1, None]))
    assert read_json(tmp_path / 'y.json') == dict(a=[1, None])

"""What every preparation does, with a data set as small as can be: choose, go on, repair, estimate, refuse what cannot be."""
import os
import resource
import signal
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest
from toy import Toy, contents, store_of, write_folders

from decur.errors import ConfigError, DataError
from decur.prepare import engine, store_writer
from decur.prepare.engine import choose, prepare
from decur.prepare.store_writer import verify_store
from decur.writing import WriteError

pytest.importorskip('lmdb')


@pytest.fixture
def src(tmp_path):
    write_folders(tmp_path / 'src', contents(8))
    return tmp_path / 'src'


def test_choosing():
    samples = {f'{i}': 'train' if i % 3 else 'test' for i in range(30)}
    assert choose(samples, None, None, 0) == samples
    part = choose(samples, .5, None, 1)
    assert len(part) == 15 and part == choose(dict(reversed(samples.items())), 15, None, 1) and part != choose(samples, .5, None, 2)
    assert list(choose(samples, None, 2, 0)) == ['0', '1', '2', '3']
    for options, says in (((0, None), 'are 30'), ((1.5e9, None), 'are 30'), ((-.5, None), 'are 30'), ((None, 0), 'limit')):
        with pytest.raises(ConfigError, match=says):
            choose(samples, *options, 0)


def test_an_estimate_writes_nothing_and_fits(src, tmp_path):
    figures = prepare(Toy(src), tmp_path / 'out', dry_run=True)
    assert not (tmp_path / 'out').exists() and figures['samples'] == 8 and figures['bytes'] >= 8 * 2 * 900
    prepare(Toy(src), tmp_path / 'out')
    assert store_of(tmp_path / 'out') == contents(8)


Usage = namedtuple('Usage', 'total used free')


def test_space_is_compared_with_what_is_left_to_write(src, tmp_path, monkeypatch):
    """16 kB are to be written: a disk with 50 kB is enough, one with 1 kB is not, and for a store that is nearly done it is."""
    free = [1000]
    monkeypatch.setattr(engine.shutil, 'disk_usage', lambda path: Usage(0, 0, free[0]))
    with pytest.raises(DataError, match=r'still to be written, the disk has 0 MB left. Free some space and run the same command again'):
        prepare(Toy(src), tmp_path / 'out')
    free[0] = 50_000
    prepare(Toy(src), tmp_path / 'out')
    free[0] = 10
    assert prepare(Toy(src), tmp_path / 'out')['done'] == 8  # nothing is left
    (src / 'root' / 'z').mkdir()
    for name in 'ab':
        (src / 'root' / 'z' / f'{name}.bin').write_bytes(b'x')
    free[0] = 3000
    assert prepare(Toy(src), tmp_path / 'out')['done'] == 9


def in_child(function):
    """Run ``function`` in a process of its own: the signal or the exit status that ended it, and the text of a DataError."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            function()
        except DataError as error:
            os.write(write, str(error).encode())
            status = 1
        except BaseException:
            status = 2
        os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@pytest.mark.parametrize('size, workers', [(30, 1), (100_000, 1), (1 << 20, 2)])
def test_a_file_size_limit_ends_with_one_line_and_the_same_command_goes_on(tmp_path, size, workers):
    files = contents(30, 40_000)
    write_folders(tmp_path / 'src', files)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        prepare(Toy(tmp_path / 'src'), tmp_path / 'out', workers=workers)

    status, text = in_child(limited)
    assert status == 1 and str(tmp_path / 'out') in text and 'cannot be' in text and '\n' not in text
    prepare(Toy(tmp_path / 'src'), tmp_path / 'out')
    assert store_of(tmp_path / 'out') == files and not verify_store(tmp_path / 'out')


def test_an_output_that_cannot_be_written_is_said_before_anything_is_read(src, tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, 'units', lambda self, samples: pytest.fail('the release was read'))
    (tmp_path / 'file').write_text('')
    with pytest.raises(WriteError, match='is a file'):
        prepare(Toy(src), tmp_path / 'file' / 'out')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # root may write everywhere
    with pytest.raises(WriteError, match='out cannot be written .Permission denied.'):
        prepare(Toy(src), tmp_path / 'out')


def test_a_worker_that_is_killed(src, tmp_path, monkeypatch):
    whole = Toy.encode

    def encode(self, key, files):
        if key == '005':
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, key, files)

    monkeypatch.setattr(Toy, 'encode', encode)
    monkeypatch.setattr(engine, 'estimate_units', lambda *args: dict(bytes=0))  # which encodes in this process
    with pytest.raises(DataError, match='a worker process was killed'):
        prepare(Toy(src), tmp_path / 'out', workers=2)
    monkeypatch.undo()
    assert not (tmp_path / 'out' / 'manifest.json').exists()
    prepare(Toy(src), tmp_path / 'out', workers=2)
    assert store_of(tmp_path / 'out') == contents(8)


def kill_at(place):
    """Make this process kill itself at the ``place``-th of all calls that change the output."""
    count = [0]

    def killing(module, name):
        real = getattr(module, name)

        def call(*args, **kwargs):
            count[0] += 1
            if count[0] == place:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(module, name, call)

    for name in ('put', 'commit', 'finish'):
        killing(store_writer.StoreWriter, name)
    for module, name in ((store_writer, 'write_bytes'), (store_writer, 'write_json'), (os, 'replace'), (os, 'truncate'), (Path, 'unlink')):
        killing(module, name)


@pytest.mark.parametrize('archive', [False, True])
def test_a_run_that_is_killed_anywhere_goes_on(src, tmp_path, archive):
    if archive:
        with tarfile.open(tmp_path / 'toy.tar.gz', 'w:gz') as file:
            file.add(src / 'root', 'root')
        src = tmp_path
    place, ends = 0, []
    while not ends or ends[-1] == -signal.SIGKILL:
        place += 1
        out = tmp_path / f'out{place}'
        ends.append(in_child(lambda place=place, out=out: (kill_at(place), prepare(Toy(src), out)))[0])
        if ends[-1] == -signal.SIGKILL:
            assert not (out / 'manifest.json').exists() or (out / 'unfinished.json').exists()
        prepare(Toy(src), out)
        assert store_of(out) == contents(8) and not verify_store(out), place
        assert not [path.name for path in out.iterdir() if path.name.endswith('.tmp')]
    assert ends[-1] == 0 and len(ends) > 15


@pytest.mark.parametrize('page', [bytes(4096), b'\xff' * 4096, bytes(range(256)) * 16])
def test_a_torn_first_page(src, tmp_path, page, monkeypatch, capsys):
    """An unfinished store is begun anew; a finished one says how to mend it."""
    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Toy, 'finish', killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(Toy(src), tmp_path / 'out')
    monkeypatch.undo()
    data = tmp_path / 'out' / 'data.mdb'
    data.write_bytes(page + data.read_bytes()[4096:])
    prepare(Toy(src), tmp_path / 'out')
    assert 'All its records are made again' in capsys.readouterr().out and store_of(tmp_path / 'out') == contents(8)
    data.write_bytes(page + data.read_bytes()[4096:])
    for act in (lambda: prepare(Toy(src), tmp_path / 'out'), lambda: verify_store(tmp_path / 'out'), lambda: store_of(tmp_path / 'out')):
        with pytest.raises(DataError, match='data.mdb is damaged.*--repair'):
            act()
    prepare(Toy(src), tmp_path / 'out', repair=True)
    assert store_of(tmp_path / 'out') == contents(8)


@pytest.mark.parametrize('length', [0, 100, 4096, 9000])
def test_a_truncated_or_missing_lmdb_is_made_anew_by_repair(src, tmp_path, length):
    prepare(Toy(src), tmp_path / 'out')
    data = tmp_path / 'out' / 'data.mdb'
    os.truncate(data, length)
    with pytest.raises(DataError, match='data.mdb'):
        prepare(Toy(src), tmp_path / 'out')
    if length == 100:
        data.unlink()
    prepare(Toy(src), tmp_path / 'out', repair=True)
    assert store_of(tmp_path / 'out') == contents(8) and not verify_store(tmp_path / 'out')


@pytest.mark.parametrize('name', ['manifest.json', 'index.safetensors'])
def test_every_flipped_bit_of_manifest_and_index_is_noticed(src, tmp_path, name):
    prepare(Toy(src), tmp_path / 'out')
    path = tmp_path / 'out' / name
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        if b'"checksum' in whole[place - 12:place + 12]:
            continue  # the name of the checksum itself
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(DataError, match=f'{name}|format|store'):
            verify_store(tmp_path / 'out')
    prepare(Toy(src), tmp_path / 'out', repair=True)
    assert path.read_bytes() == whole


@pytest.mark.parametrize('text', [b'', b'[]', b'\xff\xfe', b'{"format": 3', b'[' * 100_000])
def test_a_damaged_mark_of_an_unfinished_store(src, tmp_path, text):
    prepare(Toy(src), tmp_path / 'out')
    (tmp_path / 'out' / 'unfinished.json').write_bytes(text)
    with pytest.raises(DataError, match='unfinished.json is damaged.*--repair'):
        prepare(Toy(src), tmp_path / 'out')
    prepare(Toy(src), tmp_path / 'out', repair=True)
    assert store_of(tmp_path / 'out') == contents(8)


def test_nothing_that_can_be_read_is_an_error(src, tmp_path):
    for path in src.rglob('b.bin'):
        path.unlink()
    with pytest.raises(DataError, match="toy: 8 sample.s. cannot be prepared, the first is 000: only .'a'."):
        prepare(Toy(src), tmp_path / 'out')
    assert not (tmp_path / 'out' / 'manifest.json').exists()

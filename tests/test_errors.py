"""How a command line ends: one line, a status, and where the line goes."""
import errno
import json
import logging
import multiprocessing
import sys

import pytest
import torch
from helpers import run_code
from torch.utils.data import DataLoader

from decur.errors import ConfigError, DataError, Stopped, WeightsError, check_choice, closest, exit_on_bad_input
from decur.writing import WriteError


class Broken(torch.utils.data.Dataset):
    """A data set whose second sample raises."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index:
            raise self.error
        return index


def ending(error, capsys):
    with pytest.raises(SystemExit) as end, exit_on_bad_input():
        raise error
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1
    return err.rstrip('\n'), end.value.code


@pytest.mark.parametrize('error, line, status', [
    (ConfigError('no such key'), 'error: no such key', 1),
    (DataError('a.png:\n  cut\n  short'), 'error: a.png: cut short', 1),
    (WeightsError('does not fit'), 'error: does not fit', 1),
    (WriteError('x cannot be written'), 'error: x cannot be written', 1),
    (FloatingPointError('the loss is not finite'), 'error: the loss is not finite', 1),
    (PermissionError(13, 'Permission denied', '/x/y'), 'error: /x/y: Permission denied.', 1),
    (OSError(28, 'No space left on device'), 'error: No space left on device.', 1),
    (RuntimeError('DataLoader worker (pid 12) is killed by signal: Killed. '), 'error: a process that loads data (pid 12) was killed', 1),
    (RuntimeError('DataLoader worker (pid(s) 12, 13) exited unexpectedly'), 'error: a process that loads data (pid 12, 13) was killed', 1),
    (torch.OutOfMemoryError('CUDA out of memory. Tried\nmore'), 'error: CUDA out of memory. Tried Lower the batch_size', 1),
    (KeyboardInterrupt(), 'interrupted', 130),
    (Stopped('ended by SIGTERM'), 'ended by SIGTERM', 143),
])
def test_one_line_and_a_status(error, line, status, capsys, monkeypatch):
    monkeypatch.setattr('signal.signal', lambda *args: None)  # Ctrl-C works on in the tests
    found, code = ending(error, capsys)
    assert found.startswith(line) and code == status


@pytest.mark.parametrize('error', [KeyError('x'), RuntimeError('shapes differ'), ValueError('x'), AssertionError(), OSError('x')])
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)), exit_on_bad_input():
        raise error


@pytest.mark.parametrize('error', [DataError('sites/b.tif has 1 band, expected 3: see --bands'), WriteError('full'), WeightsError('a:\nb')])
def test_an_error_in_a_process_that_loads_data_is_its_own_line(error, capsys):
    with pytest.raises(SystemExit), exit_on_bad_input():
        list(DataLoader(Broken(error), num_workers=1))
    found = capsys.readouterr().err
    assert found == f'error: {" ".join(str(error).split())}\n'


def test_under_torchrun_the_line_goes_to_the_launcher(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'error.json'))
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise DataError('b.png is cut')
    assert capsys.readouterr().err == ''
    assert json.loads((tmp_path / 'error.json').read_text())['message']['message'] == 'error: b.png is cut'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'none' / 'error.json'))
    assert ending(DataError('b.png is cut'), capsys)[0] == 'error: b.png is cut'


def test_the_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv('DECUR_TRACEBACK', '1')
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise DataError('b.png is cut')
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith('Traceback') and lines[-1] == 'error: b.png is cut'


def test_ctrl_c_twice_is_one_line():
    code = '''
import os, signal
from decur.errors import exit_on_bad_input
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts in the background
with exit_on_bad_input():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        pass
'''
    done = run_code(code)
    assert done.returncode == 130 and done.stderr == 'interrupted\n'


@pytest.mark.parametrize('how', ['while another is handled', 'as the cause', 'two errors before'])
def test_ctrl_c_inside_a_library_that_catches_everything_is_one_line(how, capsys, monkeypatch):
    """MMEngine, interrupted where it formats a config, raises a SyntaxError."""
    monkeypatch.setattr('signal.signal', lambda *args: None)  # Ctrl-C works on in the tests

    def library():
        try:
            raise KeyboardInterrupt
        except BaseException as stop:
            if how == 'as the cause':
                raise RuntimeError('own') from stop
            if how == 'two errors before':
                try:
                    raise ValueError('own')
                except ValueError as error:
                    raise RuntimeError('own') from error
            raise SyntaxError('own')  # noqa: B904  raised as the library does

    with pytest.raises(SystemExit) as end, exit_on_bad_input():
        library()
    assert end.value.code == 130 and capsys.readouterr().err == 'interrupted\n'


@pytest.mark.parametrize('own, says', [(SyntaxError('a config of\nmany lines'), 'error: a process that loads data (pid 7) was killed'),
                                       (DataError('a.tif is damaged'), 'error: a.tif is damaged')])
def test_a_worker_killed_while_a_library_catches_everything_is_one_line(own, says, capsys):
    def library():
        try:
            raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')
        except RuntimeError:
            raise own  # noqa: B904  as the library does

    with pytest.raises(SystemExit) as end, exit_on_bad_input():
        library()
    err = capsys.readouterr().err
    assert end.value.code == 1 and err.startswith(says) and err.count('\n') == 1


def test_the_closest_name():
    assert closest('optcal', ['sar', 'optical']) == " (did you mean 'optical'?)." and closest('dem', ['sar', 'optical']) == '.'


@pytest.mark.parametrize('how', ['file', 'log'])
def test_a_write_that_fails_names_its_file(how, capsys, monkeypatch):
    """The error of a write on a full disk does not say where; /dev/full is such a disk."""

    def write():
        if how == 'file':
            with open('/dev/full', 'w') as file:
                file.write('x')
        else:
            handler = logging.FileHandler('/dev/full')
            handler.stream.write('x')
            handler.stream.flush()

    monkeypatch.delenv('TORCHELASTIC_ERROR_FILE', raising=False)
    with pytest.raises(SystemExit) as ended, exit_on_bad_input():
        write()
    assert ended.value.code == 1
    assert capsys.readouterr().err == ('error: /dev/full: No space left on device. Free some space and run the same command again; '
                                       'a training goes on with --resume.\n')


def test_semaphores_that_find_no_room_name_the_shared_memory(capsys, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    multiprocessing.Lock()
    monkeypatch.setattr('_multiprocessing.SemLock', full)
    with pytest.raises(SystemExit), exit_on_bad_input():
        multiprocessing.Lock()
    line = capsys.readouterr().err
    assert line.startswith('error: /dev/shm (shared memory') and 'No space left on device' in line and line.count('\n') == 1


def test_what_is_taken_away_after_an_error_says_nothing(capsys, monkeypatch):
    """PyTorch's loaders do, when there is no room for their semaphores."""
    class HalfMade:
        def __del__(self):
            raise AttributeError('_workers')

    monkeypatch.setattr(sys, 'unraisablehook', sys.__unraisablehook__)
    monkeypatch.delenv('DECUR_TRACEBACK', raising=False)
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise DataError('no room')
    HalfMade()
    assert capsys.readouterr().err == 'error: no room\n'


def test_an_option_is_among_what_is_known():
    assert check_choice('mode', 'same', ('first', 'same')) == 'same' and check_choice('classes', 43, (19, 43)) == 43
    for value, text in (('sane', "mode must be 'first' or 'same', got 'sane' (did you mean 'same'?)."), (None, "or 'same', got None.")):
        with pytest.raises(ConfigError) as error:
            check_choice('mode', value, ('first', 'same'))
        assert str(error.value).endswith(text)
    with pytest.raises(ConfigError, match="layout must be 'a', 'b' or 'c', got 7[.]"):
        check_choice('layout', 7, dict(a=1, b=2, c=3))

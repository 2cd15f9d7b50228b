"""One training in a folder, and processes that end with their launcher."""
import os
import signal
import subprocess
import sys

import processes
import pytest
from helpers import ROOT

import decur  # noqa: F401
from decur.engine.work_dir import LOCK, lock_work_dir
from decur.errors import ConfigError

#: Locks a folder as a training does, without the time that importing the package takes.
HOLD = '''
import fcntl, os, sys, time
file = open(sys.argv[1], 'a+')
fcntl.lockf(file, fcntl.LOCK_EX)
file.write(f'pid {os.getpid()} on here, since today'); file.flush()
if os.fork() == 0:  # a process that loads data does not hold the lock
    time.sleep(20)
    os._exit(0)
print('held', flush=True)
time.sleep(60)
'''


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path):
    with processes.started(sys.executable, '-c', HOLD, tmp_path / LOCK, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'held\n'
        with pytest.raises(ConfigError, match=rf'another run trains in .* \(pid {process.pid} on here.*--work-dir') as error:
            lock_work_dir(tmp_path)
        assert '\n' not in str(error.value)
        process.kill()
        process.wait()
        leftover = tmp_path / f'.epoch_1.pth.{process.pid}.tmp'
        leftover.touch()
        lock_work_dir(tmp_path)  # while the process that loads data is still there
    # Read by another process: this one would give a POSIX lock back when it closes the file.
    text = subprocess.run(['cat', tmp_path / LOCK], capture_output=True, text=True, timeout=60).stdout
    assert f'pid {os.getpid()} on ' in text and 'here' not in text
    assert not leftover.exists()
    lock_work_dir(tmp_path)  # its own run may train there again
    # Now this process holds it.
    again = 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], "a+"), fcntl.LOCK_EX | fcntl.LOCK_NB)'
    done = subprocess.run([sys.executable, '-c', again, str(tmp_path / LOCK)], capture_output=True, text=True, timeout=60)
    assert 'BlockingIOError' in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='work directory .*file/x cannot be written .Not a directory'):
        lock_work_dir(tmp_path / 'file' / 'x')


def test_a_process_ends_when_its_launcher_is_killed(tmp_path):
    """The file is loaded alone: the process under test must start fast."""
    child = f'''
import importlib.util, time
spec = importlib.util.spec_from_file_location('parent', {str(ROOT / "projects/decur/engine/parent.py")!r})
parent = importlib.util.module_from_spec(spec); spec.loader.exec_module(parent)
parent.end_with_parent()
print('ready', flush=True)
time.sleep(60)
'''
    launcher = f'''
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
'''
    with processes.started(sys.executable, '-c', launcher, stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert processes.is_running(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        processes.wait_until(lambda: not processes.is_running(pid), 30, 'the end of the process whose launcher was killed')

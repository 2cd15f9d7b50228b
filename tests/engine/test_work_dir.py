"""One training in a folder, and processes that end with their launcher."""
import os
import signal
import subprocess
import sys
import time

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
    process = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path / LOCK)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    with pytest.raises(ConfigError, match=rf'another run trains in .* \(pid {process.pid} on here.*--work-dir') as error:
        lock_work_dir(tmp_path)
    assert '\n' not in str(error.value)
    process.kill()
    process.wait()
    leftover = tmp_path / f'.epoch_1.pth.{process.pid}.tmp'
    leftover.touch()
    lock_work_dir(tmp_path)
    # Read by another process: this one would give a POSIX lock back when it closes the file.
    text = subprocess.run(['cat', tmp_path / LOCK], capture_output=True, text=True).stdout
    assert f'pid {os.getpid()} on ' in text and 'here' not in text
    assert not leftover.exists()
    lock_work_dir(tmp_path)  # its own run may train there again
    # Now this process holds it.
    again = 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], "a+"), fcntl.LOCK_EX | fcntl.LOCK_NB)'
    assert 'BlockingIOError' in subprocess.run([sys.executable, '-c', again, str(tmp_path / LOCK)], capture_output=True, text=True).stderr


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
    process = subprocess.Popen([sys.executable, '-c', launcher], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    os.kill(pid, 0)  # it runs
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(50):
        if not running(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail('the process trains on')


def running(pid):
    try:
        return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False

"""Processes of the tests: started so that they end with the test, and found where a test left one behind."""
import contextlib
import ctypes
import gc
import glob
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

#: Of Linux's prctl(2): descendants whose parent has ended become children of this process, instead of those of process 1.
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that a process which is about to end by itself may take.
GRACE = 30


def adopt_orphans() -> None:
    """Make every later descendant of this process one that :func:`end_left` finds, also with a session of its own and without a parent.

    Where process 1 does not ask for the status of what has ended, as in some containers, orphans would stay listed for ever too.
    """
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _descendants(pid: int) -> list[int]:
    """Numbers of the processes below one, which takes much less time than to look at every process of the machine."""
    lists = glob.glob(f'/proc/{pid}/task/*/children')
    if not lists:
        return [process.pid for process in psutil.Process(pid).children(recursive=True)] if psutil.pid_exists(pid) else []
    children = []
    for path in lists:
        with contextlib.suppress(OSError):  # a thread that has ended
            children += map(int, Path(path).read_text().split())
    return children + [below for child in children for below in _descendants(child)]


def running() -> list[psutil.Process]:
    """Descendants of this process that run, without multiprocessing's helpers, which live as long as this one does."""
    helpers = {multiprocessing.forkserver._forkserver._forkserver_pid, multiprocessing.resource_tracker._resource_tracker._pid}
    found = []
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(psutil.NoSuchProcess):
            if pid in helpers:
                continue
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
            else:
                with contextlib.suppress(ChildProcessError):  # of an orphan that ended, nobody else asks for the status
                    os.waitpid(pid, os.WNOHANG)
    return found


def is_running(pid: int) -> bool:
    """Whether there is a process of this number that has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_left(grace: float = GRACE) -> list[str]:
    """Kill the descendants of this process that do not end by themselves in ``grace`` seconds; a line about each."""
    if not running():
        return []
    gc.collect()  # the processes of a data loader end with the loader, which may hang in a reference cycle
    deadline = time.monotonic() + grace
    while running() and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = []
    for process in running():
        with contextlib.suppress(psutil.NoSuchProcess):
            lines.append(f'{process.pid} ({" ".join(process.cmdline())[:200]})')
            process.kill()
    deadline = time.monotonic() + grace
    while running() and time.monotonic() < deadline:
        time.sleep(0.05)
    return lines


@contextlib.contextmanager
def started(*command: object, **options) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, which is killed with all of its session at the end of the block."""
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait(timeout=60)


def wait_until(condition, seconds: float, what: str, process: subprocess.Popen | None = None, every: float = 0.05) -> None:
    """Return when ``condition()`` holds; fail after ``seconds``, or when ``process`` ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, f'ended with {process.returncode} before: {what}'
        assert time.monotonic() < deadline, f'not in {seconds} s: {what}'
        time.sleep(every)

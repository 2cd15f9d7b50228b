"""The guards of the tests themselves: what a test leaves running is found and ended, and programs in forks behave as commands."""
import os
import signal
import subprocess
import sys
import time

import forked
import processes
import pytest
from helpers import ROOT, run_code, run_tool

SLEEP = [sys.executable, '-c', 'import time; time.sleep(60)']


def test_a_child_with_a_session_of_its_own_is_ended():
    child = subprocess.Popen(SLEEP, start_new_session=True)
    left, = processes.end_left(grace=0.2)
    assert str(child.pid) in left and 'time.sleep(60)' in left
    assert not processes.is_running(child.pid) and not processes.end_left(grace=0.2)
    child.wait()


@pytest.mark.skipif(sys.platform != 'linux', reason='orphans are adopted on Linux only')
def test_an_orphan_is_ended():
    code = f'import subprocess; print(subprocess.Popen({SLEEP!r}, start_new_session=True, stdout=subprocess.DEVNULL).pid)'
    pid = int(subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, timeout=60).stdout)
    assert processes.is_running(pid)
    left, = processes.end_left(grace=0.2)
    assert str(pid) in left and not processes.is_running(pid)


def test_what_ends_by_itself_is_not_left():
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(0.5)'])
    assert processes.is_running(child.pid) and processes.end_left(grace=20) == [] and not processes.is_running(child.pid)


def test_a_started_process_ends_with_its_block():
    with pytest.raises(ZeroDivisionError), processes.started(*SLEEP) as process:
        assert processes.is_running(process.pid)
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_waiting_ends():
    start = time.monotonic()
    with pytest.raises(AssertionError, match='not in 0.2 s: a file'):
        processes.wait_until(lambda: False, 0.2, 'a file')
    with processes.started(sys.executable, '-c', 'raise SystemExit(3)') as process, \
            pytest.raises(AssertionError, match='ended with 3 before: a file'):
        processes.wait_until(lambda: False, 60, 'a file', process)
    assert time.monotonic() - start < 30


def test_a_program_in_a_fork_is_as_a_command(tmp_path):
    assert run_code('import os; print(os.getcwd())').stdout == f'{ROOT}\n'
    codes = 'raise SystemExit(3)', 'raise SystemExit("bad")', '1 / 0', 'import os; os.kill(os.getpid(), 9)'
    ends = [run_code(code) for code in codes]
    assert [done.returncode for done in ends] == [3, 1, 1, -9]
    assert [done.stderr.splitlines()[-1:] for done in ends] == [[], ['bad'], ['ZeroDivisionError: division by zero'], []]
    (tmp_path / 'beside.py').write_text('NAME = "beside"\n')
    (tmp_path / 'tool.py').write_text('import os, sys\nfrom beside import NAME\nprint(NAME, __name__, sys.argv[1:], os.environ["X"])\n')
    for fresh in (False, True):
        assert run_tool(tmp_path / 'tool.py', 1, fresh=fresh, X='y').stdout == "beside __main__ ['1'] y\n"
    # Nothing of one run is there in the next.
    run_code('import decur, os; decur.mark = os.environ["MARK"] = "here"')
    assert run_code('import decur, os; print(hasattr(decur, "mark"), "MARK" in os.environ)').stdout == 'False False\n'


def test_a_program_in_a_fork_that_hangs_is_killed_with_what_it_started(tmp_path):
    code = f'import subprocess; print(subprocess.Popen({SLEEP!r}).pid, flush=True); import time; time.sleep(60)'
    with pytest.raises(subprocess.TimeoutExpired) as error:
        forked.run_program(code, tmp_path, dict(os.environ), 3)
    pid = int(error.value.stdout)
    processes.wait_until(lambda: not processes.is_running(pid), 20, 'the end of what it started')

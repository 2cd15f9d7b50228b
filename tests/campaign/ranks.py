"""Experiments with distributed training: a rank or the launcher is killed.

All processes end soon, the last line says why, and the run goes on to the same end.
"""
import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from faults import CONFIGS, LIMIT, ROOT, final_weights, fresh, last_line

#: Seconds in which all processes have to end.
SOON = 60
CONFIG = CONFIGS / 'epochs.py'
MARK = 'DECUR_CAMPAIGN_RUN'


def names(group: str) -> list:
    """Whom the signal goes to."""
    return ['rank', 'launcher']


def repeats(group: str) -> bool:
    """The moment and the signal are drawn at random."""
    return True


def start(folder: Path, *more: str) -> tuple:
    """Training in two processes; the shell that started it, and the mark that all of its processes carry in their environment."""
    mark = uuid.uuid4().hex
    env = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT / 'projects'), **{MARK: mark},
               PORT=str(random.randint(20000, 60000)))
    command = ['bash', 'tools/dist_train.sh', str(CONFIG), '2', '--work-dir', str(folder / 'work'), *more]
    with open(folder / 'log.txt', 'ab') as log:
        shell = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
    return shell, mark


def processes(mark: str) -> dict:
    """Command lines of the living processes of a run, by number."""
    found = {}
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if f'{MARK}={mark}'.encode() in (process / 'environ').read_bytes():
                found[int(process.name)] = (process / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
    return {pid: command for pid, command in found.items() if command}


def end(shell, mark: str, seconds: float) -> int | str:
    """Wait for all processes of a run; the exit status of the shell, or ``'left'`` if some had to be killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (shell.poll() is None or processes(mark)):
        time.sleep(0.1)
    left = processes(mark)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code = shell.wait()
    return 'left' if left else code


@functools.cache
def undisturbed(folder: Path) -> str:
    """What the training leaves."""
    code = end(*start(fresh(folder)), LIMIT)
    if code:
        raise RuntimeError(f'distributed training fails undisturbed: {last_line(folder)}')
    return final_weights('epoch_3.pth')(folder)


def experiment(group: str, kind: str, rng: random.Random, scratch: Path) -> dict:
    """Send a signal in the middle of training, and go on."""
    scratch = scratch.resolve() / 'ranks'
    expected, folder = undisturbed(scratch / 'good'), fresh(scratch / 'run')
    shell, mark = start(folder)
    log, deadline = folder / 'log.txt', time.monotonic() + LIMIT
    while time.monotonic() < deadline and shell.poll() is None and 'loss:' not in log.read_text(errors='replace'):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.3))
    running = processes(mark)
    ranks = [pid for pid, command in running.items() if 'train.py' in command and 'torchrun' not in command and 'bash' not in command]
    targets = ranks if kind == 'rank' else [pid for pid in running if pid not in ranks]
    number = signal.SIGKILL if kind == 'rank' else rng.choice((signal.SIGKILL, signal.SIGTERM))
    for pid in rng.sample(targets, 1) if kind == 'rank' and targets else targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    code, line = end(shell, mark, SOON), last_line(folder)
    how = dict(signal=number.name)
    if not targets:
        return dict(how, ended='was done before', good=code == 0, detail=line)
    if code == 'left':
        return dict(how, ended=f'processes were left after {SOON} s', good=False, detail=line)
    if kind == 'rank' and not line.startswith('error: '):
        return dict(how, ended='ends with no clear line', good=False, detail=line)
    code = end(*start(folder, '--resume'), LIMIT)
    if code:
        return dict(how, ended=f'going on ends with {code}', good=False, detail=last_line(folder))
    same = final_weights('epoch_3.pth')(folder) == expected
    shutil.rmtree(folder)
    return dict(how, ended='identical' if same else 'another result', good=same, detail=line)

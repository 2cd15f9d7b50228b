"""Experiments with whole programs: killed anywhere, stopped by signals, with a worker or a rank killed, on a full disk.

Programs run in forks of this process, which has imported everything, so that one experiment takes seconds. A kill comes at a random time
or at a random change of a file (opened for writing, renamed, removed, a folder made), which an audit hook sees.
"""
import contextlib
import functools
import multiprocessing
import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from kinds import digest

from decur.weights.io import load_file

ROOT = Path(__file__).resolve().parents[2]
FORK = multiprocessing.get_context('fork')
CONFIGS = Path(__file__).parent / 'configs'
#: Seconds that a program may take here.
LIMIT = 300
cv2.setNumThreads(1)  # programs run in forks, which have none of OpenCV's threads


@dataclass
class Program:
    """A command line of ours and what it leaves.

    Attributes:
        argv (list): Of the tool; ``OUT`` stands for the folder of the experiment.
        again (list): What is added to go on.
        result: ``folder -> str`` that depends on all of the finished result.
        workers (bool): Whether it has processes of its own, of which one can be killed.
    """

    argv: list
    result: object
    again: list = field(default_factory=list)
    workers: bool = False


def tree(folder: Path) -> str:
    """Names and contents of the files in a folder, so that a leftover shows."""
    return digest([(str(p.relative_to(folder)), p.read_bytes()) for p in sorted(folder.rglob('*')) if p.is_file()])


def final_weights(name: str):
    """Weights and optimiser of the last checkpoint; scratch files of writes that were cut are not to stay behind."""
    def read(folder: Path) -> str:
        checkpoint = load_file(folder / 'work' / name)
        return digest([checkpoint['state_dict'], checkpoint['optimizer']['state'], [p.name for p in (folder / 'work').rglob('*.tmp')]])
    return read


def stored(folder: Path) -> str:
    """The records of a store, and the names of its files."""
    from decur.readers.store import close_environment, read_record, record_keys
    close_environment(folder / 'store')
    keys = sorted(record_keys(folder / 'store'))
    return digest([keys, [read_record(str(folder / 'store'), key) for key in keys], sorted(p.name for p in (folder / 'store').iterdir())])


PROGRAMS = dict(
    train_epochs=Program(
        ['tools/train.py', str(CONFIGS / 'epochs.py'), '--work-dir', 'OUT/work'], final_weights('epoch_3.pth'), again=['--resume']),
    train_iterations=Program(
        ['tools/train.py', str(CONFIGS / 'iterations.py'), '--work-dir', 'OUT/work'], final_weights('iter_9.pth'), again=['--resume'],
        workers=True),
    generate=Program(
        ['tools/generate_dataset.py', 'landcover', 'OUT/data', '--layout', 'ssl4eo', '--num-train', '6', '--size', '24', '--workers', '2'],
        lambda folder: tree(folder / 'data'), workers=True),
    prepare=Program(['tools/prepare_dataset.py', 'ssl4eo', 'SOURCE', 'OUT/store', '--workers', '2'], stored, workers=True),
)


def names(group: str) -> list:
    """The programs that an experiment of this group makes sense for."""
    return [name for name, program in PROGRAMS.items()
            if (group != 'workers' or program.workers) and (group != 'signals' or name.startswith('train'))]


def repeats(group: str) -> bool:
    """Times and places are drawn at random."""
    return True


def _work(argv: list, log: str, setup) -> None:
    """In the fork: run a tool as the interpreter would, its output to a file."""
    os.setpgrp()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = os.fdopen(1, 'w', buffering=1, closefd=False), os.fdopen(2, 'w', buffering=1, closefd=False)
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0
    sys.argv = argv
    try:
        setup()
        runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.exit(code)


def start(program: Program, folder: Path, source: Path, more: list = (), setup=lambda: None, out: Path | None = None):
    """Start a program; ``setup`` is called in it first. It writes to ``out``, which is ``folder`` by default, where its log is."""
    argv = [part.replace('OUT', str(out or folder)).replace('SOURCE', str(source)) for part in program.argv] + list(more)
    process = FORK.Process(target=_work, args=(argv, str(folder / 'log.txt'), setup))
    process.start()
    return process


def finish(process, seconds: float = LIMIT) -> str | int:
    """The exit status, or ``'hung'``; nothing of the program's process group is left."""
    process.join(seconds)
    code = 'hung' if process.is_alive() else process.exitcode
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return code


def last_line(folder: Path) -> str:
    """What stands last in the output."""
    text = (folder / 'log.txt').read_text(errors='replace') if (folder / 'log.txt').exists() else ''
    lines = [line for line in text.replace('\r', '\n').splitlines() if line.strip()]
    return lines[-1] if lines else ''


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@functools.cache
def undisturbed(name: str, scratch: Path) -> tuple:
    """What the program leaves, the seconds it takes, and its changes of files."""
    program, folder, source = PROGRAMS[name], scratch / name / 'good', scratch / 'source'
    if 'SOURCE' in program.argv and not source.exists():
        subprocess.run([sys.executable, 'tools/generate_dataset.py', 'landcover', str(source), '--layout', 'ssl4eo', '--num-train', '3',
                        '--size', '264', '--workers', '1'], cwd=ROOT, check=True, capture_output=True, timeout=LIMIT)
    fresh(folder)
    begun = time.monotonic()
    count = folder / 'changes'
    code = finish(start(program, folder, source, setup=lambda: watch(count)))
    if code:
        raise RuntimeError(f'{name} fails undisturbed: {last_line(folder)}')
    return program.result(folder), time.monotonic() - begun, count.stat().st_size


def _is_change(event: str, args: tuple) -> bool:
    if event == 'open':
        path, mode, flags = args
        return bool(flags & (os.O_WRONLY | os.O_RDWR)) and isinstance(path, str) and not path.startswith('/dev')
    return event in ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.truncate', 'os.link', 'os.symlink')


def watch(count: Path, kill_at: int | None = None, inside: bool = False) -> None:
    """Append a byte to a file at every change of a file, and kill this process at the one of this number.

    With ``inside`` it dies a little later: a file that it opened has been emptied by then, and nothing is written yet.
    """
    out = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen, group = [0], os.getpgrp()

    def profile(frame, event, arg):
        if event == 'c_call' and getattr(arg, '__name__', '') in ('write', 'writelines', 'close', 'flush', 'replace', 'rename'):
            os.killpg(group, signal.SIGKILL)

    def hook(event, args):
        if _is_change(event, args):
            seen[0] += 1
            os.write(out, b'.')
            if seen[0] == kill_at and not inside:
                os.killpg(group, signal.SIGKILL)
            if seen[0] == kill_at:
                sys.setprofile(profile)

    sys.addaudithook(hook)


def descendants(pid: int) -> list:
    """Processes below one, from /proc."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            text = stat.read_text()
            found.append((int(text.split()[0]), int(text.rpartition(')')[2].split()[1])))
    below, grown = {pid}, True
    while grown:
        new = {child for child, parent in found if parent in below} - below
        below |= new
        grown = bool(new)
    return sorted(below - {pid})


def one_line(folder: Path) -> bool:
    """Whether the output ends in one clear line, without a traceback before it."""
    text = (folder / 'log.txt').read_text(errors='replace')
    return 'Traceback (most recent call last)' not in text and last_line(folder).startswith('error: ')


def go_on(program: Program, folder: Path, source: Path, expected: str, out: Path | None = None) -> tuple:
    """Run the program again to its end and compare what it leaves."""
    code = finish(start(program, folder, source, program.again, out=out))
    if code:
        return f'going on ends with {code}', False, last_line(folder)
    try:
        result = program.result(out or folder)
    except Exception as error:
        return 'the result cannot be read', False, f'{type(error).__name__}: {error}'
    return ('identical', True, '') if result == expected else ('another result', False, '')


def experiment(group: str, kind: str, rng: random.Random, scratch: Path) -> dict:
    """One experiment of a group with a program."""
    scratch = scratch.resolve() / 'faults'
    expected, seconds, changes = undisturbed(kind, scratch)
    program, source = PROGRAMS[kind], scratch / 'source'
    folder = fresh(scratch / kind / 'run')
    done = dict(killed=_killed, signals=_signalled, workers=_worker_killed, disk=_full_disk)[group](
        program, folder, source, rng, seconds, changes, expected)
    shutil.rmtree(folder, ignore_errors=True)
    return done


def _killed(program, folder, source, rng, seconds, changes, expected) -> dict:
    """The whole process group dies at once, as when the machine does; then the same command goes on."""
    where = rng.choice(('at a time', 'at a change', 'in a change'))
    at, moment = rng.randint(1, max(changes, 1)), rng.uniform(0, seconds)
    if where == 'at a time':
        process = start(program, folder, source)
        process.join(moment)
    else:
        process = start(program, folder, source, setup=lambda: watch(folder.parent / 'changes', at, where == 'in a change'))
        process.join(LIMIT)
    finish(process, 0)
    ended, good, detail = go_on(program, folder, source, expected)
    return dict(where=where, at=round(moment, 2) if where == 'at a time' else at, ended=ended, good=good, detail=detail)


def _signalled(program, folder, source, rng, seconds, changes, expected) -> dict:
    """SIGTERM or Ctrl-C while it trains: it ends soon, with one line, and goes on to the same end."""
    number = rng.choice((signal.SIGTERM, signal.SIGINT))
    process = start(program, folder, source)
    deadline = time.monotonic() + LIMIT
    log = folder / 'log.txt'
    while time.monotonic() < deadline and process.is_alive() and not (log.exists() and 'loss:' in log.read_text(errors='replace')):
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    alive = process.is_alive()
    if alive:
        os.kill(process.pid, number)
    code, line = finish(process, 60), last_line(folder)
    text = log.read_text(errors='replace')
    how = number.name
    if not alive:
        return dict(signal=how, ended='was done before', good=code == 0, detail=line)
    if code == 'hung':
        return dict(signal=how, ended='hung', good=False, detail=line)
    if 'Traceback' in text or (code and number == signal.SIGTERM and code < 0):
        return dict(signal=how, ended=f'ends with {code} and no clear line', good=False, detail=line)
    ended, good, detail = go_on(program, folder, source, expected)
    return dict(signal=how, ended=ended, good=good, detail=detail or line)


def _worker_killed(program, folder, source, rng, seconds, changes, expected) -> dict:
    """The out-of-memory killer takes one process that works for the program: it ends with one line, and goes on to the same end."""
    process = start(program, folder, source)
    deadline, target = time.monotonic() + LIMIT, None
    time.sleep(rng.uniform(0, seconds / 2))
    while time.monotonic() < deadline and process.is_alive() and target is None:
        below = descendants(process.pid)
        if below:
            target = rng.choice(below)
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGKILL)
        time.sleep(0.01)
    code, line = finish(process, 60), last_line(folder)
    if target is None:
        return dict(ended='had no workers then', good=code == 0, detail=line)
    if code == 'hung':
        return dict(ended='hung', good=False, detail=line)
    if code and not one_line(folder):
        return dict(ended=f'ends with {code} and no clear line', good=False, detail=line)
    ended, good, detail = go_on(program, folder, source, expected)
    return dict(ended=ended, good=good, detail=detail or line)


def _full_disk(program, folder, source, rng, seconds, changes, expected) -> dict:
    """No file may grow above a limit (as a quota, or a disk that is full): one line that names the file; it goes on once there is space."""
    largest = int(np.exp(rng.uniform(np.log(100), np.log(200_000))))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    log = folder / 'log.txt'
    read_end, write_end = os.pipe()  # the output must not fall under the limit
    process = FORK.Process(target=_piped, args=(program, folder, source, limit, write_end))
    process.start()
    os.close(write_end)
    pieces = _drain(read_end, process, 120)
    log.write_bytes(pieces)
    code = finish(process, 10)
    how = dict(limit=largest)
    if code == 'hung':
        return dict(how, ended='hung', good=False, detail=last_line(folder))
    if code and not one_line(folder):
        return dict(how, ended=f'ends with {code} and no clear line', good=False, detail=last_line(folder))
    line = last_line(folder)
    if code and '/' not in line:
        return dict(how, ended='names no file', good=False, detail=line)
    ended, good, detail = go_on(program, folder, source, expected)
    return dict(how, ended=ended, good=good, detail=detail or line)


def _piped(program, folder, source, setup, write_end) -> None:
    argv = [part.replace('OUT', str(folder)).replace('SOURCE', str(source)) for part in program.argv]
    _work(argv, f'/dev/fd/{write_end}', setup)


def _drain(read_end: int, process, seconds: float) -> bytes:
    import select
    pieces, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready = select.select([read_end], [], [], 0.2)[0]
        data = os.read(read_end, 1 << 16) if ready else b''
        pieces.append(data)
        if (ready and not data) or (not ready and not process.is_alive()):
            break
    os.close(read_end)
    return b''.join(pieces)

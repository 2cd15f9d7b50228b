"""Experiments with the machine: a disk that is full in truth, shared memory that is full, and load.

A full disk is a small file system in memory (tmpfs), mounted in a mount namespace of the experiment: it is gone with its processes,
whatever happens to them. Where the system does not allow that, the experiment says so and counts as skipped.
"""
import contextlib
import ctypes
import functools
import json
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
from faults import FORK, LIMIT, PROGRAMS, descendants, finish, fresh, go_on, last_line, one_line, start, stored, undisturbed

_NEW_MOUNTS, _NEW_USER, _REMOUNT, _RECURSIVE, _PRIVATE = 0x20000, 0x10000000, 32, 16384, 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)
#: What an experiment says that cannot be made here.
SKIPPED = 'skipped: the system allows no private mounts'
#: Seconds in which a program ends that cannot write.
SOON = 120
READERS = 16


def names(group: str) -> list:
    """Full: the programs, and training whose workers get no shared memory. Load: who works how."""
    if group == 'full':
        return [*PROGRAMS, 'shared-memory']
    return ['busy-prepare', 'busy-train_iterations', 'workers-generate', 'workers-prepare', 'twice-prepare', 'readers']


def repeats(group: str) -> bool:
    """Sizes and times are drawn at random."""
    return True


def experiment(group: str, kind: str, rng: random.Random, scratch: Path) -> dict:
    """One experiment."""
    scratch = scratch.resolve() / 'faults'
    return _full(kind, rng, scratch) if group == 'full' else _loaded(kind, rng, scratch)


def _call(*arguments) -> None:
    """A function of the C library; the first argument is its name."""
    name, *rest = arguments
    if getattr(_LIBC, name)(*rest) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _own_mounts() -> None:
    """What this process mounts from now on is seen by it and its children alone."""
    user, group = os.getuid(), os.getgid()
    try:
        _call('unshare', _NEW_MOUNTS)
    except OSError:  # not root: root in a namespace of users of its own
        _call('unshare', _NEW_MOUNTS | _NEW_USER)
        Path('/proc/self/setgroups').write_text('deny')
        Path('/proc/self/uid_map').write_text(f'0 {user} 1')
        Path('/proc/self/gid_map').write_text(f'0 {group} 1')
    _call('mount', None, b'/', None, _RECURSIVE | _PRIVATE, None)


def _disk(place: Path, size: int, again: bool = False) -> None:
    _call('mount', b'tmpfs', str(place).encode(), b'tmpfs', _REMOUNT if again else 0, f'size={size}'.encode())


def _full(kind: str, rng: random.Random, scratch: Path) -> dict:
    program = 'train_iterations' if kind == 'shared-memory' else kind
    expected, _, _ = undisturbed(program, scratch)
    folder = fresh(scratch / 'full')
    (folder / 'disk').mkdir()
    size = int(np.exp(rng.uniform(np.log(4096), np.log(100_000 if kind == 'shared-memory' else 2_000_000))))
    answer = folder / 'answer.json'
    process = FORK.Process(target=_on_small_disk, args=(kind, PROGRAMS[program], folder, scratch / 'source', size, expected, answer))
    process.start()
    process.join(SOON + 2 * LIMIT)
    if process.is_alive():
        for pid in (*descendants(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
    process.join()
    done = json.loads(answer.read_text()) if answer.exists() else dict(ended='the experiment itself failed', good=False, detail='')
    shutil.rmtree(folder, ignore_errors=True)
    return dict(size=size, **done)


def _on_small_disk(kind, program, folder, source, size, expected, answer) -> None:
    place = Path('/dev/shm') if kind == 'shared-memory' else folder / 'disk'
    try:
        _own_mounts()
        _disk(place, size)
    except OSError as error:
        answer.write_text(json.dumps(dict(ended=SKIPPED, good=True, detail=str(error))))
        return
    out = folder if kind == 'shared-memory' else place
    code = finish(start(program, folder, source, out=out), SOON)
    line = last_line(folder)
    if code == 'hung':
        done = dict(ended='hung', good=False, detail=line)
    elif code and not one_line(folder):
        done = dict(ended=f'ends with {code} and no clear line', good=False, detail=line)
    elif code and '/' not in line:
        done = dict(ended='names no file', good=False, detail=line)
    else:
        _disk(place, 1 << 30, again=True)
        ended, good, detail = go_on(program, folder, source, expected, out=out)
        done = dict(ended=ended if code else f'had space enough, {ended}', good=good, detail=detail or line)
    answer.write_text(json.dumps(done))


def _loaded(kind: str, rng: random.Random, scratch: Path) -> dict:
    how, _, name = kind.partition('-')
    if how == 'readers':
        return _read_at_once(scratch)
    expected, _, _ = undisturbed(name, scratch)
    program, folder, source = PROGRAMS[name], fresh(scratch / 'loaded'), scratch / 'source'
    hogs = [FORK.Process(target=_hog, args=(folder / f'hog{i}', LIMIT), daemon=True) for i in range(4 if how == 'busy' else 0)]
    for hog in hogs:
        hog.start()
    try:
        running = [start(program, folder, source, ['--workers', '8'] if how == 'workers' else [])]
        if how == 'twice':
            time.sleep(rng.uniform(0, 1))
            running.append(start(program, folder, source))
        codes = [finish(process) for process in running]
    finally:
        for hog in hogs:
            hog.kill()
            hog.join()
            Path(folder, f'hog{hogs.index(hog)}').unlink(missing_ok=True)
    line, text = last_line(folder), (folder / 'log.txt').read_text(errors='replace')
    refused = how == 'twice' and 'error: ' in text and 'Traceback' not in text
    if 'hung' in codes or (any(codes) and not refused):
        return dict(ended=f'ends with {codes}', good=False, detail=line)
    if all(codes):
        ended, good, detail = go_on(program, folder, source, expected)
        return dict(ended=f'both refused, then {ended}', good=good, detail=detail or line)
    same = program.result(folder) == expected
    shutil.rmtree(folder, ignore_errors=True)
    return dict(ended='identical' if same else 'another result', good=same, detail=line)


def _hog(path: Path, seconds: float) -> None:
    """Keep a core and the disk busy."""
    end, block = time.monotonic() + seconds, os.urandom(1 << 20)
    while time.monotonic() < end:
        with contextlib.suppress(OSError), open(path, 'wb') as file:
            file.write(block)
            os.fsync(file.fileno())


@functools.cache
def _store(scratch: Path) -> str:
    return undisturbed('prepare', scratch)[0]


def _read_at_once(scratch: Path) -> dict:
    """Many processes read one store, of which none was open before."""
    expected, folder = _store(scratch), scratch / 'prepare' / 'good'
    answers = FORK.SimpleQueue()
    readers = [FORK.Process(target=lambda: answers.put(stored(folder)), daemon=True) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + SOON
    for reader in readers:
        reader.join(max(deadline - time.monotonic(), 0))
    hung = [reader.kill() for reader in readers if reader.is_alive()]
    found = [answers.get() for _ in range(READERS)] if not hung and not any(reader.exitcode for reader in readers) else []
    good = found == [expected] * READERS
    return dict(ended='identical' if good else 'hung' if hung else 'other content', good=good, detail='')

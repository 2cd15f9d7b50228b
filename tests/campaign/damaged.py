"""Experiments with damaged files: the right content, or one clear line that names the file."""
import functools
import random
import shutil
from pathlib import Path

from damage import DAMAGES
from isolation import call
from kinds import KINDS


def names(group: str) -> list:
    """The kinds of files."""
    return list(KINDS)


def repeats(group: str) -> bool:
    """Damage is drawn at random."""
    return True


@functools.cache
def _good(kind: str, folder: Path) -> tuple:
    """The bytes of the good file, its path, how it is read, whether its format has a checksum, and its content."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path, read, checked = KINDS[kind](folder)
    outcome = call(read)
    if outcome.status != 'returned':
        raise RuntimeError(f'the good file of kind {kind} cannot be read: {outcome}')
    return path.read_bytes(), path, read, checked, outcome.detail


def experiment(group: str, kind: str, rng: random.Random, scratch: Path) -> dict:
    """Damage the file, read it, put it back."""
    data, path, read, checked, content = _good(kind, scratch.resolve() / 'damaged' / kind)
    name = rng.choice(list(DAMAGES))
    try:
        path.write_bytes(DAMAGES[name](data, rng))
        outcome = call(read)
    finally:
        path.write_bytes(data)
    ended, detail = outcome.status, outcome.detail
    if ended == 'returned':
        ended = 'same content' if detail == content else 'other content'
    elif ended == 'clear' and path.name not in detail:
        # A store is named as a whole.
        ended = 'clear' if path.parent.name in detail else 'file not named'
    if outcome.peak > 1 << 30:
        ended = f'{ended}, above 1 GiB'
    good = ended in ('same content', 'clear') or (ended == 'other content' and not checked)
    return dict(damage=name, ended=ended, good=good, detail=detail[:600], peak=outcome.peak)

"""Experiments with hostile files: nothing runs, nothing is written or read elsewhere, and memory and time stay in bounds."""
import random
import shutil
from pathlib import Path

from hostile import ATTACKS, SECRET
from isolation import call


def names(group: str) -> list:
    """The attacks."""
    return list(ATTACKS)


def repeats(group: str) -> bool:
    """An attack is tried once: nothing in it is drawn."""
    return False


def experiment(group: str, kind: str, rng: random.Random, scratch: Path) -> dict:
    """Make the file, open it, look for traces."""
    folder = scratch.resolve() / 'hostile' / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcome = call(ATTACKS[kind](folder))
    ended = outcome.status
    if (folder / 'HARM').exists() or (folder.parent / 'HARM').exists():
        ended = 'harm was done'
    elif SECRET in outcome.detail:
        ended = 'another file was read'
    elif outcome.peak > 1 << 30:
        ended = f'{ended}, above 1 GiB'
    (folder.parent / 'HARM').unlink(missing_ok=True)
    shutil.rmtree(folder)
    return dict(ended=ended, good=ended in ('clear', 'returned'), detail=outcome.detail[:600], peak=outcome.peak)

"""Data workers end with the run, however it ends."""
import os
import signal
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from decur.engine.workers import HeedParentOnly


class Texts(torch.utils.data.Dataset):
    """Samples that a pipe does not take whole."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return 'x' * (1 << 20)


def test_a_worker_ends_when_its_run_is_killed_and_nobody_takes_its_batch():
    reading, writing = os.pipe()
    run = os.fork()
    if not run:
        iterator = iter(DataLoader(Texts(), 1, num_workers=1, worker_init_fn=HeedParentOnly(), collate_fn=list))
        next(iterator)  # the next ones wait in the worker
        os.write(writing, str(iterator._workers[0].pid).encode())
        time.sleep(60)
        os._exit(1)
    worker = int(os.read(reading, 20))
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    deadline = time.monotonic() + 60
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(.05)
    ended = not _runs(worker)
    if not ended:
        os.kill(worker, signal.SIGKILL)
    assert ended


def _runs(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False

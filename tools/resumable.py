"""Runs of a study, in processes of one thread each. What is done is not done again; a training that was stopped goes on where it was."""
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from decur.engine.parent import end_with_parent
from decur.errors import ConfigError, DataError
from decur.writing import write_json

#: Settings of a config that no result depends on.
_WHERE = ('work_dir', 'log_level', 'launcher', 'default_hooks', 'experiment_name', 'visualizer', 'filename')


def content(cfg: Config) -> dict:
    """The settings of a config that its results depend on: where files lie is none."""
    found = {key: value for key, value in cfg.to_dict().items() if key not in _WHERE}
    for loader in ('train_dataloader', 'test_dataloader'):
        (found.get(loader) or {}).get('dataset', {}).pop('data_root', None)
    return found


def digest(*parts: object) -> str:
    """A fingerprint of settings, the same in every process."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_record(path: Path) -> dict | None:
    """What a run left when it was done, which has a ``fingerprint``; None if it was not done.

    Raises:
        DataError: If the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        there = isinstance(record, dict) and 'fingerprint' in record
    except ValueError:
        there = False
    if not there:
        raise DataError(f'{path} is damaged: delete it, and the run is repeated.')
    return record


def resumable_runner(cfg: Config, folder: Path, key: str, again: bool = False) -> Runner:
    """The runner of a training that goes on from the newest state in its folder, if that is of the same settings.

    Args:
        cfg: The config, prepared; its checkpoints go to ``folder``.
        folder: Emptied where it holds a run of other settings.
        key: What the run depends on, see :func:`digest`.
        again: Empty the folder in any case.
    """
    begun = folder / 'begun.json'
    same = begun.is_file() and json.loads(begun.read_text(encoding='utf-8')) == key
    if again or not same:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(begun, key)
    cfg.resume = 'auto'
    return RUNNERS.build(cfg)


def execute_all(runs: Sequence, execute: Callable, jobs: int, needs: Callable = lambda run: None) -> Iterator[tuple]:
    """Execute runs in their order, as far as the run that one needs is done.

    Args:
        runs: Can be pickled and compared. One that others need stands before them, or is done.
        execute: From a run to its record; a function of a module, so that other processes find it.
        jobs: Processes.
        needs: From a run to the one that must be done before it, or None.

    Yields:
        tuple: a run and its record, in the order in which they finish.

    Raises:
        ConfigError: If ``jobs`` is not positive.
        DataError: If a process was killed, as by a machine that is out of memory.
    """
    if jobs < 1:
        raise ConfigError(f'--jobs must be at least 1, got {jobs}.')
    waiting, running = list(runs), {}
    # Started anew and not forked: the threads of PyTorch do not survive a fork.
    os.environ['PYTHONWARNINGS'] = 'ignore'  # of what the libraries say when they are imported
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context('spawn'), _start_worker)
    try:
        while waiting or running:
            unfinished = [*waiting, *running.values()]
            for run in [run for run in waiting if needs(run) not in unfinished][:jobs - len(running)]:
                waiting.remove(run)
                running[executor.submit(execute, run)] = run
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                run = running.pop(future)
                yield run, future.result()
    except BrokenProcessPool as error:
        raise DataError('a process was killed, perhaps for lack of memory. Start again with fewer --jobs: what is done is kept.') from error
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # a training writes its state, and goes on from there next time
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the main one ends the others
    end_with_parent()
    warnings.simplefilter('ignore')
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

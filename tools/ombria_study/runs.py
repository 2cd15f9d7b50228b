"""Pretrain, transfer and test the cells of the comparison; what is done is not done again."""
import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import resumable
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from resumable import digest, read_record, resumable_runner

from decur.binding import bind
from decur.engine import load_config, prepare
from decur.writing import write_json

from .frozen import remember_maps
from .per_pixel import per_pixel
from .plan import TESTS, Pretraining, Transfer
from .scores import GROUPS, STEPS, at_threshold, best_step, group_of, histogram

#: Version of what a record holds: those of another are made again.
VERSION = 1
#: The file in a run's folder that says that it is done, and what came out.
RECORD = 'record.json'
#: One thread a process: reading is part of it.
_ONE_THREAD = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
#: Data sets of this process that were tested on, whose chips are in memory.
_tested: dict = {}


class Setup(NamedTuple):
    """What all runs share.

    Attributes:
        study: path of the study.
        data: folder of the prepared data.
        work_dir: where runs go.
        amp: train in bfloat16 autocast.
        scale: share of all epochs and iterations; 1 but for trying the steps out.
    """

    study: Path
    data: Path
    work_dir: Path
    amp: bool = False
    scale: float = 1.


def config_of(run: Pretraining | Transfer, setup: Setup) -> Config:
    """The config of a run with all its options.

    Raises:
        ConfigError: If an option is none of the config's.
    """
    study = Config.fromfile(setup.study)
    name, changes = (study.pretraining, run.options) if isinstance(run, Pretraining) else (study.transfer, run.settings)
    options = {**copy.deepcopy(dict(changes)), **_ONE_THREAD, 'train_dataloader.dataset.data_root': str(setup.data)}
    if isinstance(run, Pretraining):
        options['train_dataloader.pin_memory'] = False
    else:
        options['train_dataloader.dataset.split'] = run.split
        options['test_dataloader.dataset.data_root'] = str(setup.data)
        options['model.backbone.pretrained'] = str(checkpoint_of(run.pretraining, setup)) if run.pretraining else None
    cfg = load_config(str(setup.study.parent / name), options, str(setup.work_dir / run.name))
    length = 'max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'
    end = 'T_max' if length == 'max_epochs' else 'end'
    steps = max(round(cfg.train_cfg[length] * setup.scale), 1)
    cfg.merge_from_dict({f'train_cfg.{length}': steps, f'param_scheduler.0.{end}': steps, 'default_hooks.checkpoint.interval': steps,
                         'default_hooks.checkpoint.minutes': 2, 'randomness.seed': _seed(run), 'log_level': 'ERROR'})
    cfg.experiment_name = run.name.replace('/', '_')
    return prepare(cfg, amp=setup.amp)


def _seed(run: Pretraining | Transfer) -> int:
    return run.seed if isinstance(run, Pretraining) else run.subset


def checkpoint_of(run: Pretraining | Transfer, setup: Setup) -> Path:
    """Where the weights of a run that is done lie."""
    return setup.work_dir / run.name / 'weights.pth'


@cache
def fingerprint(run: Pretraining | Transfer, setup: Setup) -> str:
    """What the result of a run depends on, so that it is made again when a config changes. Where files lie does not count."""
    content = resumable.content(config_of(run, setup)) if run.protocol != 'per-pixel' else {}
    if isinstance(run, Transfer) and run.pretraining:
        content['model']['backbone']['pretrained'] = fingerprint(run.pretraining, setup)
    return digest(VERSION, run.name, content)


def stored(run: Pretraining | Transfer, setup: Setup) -> dict | None:
    """The record of a run that is done, of the config as it is now.

    Raises:
        DataError: If the record is damaged.
    """
    record = read_record(setup.work_dir / run.name / RECORD)
    if record is None:
        return None
    whole = not isinstance(run, Pretraining) or checkpoint_of(run, setup).is_file()
    return record if whole and record['fingerprint'] == fingerprint(run, setup) else None


def execute(run: Pretraining | Transfer, setup: Setup) -> dict:
    """Train a run, and test it if it is a transfer, unless that was done before. A pretraining that was stopped goes on where it was.

    Returns:
        dict: ``fingerprint``; ``seconds`` of processor time; of a network ``loss``, the mean of the last 20 steps; and of a transfer
        what :func:`measure` tells.
    """
    earlier = stored(run, setup)
    if earlier:
        return earlier
    start = time.process_time()
    folder = setup.work_dir / run.name
    if run.protocol == 'per-pixel':
        labelled, tested = ([line for name in names for line in (setup.data / name).read_text(encoding='utf-8').split()]
                            for names in ([run.split], run.tests))
        record = dict(fingerprint=fingerprint(run, setup), **per_pixel(setup.data, run.sensors, labelled, tested, run.subset))
    else:
        record = _train(run, setup)
    record['seconds'] = round(time.process_time() - start, 1)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, record)
    return record


def _train(run: Pretraining | Transfer, setup: Setup) -> dict:
    folder, key = setup.work_dir / run.name, fingerprint(run, setup)
    # A run whose record is gone has nothing to go on from.
    cfg = config_of(run, setup)
    runner = resumable_runner(cfg, folder, key, again=checkpoint_of(run, setup).is_file())
    if run.protocol == 'frozen':
        remember_maps(runner.model.backbone)
    model = runner.train()
    record = dict(fingerprint=key, loss=float(runner.message_hub.get_scalar('train/loss').mean(window_size=20)))
    if isinstance(run, Transfer):
        record.update(measure(model, cfg, run.tests))
    Path((folder / 'last_checkpoint').read_text(encoding='utf-8').strip()).replace(checkpoint_of(run, setup))
    return record


@torch.no_grad()
def measure(model: torch.nn.Module, cfg: Config, tests: Sequence[str] = TESTS) -> dict:
    """Test a model at two thresholds of the probability of flood: 0.5, and that with the best IoU on its own labelled chips.

    Args:
        model: A segmentation model of two classes, the second of which is flood.
        cfg: Its config; the labelled chips are those of ``train_dataloader``, the test is ``test_dataloader``.
        tests: Lists of chips to test. Of :data:`~ombria_study.plan.TESTS` the pixels are counted by :data:`GROUPS`, of any other list
            in one group that has its name.

    Returns:
        dict: ``areas`` at 0.5 and ``fitted`` at the other one, ``{group: [pixels found, found but dry, missed]}``;
        ``threshold``, the other one.
    """
    model.eval()
    labelled = sum(counts for _, counts in _histograms(model, cfg, cfg.train_dataloader.dataset.split))
    found = {group: np.zeros((2, STEPS), np.int64) for group in (GROUPS if tests == TESTS else map(_stem, tests))}
    for split in tests:
        for name, counts in _histograms(model, cfg, split):
            found[group_of(name) if split in TESTS else _stem(split)] += counts
    step = best_step(labelled)
    return dict(areas={group: at_threshold(counts, STEPS // 2).tolist() for group, counts in found.items()},
                fitted={group: at_threshold(counts, step).tolist() for group, counts in found.items()}, threshold=step / STEPS)


def _stem(split: str) -> str:
    return split.removesuffix('.txt')


def _histograms(model: torch.nn.Module, cfg: Config, split: str) -> Iterator[tuple]:
    """``(id, histogram)`` of every chip of a list."""
    loader = copy.deepcopy(bind(cfg).test_dataloader)
    loader.dataset.split = split
    key = json.dumps(loader.dataset, sort_keys=True, default=str)
    dataset = _tested.get(key) or DATASETS.build(loader.dataset)
    if split != cfg.train_dataloader.dataset.split:
        _tested[key] = dataset
    loader = Runner.build_dataloader(dict(loader, dataset=dataset, num_workers=0, persistent_workers=False))
    names = (dataset.get_data_info(i)['sample_id'] for i in range(len(dataset)))
    for batch in loader:
        for sample in model.test_step(batch):
            yield next(names), histogram(sample.seg_logits.data.softmax(dim=0)[1].numpy(), sample.gt_sem_seg.data[0].numpy())


def execute_all(runs: Sequence, setup: Setup, jobs: int) -> Iterator[tuple]:
    """Execute runs, a transfer after its pretraining; see :func:`resumable.execute_all`."""
    yield from resumable.execute_all(runs, partial(execute, setup=setup), jobs, needs=lambda run: getattr(run, 'pretraining', None))


def read(runs: Sequence, setup: Setup) -> Mapping:
    """The records of the runs that are done: {run: record}."""
    found = {run: stored(run, setup) for run in runs}
    return {run: record for run, record in found.items() if record}

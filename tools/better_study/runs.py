"""Pretrain, then measure the frozen encoders: by linear probes of known factors, or by a transfer with few labels."""
import copy
import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import resumable
from mmengine.config import Config
from mmengine.registry import DATASETS
from resumable import digest, read_record, resumable_runner

from decur.binding import bind
from decur.engine import load_config, prepare
from decur.evaluation.collect import score_model
from decur.evaluation.decoupling import split_of
from decur.evaluation.measures import measures
from decur.writing import write_json

from .plan import Run

#: Version of what a record holds: those of another are made again.
VERSION = 1
#: The file in a run's folder that says that it is done, and what came out.
RECORD = 'record.json'
#: What is kept of the scores of known factors, in percent where the table shows them so.
FACTORS = ('encoder probe: shared', 'encoder probe: private', 'encoder probe: shape', 'encoder probe: texture', 'encoder probe: colour',
           'encoder probe: orientation', 'common: shared', 'common: private', 'unique: shared', 'unique: private',
           'common: shared / private', 'unique: private / shared', 'effective rank: encoder')


class Setup(NamedTuple):
    """What all runs share.

    Attributes:
        study: path of the study.
        data: folder of all data.
        work_dir: where runs go.
        scale: share of all epochs and iterations; 1 but for trying the steps out.
    """

    study: Path
    data: Path
    work_dir: Path
    scale: float = 1.


def config_of(run: Run, setup: Setup, transfer: bool = False) -> Config:
    """The config of a run, or of its transfer, with all its options.

    Raises:
        ConfigError: If an option is none of the config's.
    """
    name, changes, data = (run.transfer, run.transfer_options, run.transfer_data) if transfer else (run.config, run.options, run.data)
    options = {**copy.deepcopy(dict(changes)), 'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
               'train_dataloader.pin_memory': False}
    for loader in ('train', 'test')[:1 + transfer] if data else ():
        options[f'{loader}_dataloader.dataset.data_root'] = str(setup.data / data)
        options[f'{loader}_dataloader.dataset.in_memory'] = True  # the same samples, faster
    if transfer:
        options.update({'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
                        'model.backbone.pretrained': str(weights_of(run, setup))})
    folder = setup.work_dir / run.name / ('transfer' if transfer else 'pretraining')
    cfg = load_config(str(setup.study.parent / name), options, str(folder))
    length = 'max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'
    steps = max(round(cfg.train_cfg[length] * setup.scale * (1 if transfer else run.steps)), 1)
    cfg.merge_from_dict({f'train_cfg.{length}': steps, 'default_hooks.checkpoint.interval': steps, 'default_hooks.checkpoint.minutes': 2,
                         'default_hooks.checkpoint.by_epoch': length == 'max_epochs', 'randomness.seed': run.seed, 'log_level': 'ERROR'})
    for schedule in cfg.get('param_scheduler') or ():
        end = next((key for key in ('T_max', 'end') if key in schedule), None)
        if end:
            schedule[end] = steps
    cfg.experiment_name = f'{run.name}_{folder.name}'.replace('/', '_')
    return prepare(cfg)


def weights_of(run: Run, setup: Setup) -> Path:
    """Where the weights of the pretraining lie when it is done."""
    return setup.work_dir / run.name / 'weights.pth'


@cache
def fingerprint(run: Run, setup: Setup) -> str:
    """What the result of a run depends on, so that it is made again when a config changes. Where files lie does not count."""
    found = [resumable.content(config_of(run, setup))]
    if run.transfer:
        found.append(resumable.content(config_of(run, setup, transfer=True)))
        found[1]['model']['backbone'].pop('pretrained')
    for content in found:
        for loader in ('train_dataloader', 'test_dataloader'):
            (content.get(loader) or {}).get('dataset', {}).pop('in_memory', None)
    return digest(VERSION, run.name, run.metric, *found)


def stored(run: Run, setup: Setup) -> dict | None:
    """The record of a run that is done, of the configs as they are now.

    Raises:
        DataError: If the record is damaged.
    """
    record = read_record(setup.work_dir / run.name / RECORD)
    return record if record and record['fingerprint'] == fingerprint(run, setup) else None


def execute(run: Run, setup: Setup) -> dict:
    """Pretrain and measure a run, unless that was done before. What was stopped goes on where it was.

    Returns:
        dict: ``fingerprint``; ``score`` in percent; ``seconds`` of processor time since the last start; ``loss``, the mean of the last 20
        steps of pretraining; ``factors``, the numbers of :data:`FACTORS` where factors are known.
    """
    earlier = stored(run, setup)
    if earlier:
        return earlier
    start, folder, key = time.process_time(), setup.work_dir / run.name, fingerprint(run, setup)
    cfg = config_of(run, setup)
    runner = resumable_runner(cfg, folder / 'pretraining', key)
    model = runner.train()
    record = dict(fingerprint=key, loss=float(runner.message_hub.get_scalar('train/loss').mean(window_size=20)))
    if run.transfer is None:
        found = measures(score_model(model, DATASETS.build(bind(cfg).score_dataset), split_of(model.head), run.seed))
        probes = [value for name, value in found.items() if name in ('encoder probe: shared', 'encoder probe: private')]
        record.update(score=100 * sum(probes) / len(probes), factors={name: found[name] for name in FACTORS if name in found})
    else:
        newest = Path((folder / 'pretraining' / 'last_checkpoint').read_text(encoding='utf-8').strip())
        weights_of(run, setup).write_bytes(newest.read_bytes())
        tested = resumable_runner(config_of(run, setup, transfer=True), folder / 'transfer', key)
        tested.train()
        record['score'] = float(tested.test()[run.metric])
    record['seconds'] = round(time.process_time() - start, 1)
    write_json(folder / RECORD, record)
    return record


def execute_all(runs: Sequence[Run], setup: Setup, jobs: int) -> Iterator[tuple[Run, dict]]:
    """Execute runs; see :func:`resumable.execute_all`."""
    yield from resumable.execute_all(runs, partial(execute, setup=setup), jobs)

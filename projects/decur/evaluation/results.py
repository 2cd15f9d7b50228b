"""The paper's tables from the records of tests: what was run, what was not, and the published value beside it."""
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decur.errors import DataError
from decur.weights.zoo import named_weights
from decur.writing import read_json

from .published import FIGURES, PAPER, PUBLISHED, SETTINGS
from .tables import markdown

#: Objectives as the tables call them.
_OBJECTIVES = {'DeCURHead': 'DeCUR', 'MultimodalSimCLRHead': 'SimCLR', 'MultimodalCLIPHead': 'CLIP',
               'MultimodalBarlowTwinsHead': 'Barlow Twins', 'MultimodalVICRegHead': 'VICReg', 'CoMMHead': 'CoMM',
               'DisentangledSSLHead': 'DisentangledSSL'}
#: Files of ImageNet weights: torchvision's, timm's, SegFormer's.
_IMAGENET = re.compile(r'torchvision://|in1k|imagenet|mit_b\d')
#: What encoders that were loaded as the authors published them are called.
AUTHORS = "DeCUR, authors' weights"
#: Options that say where and how fast, not what; and the order of channels, which the weights decide (others are refused).
_HARMLESS = ('channel_order', 'data_root', 'index_file', 'num_workers', 'persistent_workers', 'pin_memory', 'batch_size')
#: What is said of a record that does not say whether the checkpoint fitted.
_UNCHECKED = 'an earlier version wrote it, which did not check that the checkpoint has all weights of the model'


def _is_start(start) -> bool:
    return start is None or isinstance(start, dict) and isinstance(start.get('file'), str) and isinstance(
        start.get('objective'), str | None)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


#: What a record must hold, key by key.
_RECORD = dict(
    config=lambda value: isinstance(value, str), options=lambda value: isinstance(value, dict),
    encoders=lambda value: value is None or isinstance(value, dict) and len(value) > 0 and all(map(_is_start, value.values())),
    seed=lambda value: value is None or isinstance(value, int), time=lambda value: isinstance(value, str),
    not_loaded=lambda value: isinstance(value, str), trained_on=lambda value: isinstance(value, dict),
    metrics=lambda value: isinstance(value, dict) and all(map(_is_number, value.values())))
_NOTE = ('Percent; this project: mean ± standard deviation over the runs (seed of each). Values under "published" were not computed by '
         'this project: † second-hand reading of the tables of the paper (arXiv 2309.05300), others from its supplement, Tables 1 and 2.')


class Run(NamedTuple):
    """One record of a test: the config's name, options that change what is trained or tested, what the encoders were pretrained with, the
    seed."""

    config: str
    options: str
    pretraining: str
    seed: int | None
    metrics: dict


def pretraining_name(encoders: Mapping | None) -> str:
    """What the encoders of a record started from: an objective, :data:`AUTHORS`, ImageNet, random, a file's name, or ``unknown``."""
    if encoders is None:
        return 'unknown'

    def name(start):
        if start is None:
            return 'random'
        objective = start.get('objective')
        if objective:
            return _OBJECTIVES.get(objective, objective)
        published = named_weights(start['file'].partition('::')[0])
        if published is not None and published.method == 'DeCUR':
            return AUTHORS
        return 'ImageNet' if _IMAGENET.search(start['file']) else Path(start['file'].partition('::')[0]).name

    names = {modality: name(start) for modality, start in encoders.items()}
    return next(iter(names.values())) if len(set(names.values())) == 1 else ', '.join(f'{m}: {n}' for m, n in names.items())


def read_runs(folders: Sequence) -> tuple[list, list]:
    """The records ``test.json`` (:class:`~decur.evaluation.TestRecordHook`) anywhere below some folders.

    Of several tests of the same config, options, encoders and seed (of the same checkpoint, where it has no seed) the newest counts.
    Where they are of different checkpoints, that is said. Tests whose checkpoint did not have all weights of the model are left out, and
    so are those of earlier versions, which did not say.

    Returns:
        tuple[list[Run], list[str]]: Runs in the order of their config names and seeds; a line for each record that was left out.

    Raises:
        DataError: If a folder does not exist, there is no record at all, or one is damaged.
    """
    records, left_out, seen = [], [], set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f'{folder} is not a folder: name the folder that tools/test.py wrote to (its --work-dir).')
        for path in sorted(folder.rglob('test.json')):
            if path.resolve() in seen:  # folders that lie in one another
                continue
            seen.add(path.resolve())
            record = _read(path)
            if record['not_loaded']:
                left_out.append(f'{path} is left out: {record["not_loaded"]}')
            else:
                records.append((path, record))
    if not records:
        below = ', '.join(map(str, folders))
        raise DataError(f'no test.json below {below} is of a checkpoint with all weights of its model: {left_out[0]}. Test again.'
                        if left_out else f'no test.json below {below}: run tools/test.py first.')
    newest = {}
    for path, record in sorted(records, key=lambda found: found[1]['time']):
        options = {key: value for key, value in record['options'].items() if key.split('.')[-1] not in _HARMLESS}
        options.update({f'train_dataloader.dataset.{key}': value for key, value in record['trained_on'].items()})
        run = Run(Path(record['config']).stem, ' '.join(f'{key}={value}' for key, value in sorted(options.items())),
                  pretraining_name(record['encoders']), record['seed'], record['metrics'])
        which = record.get('checkpoint') if run.seed is None else run.seed
        key = run[:3], str(which), json.dumps(record['encoders'], sort_keys=True)
        if key in newest and newest[key][1].get('checkpoint') != record.get('checkpoint'):
            left_out.append(f'{newest[key][0]} is left out: {path}, of another checkpoint, is a newer test of the same config, options, '
                            'encoders and seed')
        newest[key] = path, record, run
    runs = [run for *_, run in newest.values()]
    runs.sort(key=lambda run: (run.config, run.options, run.pretraining, -1 if run.seed is None else run.seed))
    return runs, left_out


def _read(path: Path) -> dict:
    cure = 'If it is a record of tools/test.py, delete it and test again; otherwise name the folders of your tests.'
    record = dict(not_loaded=_UNCHECKED, trained_on={}) | read_json(path, cure)
    wrong = [key for key, valid in _RECORD.items() if key not in record or not valid(record[key])]
    if wrong:
        raise DataError(f'{path} is no record of tools/test.py ({", ".join(wrong)} missing or wrong). {cure}')
    return record


def collect(runs: Sequence[Run]) -> tuple:
    """Rows of the paper's tables and of everything else that was run.

    Returns:
        tuple[list[dict], list[dict]]: Rows with ``dataset, figure, modalities, labels, protocol, encoder, options, pretraining, published,
        source, values, seeds, config``, by data set and in a fixed order; where nobody ran it ``values`` is empty. And rows ``config,
        options, figure, pretraining, values, seeds`` of configs that are in none of the tables, or were changed by options.

    Raises:
        DataError: If a record of a config in the tables lacks the table's figure, or has one that is not finite.
    """
    groups = {}
    for run in runs:
        groups.setdefault((run.config, run.options, run.pretraining), []).append(run)
    found, others = {}, []
    for (config, options, pretraining), members in groups.items():
        seeds = [run.seed for run in members]
        setting = SETTINGS.get((config, options))
        if setting is None:
            keys = [key for key in dict.fromkeys(key for key, _ in FIGURES.values()) if key in members[0].metrics]
            figure = keys[0] if keys else next(iter(members[0].metrics), '')
            values = [run.metrics[figure] for run in members if figure in run.metrics]
            others.append(dict(config=config, options=options, figure=figure, pretraining=pretraining, values=values, seeds=seeds))
            continue
        key = FIGURES[setting.dataset][0]
        if any(key not in run.metrics for run in members):
            raise DataError(f'a record of {config} has no {key}, only {sorted(members[0].metrics)}: it was tested with another evaluator.')
        values = [run.metrics[key] for run in members]
        if not np.isfinite(values).all():
            raise DataError(f'a record of {config} has {key} = {values}, which is no figure: look at the log of that test.')
        found[setting, pretraining] = dict(values=values, seeds=seeds)
    names = {setting: name for name, setting in SETTINGS.items()}
    order = {setting: i for i, setting in enumerate(SETTINGS.values())}
    datasets = list(FIGURES)
    methods = ('random', 'ImageNet', 'SimCLR', 'CLIP', 'Barlow Twins', 'VICReg', 'DeCUR', AUTHORS)
    rows = []
    for setting, pretraining in sorted({*PUBLISHED, *found}, key=lambda cell: (
            datasets.index(cell[0].dataset), order[cell[0]], methods.index(cell[1]) if cell[1] in methods else len(methods), cell[1])):
        # The published figures are those of the authors' weights.
        value, source = PUBLISHED.get((setting, 'DeCUR' if pretraining == AUTHORS else pretraining), (None, ''))
        own = found.get((setting, pretraining), dict(values=[], seeds=[]))
        config, options = names[setting]
        rows.append(dict(setting._asdict(), figure=FIGURES[setting.dataset][1], pretraining=pretraining, published=value, source=source,
                         config=config, options=options, **own))
    return rows, others


def format_values(values: Sequence[float]) -> str:
    """``74.1 ± 0.3``: mean and standard deviation over runs; the value alone for one, nothing for none."""
    if not len(values):
        return ''
    return f'{np.mean(values):.1f}' + (f' ± {np.std(values, ddof=1):.1f}' if len(values) > 1 else '')


def _seeds(seeds: Sequence) -> str:
    return ', '.join('?' if seed is None else str(seed) for seed in seeds)


def to_markdown(rows: Sequence[Mapping], others: Sequence[Mapping]) -> str:
    """The rows of :func:`collect` as Markdown: a table per data set, then the configs that are in none."""
    lines = [_NOTE]
    head = ('modalities', 'labels', 'protocol', 'encoder', 'pretraining', 'published', 'this project', 'seeds', 'config')
    for dataset in dict.fromkeys(row['dataset'] for row in rows):
        own = [row for row in rows if row['dataset'] == dataset]
        lines += ['', f'## {dataset}, {own[0]["figure"]}', '', markdown(head, [(
            row['modalities'], f'{row["labels"]} %', row['protocol'], row['encoder'], row['pretraining'],
            '' if row['published'] is None else f'{row["published"]:.1f}' + ('†' if row['source'] == PAPER else ''),
            format_values(row['values']), _seeds(row['seeds']), f'{row["config"]} {row["options"]}'.strip()) for row in own])]
    if others:
        lines += ['', '## Not in the paper', '', markdown(('config', 'options', 'figure', 'pretraining', 'this project', 'seeds'), [(
            row['config'], row['options'], row['figure'], row['pretraining'], format_values(row['values']), _seeds(row['seeds']))
            for row in others])]
    return '\n'.join(lines) + '\n'


def to_csv(rows: Sequence[Mapping], others: Sequence[Mapping]) -> str:
    """The same as CSV, one line a row: empty where nothing was published or run."""
    out = io.StringIO()
    fields = ('dataset', 'figure', 'modalities', 'labels', 'protocol', 'encoder', 'pretraining', 'published', 'source', 'mean', 'std',
              'runs', 'seeds', 'config', 'options')
    writer = csv.DictWriter(out, fields, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    for row in [*rows, *others]:
        values = row['values']
        writer.writerow(dict(
            row, mean=f'{np.mean(values):.4f}' if values else '', std=f'{np.std(values, ddof=1):.4f}' if len(values) > 1 else '',
            runs=len(values), seeds=' '.join(map(str, row['seeds']))))
    return out.getvalue()

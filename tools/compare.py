"""Random initialisation against DeCUR on one data set, over seeds: pretrain, transfer, test, compare.

    python tools/compare.py STUDY [--data FOLDER] [--record FILE]

STUDY is a file such as configs/water/study.py: a pretraining config, a transfer config, rows of options, seeds. Runs that are done are not
repeated. RECORD is a small JSON file of every run; it is written after each, and what it holds is not run again. With --doc the table is
also put between <!-- NAME --> and <!-- /NAME --> of a document, NAME being the folder of the study.
"""
import argparse
import json
import logging
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('study', type=Path, help='file with what is compared')
    parser.add_argument('--data', help="folder of the data; default: the study's")
    parser.add_argument('--record', type=Path, help='JSON file of the runs; default: record.json in the work directory')
    parser.add_argument('--doc', type=Path, help='document with a place for the table')
    parser.add_argument('--report-only', action='store_true', help='the table of what is recorded; run nothing')
    parser.add_argument('--seeds', type=int, nargs='+', help="instead of the study's")
    parser.add_argument('--scale', type=float, default=1.0, help='share of all epochs and iterations, to try the steps out')
    add_argument(parser, 'work-dir', help='where checkpoints go; default work_dirs/<folder of the study>')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
import torch
from decoupling_study.document import replace_between
from mmengine.config import Config
from mmengine.registry import RUNNERS

from decur.cli import output_file
from decur.engine import load_config, prepare
from decur.engine.amp import fast_bfloat16
from decur.errors import ConfigError, DataError, exit_on_bad_input
from decur.evaluation.intervals import t_interval
from decur.evaluation.tables import markdown
from decur.writing import write_bytes, write_json

#: What encoders start from.
STARTS = ('random', 'DeCUR')
#: Files are read once, in the process of the run: starting workers would take longer than they save.
_ALONE = {f'{loader}_dataloader.{key}': value for loader in ('train', 'test')
          for key, value in (('num_workers', 0), ('persistent_workers', False), ('dataset.in_memory', True))}


def config_of(path: Path, options: Mapping, work_dir: Path, seed: int, scale: float) -> Config:
    """A config with its options, its length scaled, one checkpoint at the end."""
    cfg = load_config(str(path), dict(options), str(work_dir))
    length, end = ('max_epochs', 'T_max') if 'max_epochs' in cfg.train_cfg else ('max_iters', 'end')
    steps = max(round(cfg.train_cfg[length] * scale), 1)
    cfg.merge_from_dict({f'train_cfg.{length}': steps, f'param_scheduler.0.{end}': steps, 'default_hooks.checkpoint.interval': steps,
                         'default_hooks.checkpoint.minutes': 0, 'randomness.seed': seed, 'log_level': 'ERROR'})
    return prepare(cfg, amp=fast_bfloat16())


def run(cfg: Config, test: bool) -> tuple:
    """Train; test what was trained. Returns the metrics and the processor time in seconds."""
    start = time.process_time()
    cfg.experiment_name = str(cfg.work_dir).replace('/', '_')
    runner = RUNNERS.build(cfg)
    runner.train()
    metrics = {key: float(value) for key, value in runner.test().items()} if test else {}
    return metrics, round(time.process_time() - start, 1)


def read_record(path: Path, study: str) -> dict:
    """The record of a study; empty where there is none yet.

    Raises:
        DataError: If it is damaged or of another study.
    """
    if not path.is_file():
        return dict(study=study, pretraining={}, runs=[])
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        whole = record['study'] == study and isinstance(record['pretraining'], dict) and all(
            {'row', 'start', 'seed', 'metrics'} <= set(entry) for entry in record['runs'])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f'{path} is damaged, or no record of {study}: delete it, or name another --record.')
    return record


def table(record: Mapping, figure: str) -> str:
    """A Markdown table: every run by start, the means, and the paired difference with its 95 % interval over seeds."""
    rows = []
    for row in dict.fromkeys(entry['row'] for entry in record['runs']):
        own = [entry for entry in record['runs'] if entry['row'] == row]
        found = {start: {entry['seed']: entry['metrics'][figure] for entry in own if entry['start'] == start} for start in STARTS}
        seeds = sorted(set(found['random']) & set(found['DeCUR']))
        if not seeds:
            continue
        cells = []
        for start in STARTS:
            values = [found[start][seed] for seed in seeds]
            cells.append(f'{np.mean(values):.1f} ({", ".join(f"{value:.1f}" for value in values)})')
        difference = t_interval([found['DeCUR'][seed] - found['random'][seed] for seed in seeds])
        span = '' if np.isnan(difference.low) else f' [{difference.low:+.1f}, {difference.high:+.1f}]'
        rows.append((row, *cells, f'{difference.mean:+.1f}{span}', str(len(seeds))))
    return markdown(('', *STARTS, 'difference', 'seeds'), rows)


@exit_on_bad_input()
def main() -> None:
    """Run what is missing, then print the table."""
    args = parse_args()
    if not args.study.is_file():
        raise ConfigError(f'{args.study} does not exist: give a study, such as configs/water/study.py.')
    study, folder = Config.fromfile(args.study), args.study.parent
    work = Path(args.work_dir or Path('work_dirs') / folder.name)
    path = output_file(args.record or work / 'record.json')
    record = read_record(path, folder.name)
    train, both = ({f'{loader}_dataloader.dataset.data_root': args.data or study.data_root for loader in loaders}
                   for loaders in (('train', ), ('train', 'test')))
    warnings.simplefilter('ignore')
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    if args.doc:
        replace_between(args.doc.read_text(encoding='utf-8'), folder.name, '')  # that it has the place, before hours of training
    begin = time.time()
    for seed in () if args.report_only else args.seeds or study.seeds:
        checkpoint = work / f'decur_seed{seed}' / 'weights.pth'
        if not checkpoint.is_file():
            alone = {key: value for key, value in _ALONE.items() if key.startswith('train')}
            cfg = config_of(folder / study.pretraining, {**train, **alone, 'train_dataloader.pin_memory': False}, checkpoint.parent, seed,
                            args.scale)
            _, record['pretraining'][str(seed)] = run(cfg, test=False)
            Path((checkpoint.parent / 'last_checkpoint').read_text(encoding='utf-8').strip()).replace(checkpoint)
            write_json(path, record)
            print(f'DeCUR, seed {seed}: {record["pretraining"][str(seed)]:.0f} s; {(time.time() - begin) / 60:.1f} min so far', flush=True)
        for row, options in study.rows.items():
            for start in STARTS:
                if any((entry['row'], entry['start'], entry['seed']) == (row, start, seed) for entry in record['runs']):
                    continue
                options = {**options, **both, **_ALONE, 'model.backbone.pretrained': str(checkpoint) if start == 'DeCUR' else None}
                if study.labelled:
                    options['train_dataloader.dataset.split'] = study.labelled.format(seed)
                name = f'{start}_{row}_seed{seed}'.lower().replace(' ', '-').replace(',', '')
                cfg = config_of(folder / study.transfer, options, work / name, seed, args.scale)
                metrics, seconds = run(cfg, test=True)
                record['runs'].append(dict(row=row, start=start, seed=seed, seconds=seconds, metrics=metrics))
                write_json(path, record)
                print(f'{row}, {start}, seed {seed}: {study.figure} {metrics[study.figure]:.1f}, {seconds:.0f} s; '
                      f'{(time.time() - begin) / 60:.1f} min so far', flush=True)
    text = table(record, study.figure)
    print(f'\n{study.figure}, percent: mean (every seed); difference: paired, 95 % interval\n\n{text}')
    if args.doc:
        write_bytes(args.doc, replace_between(args.doc.read_text(encoding='utf-8'), folder.name, text).encode())


if __name__ == '__main__':
    main()

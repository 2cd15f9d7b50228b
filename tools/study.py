"""Run the decoupling study and write its tables and figures into docs/decoupling.md.

Runs that are finished are not run again; a changed config is. Partial results are written with --report-only.
"""
import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from mmengine.config import Config, DictAction

from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, DataError
from decur.evaluation.study import markdown_table, over_seeds, replace_between, run_one, stored_scores
from decur.explain.files import save_figure
from decur.writing import write_bytes

#: Columns of the tables: {measure: heading}.
_BLOCKS = {'common: shared': 'common: shared', 'common: partial': 'common: pair', 'common: private': 'common: private',
           'common: shared / private': 'shared / private', 'unique: shared': 'unique: shared', 'unique: partial': 'unique: pair',
           'unique: private': 'unique: private', 'unique: private / shared': 'private / shared',
           'all: shared': 'all: shared', 'all: partial': 'all: pair', 'all: private': 'all: private'}
_JOINT = {f'{block}: {role}, joint': f'{block}: {role}, joint' for block in ('common', 'unique', 'all') for role in ('shared', 'private')}
_JOINT['unique: private / shared, joint'] = 'unique: private / shared with joint'
_ENCODER = {f'encoder: {role}': f'encoder variance: {title}' for role, title in (
    ('shared', 'shared'), ('partial', 'pair'), ('private', 'private'))}
_MORE = {'diag(C) common': 'diag(C) common', 'diag(C) unique': 'diag(C) unique', 'diag(C) all': 'diag(C) all',
         'rms diagonal unique': 'unique: rms diagonal', 'rms off_diagonal unique': 'unique: rms off-diagonal',
         'CKA common – unique, within': 'CKA common–unique', 'CKA common, across': 'CKA common across',
         'CKA unique, across': 'CKA unique across', 'CKA all, across': 'CKA all across',
         'rank encoder': 'rank encoder', 'rank embedding': 'rank embedding', 'rank common': 'rank common', 'rank unique': 'rank unique'}
#: What heads the first column of each group's tables.
_HEADS = dict(objectives='objective', encoder='objective', share='common dimensions', terms='DeCUR with', three='objective',
              gaussian='objective', **{'lambda': 'λ'})


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--study', default='configs/decoupling/study.py', help='list of runs')
    parser.add_argument('--work-dir', default='work_dirs/study')
    parser.add_argument('--doc', default='docs/decoupling.md', help='document with the places for the tables')
    parser.add_argument('--figures', default='docs/images', help='folder of the figures')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--seeds', type=int, nargs='+', help='instead of the study\'s own')
    parser.add_argument('--report-only', action='store_true', help='write what is there')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of every run')
    return parser.parse_args()


def job(config: str, seed: int, folder: Path, train: bool, options: dict) -> dict:
    """One run in a worker process."""
    import logging
    import warnings

    import torch
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    logging.disable(logging.INFO)
    return run_one(config, seed, folder, train, options)


def plan(study: Config, args) -> list:
    """(entry index, seed, arguments of :func:`job`) of every run, all runs of one seed before the next."""
    folder = Path(args.study).parent
    out = []
    for seed in args.seeds or study.seeds:
        for index, entry in enumerate(study.runs):
            name = Path(entry.config).stem + ('' if entry.get('train', True) else '_random')
            out.append((index, seed, (str(folder / entry.config), seed, Path(args.work_dir) / name / f'seed{seed}',
                                      entry.get('train', True), dict(args.cfg_options))))
    return out


def execute(jobs: list, workers: int) -> dict:
    """Run jobs in parallel; {entry index: [scores per seed]}."""
    results, start = {}, time.time()
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
        os.environ[name] = '1'
    with ProcessPoolExecutor(workers, mp_context=get_context('spawn')) as pool:
        pending = {pool.submit(job, *arguments): (index, seed, arguments) for index, seed, arguments in jobs}
        try:
            for done, future in enumerate(as_completed(pending), 1):
                index, seed, arguments = pending[future]
                scores = future.result()
                results.setdefault(index, []).append((seed, scores))
                elapsed = (time.time() - start) / 60
                print(f'[{done}/{len(jobs)}] {arguments[2]}: {scores["seconds"]:.0f} s; {elapsed:.1f} min so far', flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def read(jobs: list) -> dict:
    """The scores that are there, of the configs as they are now."""
    results = {}
    for index, seed, (config, _, folder, train, options) in jobs:
        scores = stored_scores(load_config(config, options), seed, folder, train)
        if scores:
            results.setdefault(index, []).append((seed, scores))
    return results


def draw_world(config: Path, figures: Path, samples: int = 8) -> None:
    """A picture of what the models see."""
    from mmengine.registry import DATASETS, init_default_scope

    from decur.evaluation.study_plots import plot_world
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(dict(bind(load_config(config)).score_dataset, num_images=samples))
    save_figure(figures / 'decoupling_world.png', plot_world(dataset))


def _is_shown(measure: str) -> bool:
    """Whether a measure stands in the tables of probes: those of the encoder by factor, the others by role."""
    where, _, what = measure.partition(' probe: ')
    return '(' not in what and (where == 'encoder' and bool(what) or what in ('shared', 'partial', 'private'))


def report(study: Config, jobs: list, results: dict, doc: Path, figures: Path) -> None:
    """Write tables into the document, what is missing too, and figures beside it."""
    from decur.evaluation.study_plots import plot_blocks, plot_encoders, plot_sweep
    text = doc.read_text(encoding='utf-8')
    summary = {index: over_seeds([scores for _, scores in sorted(runs, key=lambda r: r[0])]) for index, runs in results.items()}
    figures.mkdir(parents=True, exist_ok=True)
    groups = {}
    for index, entry in enumerate(study.runs):
        for group in entry.groups if index in summary else ():
            groups.setdefault(group, {})[entry.get('labels', {}).get(group, entry.label)] = summary[index]
    for group, rows in groups.items():
        if group == 'share':
            rows = {label: rows[label] for label in sorted(rows, key=lambda s: float(s.split()[0]))}
        elif group == 'lambda':
            rows = {label: rows[label] for label in sorted(rows, key=float)}
        head = _HEADS.get(group, 'run')
        probes = {name: name.replace(' probe', '').replace('partial', 'pair') for row in rows.values() for name in row if _is_shown(name)}
        single = dict.fromkeys(n for row in rows.values() for n in row if n.split(':')[0] in ('common', 'unique', 'all') and '(' in n)
        text = replace_between(text, f'{group}: blocks', markdown_table(rows, _BLOCKS, head))
        text = replace_between(text, f'{group}: factors', markdown_table(
            rows, {**{n: n.replace('partial', 'pair') for n in single}, **_JOINT}, head))
        text = replace_between(text, f'{group}: probes', markdown_table(rows, {**_ENCODER, **probes}, head))
        text = replace_between(text, f'{group}: geometry', markdown_table(rows, _MORE, head))
        if group == 'encoder':
            plot = plot_encoders(rows)
        elif group in ('share', 'lambda'):
            plot = plot_sweep(rows, head)
        else:
            plot = plot_blocks(rows)
        save_figure(figures / f'decoupling_{group}.png', plot)
    there = {(index, seed): scores['seconds'] for index, per_seed in results.items() for seed, scores in per_seed}
    missing = [f'{arguments[2].name} of {arguments[2].parent.name}' for index, seed, arguments in jobs if (index, seed) not in there]
    text = replace_between(text, 'runs', f'{len(there)} of {len(jobs)} runs are in ({len(study.runs)} settings, seeds '
                           f'{", ".join(str(seed) for seed in dict.fromkeys(seed for _, seed, _ in jobs))}); they took '
                           f'{sum(there.values()) / 60:.0f} minutes of processor time, one thread each.'
                           + (f' Missing: {", ".join(missing)}.' if missing else ''))
    write_bytes(doc, text.encode())


def main():
    """Run what is missing, then report."""
    args = parse_args()
    try:
        if not Path(args.doc).is_file():
            raise ConfigError(f'{args.doc} does not exist: run from the root of the repository, or give --doc.')
        study = Config.fromfile(args.study)
        jobs = plan(study, args)
        results = read(jobs) if args.report_only else execute(jobs, args.jobs)
        if not results:
            raise DataError(f'{args.work_dir} holds no scores: run without --report-only first.')
        report(study, jobs, results, Path(args.doc), Path(args.figures))
        draw_world(Path(args.study).parent / study.runs[0].config, Path(args.figures))
    except (ConfigError, DataError) as error:
        sys.exit(f'error: {error}')
    print(f'wrote {args.doc}')


if __name__ == '__main__':
    main()

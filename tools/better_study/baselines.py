"""The experiments that the two baselines were published with: which runs, what came out, the tables."""
import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from decoupling_study.document import format_interval
from mmengine.runner import set_random_seed

from decur.errors import DataError
from decur.evaluation.intervals import t_interval
from decur.evaluation.tables import markdown

from . import simulation, trifeature

#: (beta, lambda, whether common dimensions are drawn) of DisentangledSSL, and what these tell of the shared and of the private labels in
#: the authors' figure, read off to about a point; they draw.
SIMULATION = {(0.1, 1., False): ('', ''), (10., 1., False): ('', ''), (100., 1., False): ('', ''), (1000., 1., False): ('', ''),
              (0.1, 0., False): ('', ''), (0.1, 0.1, False): ('', ''), (0.1, 10., False): ('', ''),
              (0.1, 1., True): ('78', '67'), (10., 1., True): ('71', '61'), (100., 1., True): ('68', '58'), (1000., 1., True): ('56', '51')}
#: Methods of CoMM's experiment: label, and what its authors publish: shared, shown by one alone, together.
METHODS = {'random': ('random encoders', ('', '', '')), 'cross': ('contrast across modalities (CLIP)', ('100.0', '11.6', '50.0')),
           'decur': ('DeCUR', ('', '', '')), 'comm': ('CoMM', ('99.9', '87.8', '71.9'))}
COLUMNS = ('experiment', 'setting', 'seed', 'steps', 'what', 'value')


def plan(seeds: Sequence[int]) -> list[tuple]:
    """``(experiment, setting, seed)`` of every run."""
    settings = [('simulation', _name(*setting)) for setting in SIMULATION] + [('trifeature', name) for name in METHODS]
    return [(*setting, seed) for seed in seeds for setting in settings]


def _name(beta: float, lambd: float, draw: bool) -> str:
    return f'{beta:g} {lambd:g}' + ' drawn' * draw


def execute(experiment: str, setting: str, seed: int, steps: int, config: Path) -> dict:
    """What came out of a run, in percent by name."""
    set_random_seed(seed)
    torch.set_num_threads(1)
    if experiment == 'simulation':
        beta, lambd, *draw = setting.split()
        return simulation.run(float(beta), float(lambd), bool(draw), seed, steps)
    return trifeature.run(setting, seed, steps, config)


def read_records(path: Path) -> list[dict]:
    """The records that are there.

    Raises:
        DataError: If the file is none of this tool's.
    """
    if not path.is_file():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    try:
        return [dict(row, seed=int(row['seed']), steps=int(row['steps']), value=float(row['value'])) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{path} is no table of this tool, or damaged: remove it, and the runs are repeated.') from error


def tables(rows: list[dict]) -> dict:
    """``{place in the document: table}``."""

    def cell(experiment: str, setting: str, *names: str) -> str:
        """The mean over seeds, and over names."""
        seeds: dict = {}
        for row in rows:
            if (row['experiment'], row['setting']) == (experiment, setting) and row['what'] in names:
                seeds.setdefault(row['seed'], []).append(row['value'])
        values = [sum(found) / len(found) for found in seeds.values()]
        return format_interval(t_interval(values), 1) if values else ''

    gauss, pictures = [], []
    for (beta, lambd, draw), published in SIMULATION.items():
        key = 'simulation', _name(beta, lambd, draw)
        gauss.append((f'{beta:g}', f'{lambd:g}', 'yes' if draw else 'no',
                      cell(*key, 'common: shared'), cell(*key, 'common: first', 'common: second'), *published,
                      cell(*key, 'unique first: first', 'unique second: second'),
                      cell(*key, 'unique first: shared', 'unique second: shared'),
                      cell(*key, 'unique first: second', 'unique second: first')))
    for name, (label, published) in METHODS.items():
        for part, title in (('encoders', 'encoders'), ('together', 'class token' if name == 'comm' else 'embeddings')):
            key = 'trifeature', name
            theirs = published if part == ('together' if name == 'comm' else 'encoders') else ('', '', '')
            found = (cell(*key, f'{part}: shared'), cell(*key, f'{part}: first', f'{part}: second'), cell(*key, f'{part}: together'))
            pictures.append((f'{label}, {title}', *found, *theirs))
    heads = ('beta', 'lambda', 'drawn', 'common: shared label', 'common: private labels', 'published: shared label',
             'published: private labels', 'unique: own label', 'unique: shared label', "unique: the other's label")
    return dict(simulation=markdown(heads, gauss, numbers=True),
                trifeature=markdown(('', 'shared', 'alone', 'together', 'published: shared', 'published: alone', 'published: together'),
                                    pictures, numbers=True))

"""What came out: one line a run as text that can be kept, and the tables of the page."""
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from decoupling_study.document import format_interval
from mmengine.config import Config, ConfigDict
from ombria_study.records import read_records as read_ombria_records
from ombria_study.report import Results

from decur.errors import DataError
from decur.evaluation.intervals import t_interval
from decur.evaluation.tables import markdown
from decur.writing import write_csv

from .plan import PLAIN, Run, for_choosing, other_shares, seeds_of, tasks_of
from .runs import FACTORS

#: What tells one run from another.
KEY = ('task', 'arm', 'seed')
#: Of :data:`~better_study.runs.FACTORS`: how well each block holds what is its own.
_RATIOS = ('common: shared / private', 'unique: private / shared')
COLUMNS = (*KEY, 'score', 'loss', 'seconds', 'fingerprint', *FACTORS)


def row_of(run: Run, record: Mapping) -> dict:
    """The line of a run, all values as text."""
    row = dict({**record, **record.get('factors', {})}, task=run.task, arm=run.arm, seed=run.seed)
    return {column: str(row.get(column, '')) for column in COLUMNS}


def merge(rows: Iterable[Mapping], newer: Iterable[Mapping]) -> list[dict]:
    """Both, in a fixed order; of two lines of one run the newer one."""
    found = {tuple(row[key] for key in KEY): dict(row) for row in (*rows, *newer)}
    return [found[key] for key in sorted(found)]


def write_records(path: Path, rows: Sequence[Mapping]) -> None:
    """Write lines as CSV, at once."""
    write_csv(path, COLUMNS, rows)


def read_records(path: Path) -> list[dict]:
    """The lines of :func:`write_records`; none if the file does not exist.

    Raises:
        DataError: If it is no such table.
    """
    if not path.is_file():
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))))
        for number, row in enumerate(rows, 2):
            if set(row) != set(COLUMNS) or None in row.values():
                raise DataError(f'{path}, line {number}: no record of tools/better.py, or damaged. Write the table again.')
            float(row['score'])
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f'{path} cannot be read ({error}): it is no table of tools/better.py. Write it again.') from error
    return rows


def values(rows: Iterable[Mapping], column: str = 'score') -> dict:
    """``{(task, arm): {seed: value}}`` of a column, where a run has it."""
    found: dict = {}
    for row in rows:
        if row[column]:
            found.setdefault((row['task'], row['arm']), {})[int(row['seed'])] = float(row[column])
    return found


def differences(scores: Mapping, task: str, arm: str) -> dict:
    """``{seed: arm - plain DeCUR}``, of the seeds that both have."""
    own, plain = scores.get((task, arm), {}), scores.get((task, PLAIN), {})
    return {seed: value - plain[seed] for seed, value in sorted(own.items()) if seed in plain}


def primary(study: Config, scores: Mapping, arm: str) -> list[float]:
    """The registered score over the tasks for choosing, by seed; see :func:`mean_over_tasks`. Nothing for plain DeCUR."""
    return [] if arm == PLAIN else mean_over_tasks([differences(scores, task, arm) for task in for_choosing(study)], study.seeds)


def mean_over_tasks(found: Sequence[Mapping], seeds: Sequence[int]) -> list[float]:
    """The mean over tasks of differences by seed, for each seed that all tasks have."""
    return [sum(one[seed] for one in found) / len(found) for seed in seeds if found and all(seed in one for one in found)]


def tables(study: Config, rows: Sequence[Mapping], elsewhere: Mapping | None = None) -> dict:
    """The tables of the page as Markdown, by the name of their place.

    Args:
        study: The study.
        rows: Of :func:`read_records`.
        elsewhere: Tasks for judging that another tool runs: name in the table to the scores by seed of plain DeCUR and of the recipe.
    """
    scores, chosen_by = values(rows), for_choosing(study)
    aside = [name for name, task in study.tasks.items()
             if not task.get('scored', True) and name not in study.get('split', {}).get('tasks', ())]
    table, further = [], []
    for arm, entry in study.arms.items():
        if arm in other_shares(study):
            continue
        cells, more = ([_cell(list(_shown(scores, task, arm).values()), arm != PLAIN) for task in names] for names in (chosen_by, aside))
        if any(cells):
            table.append([label(entry), *cells, _cell(primary(study, scores, arm), expected=len(study.seeds))])
        if any(more):
            further.append([label(entry), *more])
    missing = [f'{label(study.arms[arm])} ({", ".join(tasks)})' for arm in study.arms
               if (tasks := [task for task in tasks_of(study, arm) if set(seeds_of(study, task)) - set(scores.get((task, arm), {}))])]
    seconds = sum(float(row['seconds']) for row in rows)
    text = f'{len(rows)} runs are in; they took {seconds / 60:.0f} minutes of processor time, one thread each.'
    return dict(runs=text + (f' Not or not wholly run: {"; ".join(missing)}.' if missing else ''),
                scores=markdown(['setting', *chosen_by, 'primary score'], table, numbers=True),
                aside=markdown(['setting', *aside], further, numbers=True), split=_split(study, rows),
                judging=_judging(study, scores, elsewhere), factors=_factors(study, rows))


def ombria_scores(study: Config, folder: Path) -> dict:
    """What ``tables`` takes as ``elsewhere``, from the records of ``tools/ombria.py``: flood IoU in percent, encoders frozen.

    Args:
        study: Its ``ombria`` says where that study and its records are, and the arm of the recipe.
        folder: That these paths are relative to.

    Raises:
        DataError: If the records cannot be read.
    """
    if 'ombria' not in study:
        return {}
    results = Results(read_ombria_records(folder / study.ombria.records), Config.fromfile(folder / study.ombria.study))
    return {f'OMBRIA {place}': [results.values(place, arm, 'frozen', subsets=study.judging_seeds) for arm in ('decur', study.ombria.recipe)]
            for place in study.ombria.places}


def _judging(study: Config, scores: Mapping, elsewhere: Mapping) -> str:
    """The recipe beside plain DeCUR on the tasks that nothing was chosen by."""
    found = {task: [scores.get((task, arm), {}) for arm in (PLAIN, study.get('recipe'))]
             for task, entry in study.tasks.items() if entry.get('judged')}
    found.update(elsewhere or {})
    table, paired, seeds = [], [], study.get('judging_seeds', ())
    for task, (plain, recipe) in found.items():
        paired.append({seed: recipe[seed] - plain[seed] for seed in sorted(recipe) if seed in plain})
        count = len(seeds)
        table.append([task, _cell(list(plain.values()), False, count), _cell(list(recipe.values()), False, count),
                      _cell(list(paired[-1].values()), True, count)])
    table.append(['mean over tasks', '', '', _cell(mean_over_tasks(paired, seeds), expected=len(seeds))])
    title = label(study.arms[study.recipe]) if 'recipe' in study else 'recipe'
    return markdown(['task', 'plain DeCUR', title, 'difference'], table, numbers=True)


def label(entry: ConfigDict) -> str:
    """What tables call an arm."""
    return f'{entry.idea}, {entry.label}' if 'idea' in entry else entry.label


def _cell(numbers: Sequence[float], signed: bool = True, expected: int = 3) -> str:
    """Mean and interval, and the number of seeds where it is not the expected one; empty without a value."""
    if not numbers:
        return ''
    interval = t_interval(numbers)
    text = ('+' if signed and interval.mean >= 0 else '') + format_interval(interval, 1)
    return text if len(numbers) == expected else f'{text} (n = {len(numbers)})'


def _shown(scores: Mapping, task: str, arm: str) -> Mapping:
    return scores.get((task, arm), {}) if arm == PLAIN else differences(scores, task, arm)


def _split(study: Config, rows: Sequence[Mapping]) -> str:
    """Scores and separation of the blocks by the number of common dimensions; what the suggested one is above the best of the others."""
    split = study.get('split')
    if not split:
        return ''
    scores = values(rows)
    columns = {'{}': scores, **{f'{{}}, {name}': values(rows, name) for name in _RATIOS}}
    table = []
    for arm in (*split.shares, split.suggested):
        cells = [_cell(list(found.get((task, arm), {}).values()), False) for task in split.tasks for found in columns.values()]
        table.append([study.arms[arm].label, *cells])
    last = ['as suggested, less the best of the others']
    for task in split.tasks:
        found, own = ({arm: scores.get((task, arm), {}) for arm in split.shares}, scores.get((task, split.suggested), {}))
        best = max((arm for arm in found if found[arm]), key=lambda arm: t_interval(list(found[arm].values())).mean, default=None)
        gain = [own[seed] - found[best][seed] for seed in sorted(own) if seed in found[best]] if best else []
        last += [_cell(gain), *('' for _ in _RATIOS)]
    titles = [title.format(task) for task in split.tasks for title in columns]
    return markdown(['common dimensions', *titles], [*table, last], numbers=True)


def _factors(study: Config, rows: Sequence[Mapping]) -> str:
    """What the encoders and the blocks of each arm hold, on tasks with known factors."""
    found = {name: values(rows, name) for name in FACTORS}
    table = []
    for task in study.tasks:
        for arm, entry in study.arms.items():
            cells = [list(found[name].get((task, arm), {}).values()) for name in FACTORS]
            if any(cells):
                digits = [1 if '/' in name or 'rank' in name else 2 for name in FACTORS]
                table.append([f'{task}: {label(entry)}',
                              *(format_interval(t_interval(cell), n) if cell else '' for cell, n in zip(cells, digits))])
    return markdown(['task, setting', *(name.replace('encoder probe', 'probe') for name in FACTORS)], table, numbers=True)

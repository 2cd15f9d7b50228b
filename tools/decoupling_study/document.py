"""The tables and figures of a study in its document."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from decur.errors import ConfigError
from decur.evaluation.intervals import Interval
from decur.evaluation.measures import over_seeds
from decur.evaluation.tables import markdown
from decur.explain.files import save_figure
from decur.writing import write_bytes

from .figures import plot_blocks, plot_encoders, plot_sweep
from .runs import Run

#: Columns of the tables: {measure: heading}.
_BLOCKS = {'common: shared': 'common: shared', 'common: partial': 'common: pair', 'common: private': 'common: private',
           'common: shared / private': 'shared / private', 'unique: shared': 'unique: shared', 'unique: partial': 'unique: pair',
           'unique: private': 'unique: private', 'unique: private / shared': 'private / shared',
           'all: shared': 'all: shared', 'all: partial': 'all: pair', 'all: private': 'all: private'}
_JOINT = {f'{block}: {role}, joint': f'{block}: {role}, joint' for block in ('common', 'unique', 'all') for role in ('shared', 'private')}
_JOINT['unique: private / shared, joint'] = 'unique: private / shared with joint'
_ENCODER = {f'encoder: {role}': f'encoder variance: {title}' for role, title in (
    ('shared', 'shared'), ('partial', 'pair'), ('private', 'private'))}
_GEOMETRY = {'diag(C) common': 'diag(C) common', 'diag(C) unique': 'diag(C) unique', 'diag(C) all': 'diag(C) all',
             'rms diagonal unique': 'unique: rms diagonal', 'rms off_diagonal unique': 'unique: rms off-diagonal',
             'CKA common – unique, within': 'CKA common–unique', 'CKA common, across': 'CKA common across',
             'CKA unique, across': 'CKA unique across', 'CKA all, across': 'CKA all across',
             **{f'effective rank: {name}': f'effective rank: {name}' for name in ('encoder', 'embedding', 'common', 'unique')}}
#: The tables of a group.
_TABLES = ('blocks', 'factors', 'probes', 'geometry')
#: What heads the first column of each group's tables.
_HEADS = dict(objectives='objective', encoder='objective', share='common dimensions', terms='DeCUR with', three='objective',
              gaussian='objective', **{'lambda': 'λ'})


def format_interval(interval: Interval | None, digits: int = 2) -> str:
    """``0.71 ± 0.03``; the half width is that of the 95 % interval over seeds. An empty cell where there is nothing."""
    if interval is None:
        return ''
    if np.isnan(interval.low):
        return f'{interval.mean:.{digits}f}'
    return f'{interval.mean:.{digits}f} ± {interval.mean - interval.low:.{digits}f}'


def measure_table(rows: Mapping[str, Mapping[str, Interval]], columns: Mapping[str, str], head: str) -> str:
    """A Markdown table with a row per arm and a column per measure.

    Args:
        rows: {label: {measure: interval}}.
        columns: {measure: heading}; a measure that no row has is left out.
        head: heading of the first column.
    """
    columns = {name: title for name, title in columns.items() if any(name in row for row in rows.values())}
    digits = {name: 1 if '/' in name or name.startswith('effective rank') else 2 for name in columns}
    return markdown([head, *columns.values()], [
        [label, *(format_interval(row.get(name), digits[name]) for name in columns)] for label, row in rows.items()], numbers=True)


def replace_between(text: str, name: str, content: str) -> str:
    """Put ``content`` between ``<!-- name -->`` and ``<!-- /name -->`` of a document.

    Raises:
        ConfigError: If the document has no such place.
    """
    begin, end = f'<!-- {name} -->', f'<!-- /{name} -->'
    if begin not in text or end not in text:
        raise ConfigError(f'the document has no place {begin} ... {end}.')
    return text[:text.index(begin) + len(begin)] + '\n' + content.strip() + '\n' + text[text.index(end):]


def check(study: Config, path: Path) -> None:
    """See before hours of training that the document can take all tables.

    Raises:
        ConfigError: If a place is missing, or two arms would be one row of a table.
    """
    labels = [(group, arm.get('labels', {}).get(group, arm.label)) for arm in study.runs for group in arm.groups]
    twice = next((pair for pair in labels if labels.count(pair) > 1), None)
    if twice:
        raise ConfigError(f'two arms of the study have the label {twice[1]!r} in the group {twice[0]!r}.')
    text = path.read_text(encoding='utf-8')
    for name in ('runs', *(f'{group}: {table}' for arm in study.runs for group in arm.groups for table in _TABLES)):
        try:
            replace_between(text, name, '')
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error


def _is_shown(measure: str) -> bool:
    """Whether a measure stands in the tables of probes: those of the encoder by factor, the others by role."""
    where, _, what = measure.partition(' probe: ')
    return '(' not in what and (where == 'encoder' and bool(what) or what in ('shared', 'partial', 'private'))


def grouped(study: Config, summary: Mapping[int, Mapping[str, Interval]]) -> dict:
    """The arms that are in, by the groups that they are shown in: {group: {label: {measure: interval}}}."""
    groups = {}
    for index, arm in enumerate(study.runs):
        for group in arm.groups if index in summary else ():
            groups.setdefault(group, {})[arm.get('labels', {}).get(group, arm.label)] = summary[index]
    for group, by_value in (('share', lambda label: float(label.split()[0])), ('lambda', float)):
        if group in groups:
            groups[group] = {label: groups[group][label] for label in sorted(groups[group], key=by_value)}
    return groups


def write(study: Config, runs: Sequence[Run], results: Sequence[tuple[Run, dict]], path: Path, figures: Path) -> None:
    """Write tables into the document, figures beside it, and which runs are missing.

    Args:
        study: see :func:`~decoupling_study.runs.plan`; every arm has a ``label`` and ``groups``, and may have other ``labels`` by group.
        runs: all that belong to the study.
        results: those that are in, with their scores.
        path: of the document.
        figures: folder of the figures.
    """
    text, by_arm = path.read_text(encoding='utf-8'), {}
    for run, scores in sorted(results, key=lambda result: result[0].seed):
        by_arm.setdefault(run.arm, []).append(scores)
    for group, rows in grouped(study, {arm: over_seeds(scores) for arm, scores in by_arm.items()}).items():
        head = _HEADS.get(group, 'run')
        names = dict.fromkeys(name for row in rows.values() for name in row)
        factors = {name: name.replace('partial', 'pair') for name in names
                   if name.split(':')[0] in ('common', 'unique', 'all') and '(' in name}
        probes = {name: name.replace(' probe', '').replace('partial', 'pair') for name in names if _is_shown(name)}
        for table, columns in zip(_TABLES, (_BLOCKS, {**factors, **_JOINT}, {**_ENCODER, **probes}, _GEOMETRY)):
            text = replace_between(text, f'{group}: {table}', measure_table(rows, columns, head))
        if group == 'encoder':
            figure = plot_encoders(rows)
        elif group in ('share', 'lambda'):
            figure = plot_sweep(rows, head)
        else:
            figure = plot_blocks(rows)
        save_figure(figures / f'decoupling_{group}.png', figure)
    there = {run.folder for run, _ in results}
    missing = [run.name for run in runs if run.folder not in there]
    text = replace_between(text, 'runs', f'{len(results)} of {len(runs)} runs are in ({len(study.runs)} settings, seeds '
                           f'{", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in runs))}); they took '
                           f'{sum(scores["seconds"] for _, scores in results) / 60:.0f} minutes of processor time, one thread each.'
                           + (f' Missing: {", ".join(missing)}.' if missing else ''))
    write_bytes(path, text.encode())

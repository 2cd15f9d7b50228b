"""The choice of settings on a validation part of the training scenes: its runs, its records and its table."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from decur.errors import ConfigError
from decur.evaluation.tables import markdown
from decur.writing import write_csv

from .plan import Pretraining, Transfer
from .records import COUNTS, THRESHOLDS, read_table
from .scores import iou

#: The list of chips whose score decides.
VALIDATION = 'scene_val'
_AREAS = tuple(f'{kind}{end}' for end in THRESHOLDS.values() for kind in COUNTS)
COLUMNS = ('arm', 'setting', 'subset', 'seconds', 'loss', 'threshold', *_AREAS)


class TuningTransfer(Transfer):
    """A transfer that sees nothing but the scenes that are trained on while settings are chosen, and is tested on the validation scenes."""

    @property
    def tests(self) -> tuple:
        """The validation chips."""
        return (f'{VALIDATION}.txt', )

    @property
    def split(self) -> str:
        """A labelled subset of the other scenes."""
        return f'scene_fit_few{self.labels}_seed{self.subset}.txt'


def settings_of(study: Config, arm: str, setting: str) -> dict:
    """Options of the pretraining of an arm with a setting."""
    entry = study.tuning.settings[setting]
    return {**study.arms[arm]['options'], **entry['options'], **entry.get('more', {}).get(arm, {})}


def plan_tuning(study: Config, arms: Sequence[str] | None = None, settings: Sequence[str] | None = None) -> list[Pretraining | Transfer]:
    """What is to run, in order: setting by setting, a pretraining before its transfers (frozen encoders, both sensors, 32 labels).

    Raises:
        ConfigError: If an arm or a setting is none of the study's.
    """
    tuning = study.tuning
    for kind, wanted, there in (('arm', arms, tuning.arms), ('setting', settings, tuning.settings)):
        wrong = [name for name in wanted or () if name not in there]
        if wrong:
            raise ConfigError(f'the tuning has no {kind} {wrong[0]!r}; it has {list(there)}.')
    out = []
    for arm in arms or tuning.arms:
        for setting in settings or tuning.settings:
            pretraining = Pretraining(f'tuning/{arm}/{setting}', tuning.seed, {
                **settings_of(study, arm, setting), 'train_dataloader.dataset.split': 'scene_fit.txt'})
            out += [pretraining, *(TuningTransfer(pretraining.arm, pretraining, 's1-s2', 'frozen', '32', int(subset))
                                   for subset in tuning.subsets)]
    return out


def tuning_row(run: Pretraining | Transfer, record: Mapping) -> dict:
    """The line of a run; the subset of a pretraining is empty."""
    _, arm, setting = run.arm.split('/')
    row = dict(arm=arm, setting=setting, seconds=record['seconds'], loss=record['loss'])
    if isinstance(run, Transfer):
        row.update(subset=run.subset, threshold=record['threshold'])
        row.update({f'{kind}{end}': value for name, end in THRESHOLDS.items() for kind, value in zip(COUNTS, record[name][VALIDATION])})
    return {column: str(row.get(column, '')) for column in COLUMNS}


def merge_tuning(rows: Sequence[Mapping], newer: Sequence[Mapping]) -> list[dict]:
    """Both, in a fixed order; of two lines of one run the newer one."""
    found = {tuple(row[key] for key in COLUMNS[:3]): dict(row) for row in (*rows, *newer)}
    return [found[key] for key in sorted(found)]


def write_tuning(path: Path, rows: Sequence[Mapping]) -> None:
    """Write lines as CSV, at once."""
    write_csv(path, COLUMNS, rows)


def read_tuning(path: Path) -> list[dict]:
    """The lines of :func:`write_tuning`; see :func:`~ombria_study.records.read_table`."""
    return read_table(path, COLUMNS, lambda row: _AREAS if row.get('subset') else (), 'tools/ombria_tuning.py')


def scores(rows: Sequence[Mapping], arm: str, setting: str, threshold: str = 'areas') -> dict:
    """Flood IoU on the validation chips in percent by labelled subset.

    ``threshold`` is a key of :data:`~ombria_study.records.THRESHOLDS`.
    """
    return {int(row['subset']): iou([[int(row[f'{kind}{THRESHOLDS[threshold]}']) for kind in COUNTS]])
            for row in rows if (row['arm'], row['setting']) == (arm, setting) and row['subset']}


def chosen(rows: Sequence[Mapping], study: Config, arm: str) -> str | None:
    """The setting with the largest mean score, of equal ones the first of the study; None until all settings were run on all subsets."""
    subsets = {int(subset) for subset in study.tuning.subsets}
    found = {setting: scores(rows, arm, setting) for setting in study.tuning.settings}
    if any(set(values) != subsets for values in found.values()):
        return None
    return max(found, key=lambda setting: np.mean(list(found[setting].values())))


def tuning_table(rows: Sequence[Mapping], study: Config) -> str:
    """Settings by arms: the mean score and, in brackets, that of each labelled subset; the chosen one in bold. Then the time. Markdown."""
    lines = []
    for setting, entry in study.tuning.settings.items():
        line = [entry['label']]
        for arm in study.tuning.arms:
            values = scores(rows, arm, setting).values()
            text = f'{np.mean(list(values)):.1f} ({", ".join(f"{value:.1f}" for value in values)})' if values else ''
            line.append(f'**{text}**' if chosen(rows, study, arm) == setting else text)
        lines.append(line)
    hours = sum(float(row['seconds']) for row in rows) / 3600
    return (markdown(['setting', *(study.arms[arm]['label'] for arm in study.tuning.arms)], lines, numbers=True) +
            f'\n\n{sum(not row["subset"] for row in rows)} pretrainings and {sum(bool(row["subset"]) for row in rows)} transfers; '
            f'{hours:.1f} hours of processor time, one thread each.')

"""The runs of the comparison: every change on every task, once per seed."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmengine.config import Config

from decur.errors import ConfigError

#: Settings of a task; ``config`` is required. The others: :class:`Task`.
_TASK = ('config', 'transfer', 'metric', 'data', 'transfer_data', 'share', 'options', 'transfer_options', 'scored', 'judged')
#: Settings of an arm; ``label`` is required, ``short`` is what a figure calls it.
_ARM = ('label', 'short', 'idea', 'options', 'tasks', 'steps', 'only')
#: The arm that the others are compared with.
PLAIN = 'plain'


@dataclass(frozen=True)
class Run:
    """Plain DeCUR or one change of it, on one task with one seed.

    Attributes:
        task: name of the task.
        arm: name of the change.
        seed: of initialisation, data order, augmentation, and of the labelled transfer.
        config: path of the pretraining config, relative to the study.
        options: overrides of it, by dotted key.
        steps: share of the config's epochs or iterations.
        data: folder of the pretraining data below that of all data; None where the config renders it.
        transfer: path of the transfer config; None for a task whose factors are known, which is scored by linear probes.
        transfer_data: as ``data``.
        transfer_options: overrides of the transfer config.
        metric: what the test of the transfer measures.
    """

    task: str
    arm: str
    seed: int
    config: str
    options: Mapping = field(compare=False)
    steps: float
    data: str | None = None
    transfer: str | None = None
    transfer_data: str | None = None
    transfer_options: Mapping = field(default_factory=dict, compare=False)
    metric: str | None = None

    @property
    def name(self) -> str:
        """Its folder in the work directory."""
        return f'{self.task}/{self.arm}/seed{self.seed}'


def plan(study: Config, tasks: Sequence[str] | None = None, arms: Sequence[str] | None = None,
         seeds: Sequence[int] | None = None) -> list[Run]:
    """What is to run: task by task, seed by seed, so that an early end leaves whole comparisons.

    Args:
        study: ``seeds``, ``tasks``, ``arms`` and, once it is chosen, the ``recipe``, see ``configs/better/study.py``.
        tasks, arms, seeds: Those to run. Default to all.

    Raises:
        ConfigError: If a task or an arm lacks a setting or has an unknown one, or a name does not exist.
    """
    check(study)
    for kind, chosen, known in (('task', tasks, study.tasks), ('arm', arms, study.arms)):
        unknown = [name for name in chosen or () if name not in known]
        if unknown:
            raise ConfigError(f'there is no {kind} {unknown[0]!r}; the study has {list(known)}.')
    return [_run(study, task, arm, seed) for task in tasks or study.tasks for seed in seeds or seeds_of(study, task)
            for arm in arms or study.arms if task in tasks_of(study, arm)]


def tasks_of(study: Config, arm: str) -> list[str]:
    """The tasks that an arm is tried on: those for choosing, others that it names, and if it is the recipe those for judging."""
    entry, found = study.arms[arm], []
    for name, task in study.tasks.items():
        if task.get('judged'):
            tried = 'recipe' in study and arm in (PLAIN, study.recipe)
        else:
            tried = name in entry.get('only', study.tasks) and (task.get('scored', True) or name in entry.get('tasks', {}))
        if tried:
            found.append(name)
    return found


def seeds_of(study: Config, task: str) -> Sequence[int]:
    """The seeds that a task is run with."""
    return study.judging_seeds if study.tasks[task].get('judged') else study.seeds


def for_choosing(study: Config) -> list[str]:
    """The tasks whose mean is the score that a recipe is chosen by."""
    return [name for name, task in study.tasks.items() if task.get('scored', True) and not task.get('judged')]


def other_shares(study: Config) -> set[str]:
    """The arms that are plain DeCUR with another number of common dimensions: they have a table of their own."""
    split = study.get('split', {})
    return {*split.get('shares', ()), split.get('suggested')} - {PLAIN}


def check(study: Config) -> None:
    """See that every task and every arm is whole.

    Raises:
        ConfigError: If one is not.
    """
    for kind, required, known, entries in (('task', 'config', _TASK, study.tasks), ('arm', 'label', _ARM, study.arms)):
        for name, entry in entries.items():
            wrong = [key for key in entry if key not in known]
            if required not in entry or wrong:
                raise ConfigError(f'the {kind} {name!r} of the study {"has an unknown" if wrong else "lacks"} '
                                  f'{(wrong or [required])[0]!r}.')
    if 'recipe' in study and study.recipe not in study.arms:
        raise ConfigError(f'the recipe of the study is {study.recipe!r}, which is none of its arms {list(study.arms)}.')
    if PLAIN not in study.arms:
        raise ConfigError(f'the study has no arm {PLAIN!r}, which the others are compared with.')
    for name, entry in study.arms.items():
        unknown = [task for task in (*entry.get('tasks', {}), *entry.get('only', ())) if task not in study.tasks]
        if unknown:
            raise ConfigError(f'the arm {name!r} names the task {unknown[0]!r}; the study has {list(study.tasks)}.')


def _run(study: Config, task: str, arm: str, seed: int) -> Run:
    what, change = study.tasks[task], study.arms[arm]
    options = {**what.get('options', {}), **change.get('options', {}), **change.get('tasks', {}).get(task, {})}
    return Run(task, arm, seed, what.config, options, what.get('share', 1.) * change.get('steps', 1.), what.get('data'),
               what.get('transfer'), what.get('transfer_data'), dict(what.get('transfer_options', {})), what.get('metric'))

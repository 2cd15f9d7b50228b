"""The figures of the comparison, from the records of its runs."""
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from decoupling_study.figures import plot_blocks
from matplotlib.figure import Figure
from mmengine.config import Config

from decur.evaluation.intervals import t_interval

from .plan import for_choosing, other_shares
from .report import differences, label, values
from .runs import FACTORS

_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')


def plot_scores(study: Config, rows: Sequence[Mapping]) -> Figure:
    """What every change gains over plain DeCUR: a dot for a run, a diamond for the mean of a task; sorted by the first task.

    An arm without an ``idea`` is no change of it, and other numbers of common dimensions have a table of their own.
    """
    scores, tasks = values(rows), for_choosing(study)
    found = {arm: {task: list(one.values()) for task in tasks if (one := differences(scores, task, arm))}
             for arm, entry in study.arms.items() if 'idea' in entry and arm not in other_shares(study)}
    found = {arm: one for arm, one in found.items() if one}
    order = sorted(found, key=lambda arm: -np.mean(found[arm].get(tasks[0], [-np.inf])))
    fig = Figure(figsize=(10, 1.6 + 0.42 * len(order)), layout='constrained')
    axis = fig.subplots()
    axis.axvline(0, color='#444', linewidth=1)
    for number, (task, colour) in enumerate(zip(tasks, _COLOURS)):
        offset = (number - (len(tasks) - 1) / 2) * 0.18
        for y, arm in enumerate(order):
            gains = found[arm].get(task)
            if gains:
                axis.plot(gains, np.full(len(gains), y + offset), 'o', color=colour, alpha=0.35, markersize=4)
                axis.plot(np.mean(gains), y + offset, 'D', color=colour, markersize=6)
        axis.plot([], [], 'D', color=colour, label=task)  # the legend names every task
    axis.set_yticks(range(len(order)), [textwrap.fill(label(study.arms[arm]), 44) for arm in order], fontsize=10)
    axis.set_ylim(len(order) - 0.5, -0.5)
    fig.supxlabel('gain over plain DeCUR, percent points (dots: a seed each; diamonds: their mean)', fontsize=11)
    axis.grid(axis='x', alpha=0.3)
    fig.legend(loc='outside upper center', ncols=len(tasks), fontsize=11)
    return fig


def plot_decoupling(study: Config, rows: Sequence[Mapping], arms: Sequence[str], task: str = 'shapes') -> Figure | None:
    """Shares of variance by block of some arms, on a task with known factors; None without a run."""
    found = {name: values(rows, name) for name in FACTORS}
    shown = {}
    for arm in arms:
        row = {name: t_interval(list(one.values())) for name in FACTORS if (one := found[name].get((task, arm)))}
        if 'unique: private' in row:
            shown[study.arms[arm].get('short', label(study.arms[arm]))] = row
    return plot_blocks(shown) if shown else None

"""The figures of a study: every bar and point is a number of its tables."""
import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from decur.evaluation.intervals import Interval
from decur.explain.plots import figure

ROLE_COLOURS = dict(shared='#0072b2', partial='#009e73', private='#d55e00')
#: What lines on bars and points are.
_BARS = 'mean over the seeds; thin lines: its 95 % interval'
#: Sizes of text, points: figures are read at half their size too.
_TEXT, _TITLE = 11, 12
#: What legends call a role that the scores call otherwise, as the tables of the study do.
_ROLE_LABELS = dict(partial='pair')


def plot_world(dataset) -> Figure:
    """The first samples of a :class:`~decur.synthetic.factors_dataset.RenderedFactorsDataset`: a row per modality, a column per sample.

    Channels are shown as red, green and blue; those that a modality has not are the mean of the others.
    """
    sources = [dataset.get_data_info(i)['sources'] for i in range(len(dataset))]
    fig, axes = figure(len(sources[0]), len(sources), width=0.9, height=0.9)
    for column, sample in enumerate(sources):
        for row, (name, image) in enumerate(sample.items()):
            missing = np.repeat(image.mean(axis=2, keepdims=True), 3 - image.shape[2], axis=2)
            axes[row, column].imshow(np.concatenate([image, missing], axis=2).clip(0, 1), interpolation='nearest')
            axes[row, column].set(xticks=[], yticks=[])
            if column == 0:
                axes[row, column].set_ylabel(name, fontsize=_TEXT)
    return fig


def _error(intervals) -> np.ndarray:
    """Half widths for matplotlib, 0 where an interval is open."""
    return np.nan_to_num([[i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]])


def plot_blocks(rows: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Share of variance by role: a panel per block, a group of bars per run.

    Args:
        rows: {label: {measure: interval}} of :func:`~decur.evaluation.measures.over_seeds`.
    """
    blocks = [b for b in ('common', 'unique', 'all') if any(f'{b}: private' in row for row in rows.values())]
    having = {block: [label for label in rows if f'{block}: private' in rows[label]] for block in blocks}
    widths = [0.9 + 1.1 * len(having[block]) for block in blocks]
    fig = Figure(figsize=(max(sum(widths), 6.5), 3.9), layout='constrained')
    axes = fig.subplots(1, len(blocks), squeeze=False, sharey=True, width_ratios=widths)[0]
    for axis, block in zip(axes, blocks):
        roles = [role for role in ROLE_COLOURS if any(f'{block}: {role}' in rows[label] for label in having[block])]
        for i, role in enumerate(roles):
            intervals = [rows[label][f'{block}: {role}'] for label in having[block]]
            x = np.arange(len(intervals)) + (i - (len(roles) - 1) / 2) * 0.8 / len(roles)
            axis.bar(x, [v.mean for v in intervals], 0.8 / len(roles), color=ROLE_COLOURS[role],
                     label=_ROLE_LABELS.get(role, role), yerr=_error(intervals), error_kw=dict(elinewidth=1, capsize=2))
        names = [textwrap.fill(label, 13, break_long_words=False) for label in having[block]]
        axis.set_xticks(range(len(names)), names, fontsize=_TEXT)
        axis.set_title(f'{block} dimensions' if block != 'all' else 'all dimensions (no split)', fontsize=_TITLE)
    axes[0].set_ylim(0, 1)
    axes[0].set_ylabel('share of variance explained', fontsize=_TEXT)
    fig.supxlabel(_BARS, fontsize=_TEXT)
    axes[0].legend(fontsize=_TEXT, title='factors', title_fontsize=_TEXT)
    return fig


def plot_encoders(rows: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """What the encoders keep of the factors: linear probes and shares of variance, a group of bars per run.

    Args:
        rows: {label: {measure: interval}} of :func:`~decur.evaluation.measures.over_seeds`.
    """
    panels = {'encoder probe': ('linear probe', 'accuracy or R²'), 'encoder': ('share of variance', 'share of variance explained')}
    fig, axes = figure(1, len(panels), width=1.2 + 0.5 * len(rows), height=4.2)
    for axis, (prefix, (title, ylabel)) in zip(axes[0], panels.items()):
        roles = [role for role in ROLE_COLOURS if all(f'{prefix}: {role}' in row for row in rows.values())]
        for i, role in enumerate(roles):
            intervals = [row[f'{prefix}: {role}'] for row in rows.values()]
            y = np.arange(len(intervals)) + (i - (len(roles) - 1) / 2) * 0.8 / len(roles)
            axis.barh(y, [v.mean for v in intervals], 0.8 / len(roles), color=ROLE_COLOURS[role],
                      label=_ROLE_LABELS.get(role, role), xerr=_error(intervals), error_kw=dict(elinewidth=1, capsize=2))
        axis.set_yticks(range(len(rows)), list(rows) if axis is axes[0, 0] else [''] * len(rows), fontsize=_TEXT)
        axis.invert_yaxis()
        axis.set_title(f'encoder, {title}', fontsize=_TITLE)
        axis.set_xlabel(ylabel, fontsize=_TEXT)
    for axis in axes[0]:
        axis.set_xlim(0, 1)
    axes[0, 0].set_title('encoder, linear probe (higher is better)', fontsize=_TITLE)
    fig.suptitle(_BARS, fontsize=_TEXT)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=3, fontsize=_TEXT)
    return fig


def plot_sweep(rows: Mapping[str, Mapping[str, Interval]], xlabel: str) -> Figure:
    """Share of variance and encoder probes along a setting: the rows in their order."""
    fig, axes = figure(1, 3, width=3.8, height=3.6)
    labels = list(rows)
    for axis, block in zip(axes[0], ('common', 'unique')):
        for role, colour in ROLE_COLOURS.items():
            found = [(i, rows[label][f'{block}: {role}']) for i, label in enumerate(labels) if f'{block}: {role}' in rows[label]]
            if found:
                x, intervals = zip(*found)
                axis.errorbar(x, [v.mean for v in intervals], _error(intervals), color=colour, marker='o', capsize=3,
                              label=_ROLE_LABELS.get(role, role))
        axis.set_title(f'{block} dimensions', fontsize=_TITLE)
        axis.set_ylabel('share of variance explained', fontsize=_TEXT)
        axis.legend(fontsize=_TEXT)
    axes[0, 1].sharey(axes[0, 0])
    axes[0, 0].set_ylim(0, 1)
    axes[0, 2].set_ylim(0, 1)
    fig.suptitle(_BARS, fontsize=_TEXT)
    for role in ('shared', 'private'):
        intervals = [rows[label][f'encoder probe: {role}'] for label in labels]
        axes[0, 2].errorbar(range(len(labels)), [v.mean for v in intervals], _error(intervals), color=ROLE_COLOURS[role], marker='o',
                            capsize=3, label=role)
    axes[0, 2].set_title('encoder, linear probe (higher is better)', fontsize=_TITLE)
    axes[0, 2].set_ylabel('accuracy or R²', fontsize=_TEXT)
    axes[0, 2].legend(fontsize=_TEXT)
    for axis in axes[0]:
        axis.set_xticks(range(len(labels)), labels, fontsize=_TEXT)
        axis.set_xlim(-0.3, len(labels) - 0.7)
        axis.set_xlabel(xlabel, fontsize=_TEXT)
    return fig

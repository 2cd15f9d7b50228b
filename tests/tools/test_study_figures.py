"""Figures of the study: every bar and point, and every error bar, is the number that the table has."""
from itertools import product

import numpy as np
import pytest
from decoupling_study.figures import plot_blocks, plot_encoders, plot_sweep

from decur.evaluation.intervals import Interval

ROLES = ('shared', 'partial', 'private')


def numbered(measures, labels=('DeCUR', 'CLIP')):
    """Rows of which every number differs from every other, with intervals that are not symmetric."""
    out = {}
    for i, (label, measure) in enumerate(product(labels, measures), 1):
        out.setdefault(label, {})[measure] = Interval(i / 50, i / 50 - i / 1000, i / 50 + i / 700)
    return out


BLOCKS = numbered(f'{block}: {role}' for block in ('common', 'unique') for role in ROLES)
ENCODERS = numbered(f'{measure}: {role}' for measure in ('encoder probe', 'encoder') for role in ROLES)
SWEEP = numbered([f'{block}: {role}' for block in ('common', 'unique') for role in ROLES] +
                 [f'encoder probe: {role}' for role in ('shared', 'private')], ('25 %', '50 %', '75 %'))


def ends(container):
    """Ends of the error bars of a container: (N, 2)."""
    segments = container.lines[2][0].get_segments()
    varies = 1 if np.ptp([s[:, 0] for s in segments[:1]]) == 0 else 0
    return [tuple(np.sort(s[:, varies])) for s in segments]


def bars(axis, horizontal=False):
    """{(tick label, legend's name of the role): (length, low, high)} of an axis, by the tick that a bar stands at."""
    ticks = [t.get_text().replace('\n', ' ') for t in (axis.get_yticklabels() if horizontal else axis.get_xticklabels())]
    out = {}
    for container in [c for c in axis.containers if hasattr(c, 'patches')]:
        for bar, end in zip(container.patches, ends(container.errorbar)):
            place = bar.get_y() + bar.get_height() / 2 if horizontal else bar.get_x() + bar.get_width() / 2
            out[ticks[round(place)], container.get_label()] = (bar.get_width() if horizontal else bar.get_height(), *end)
    return out


def expected(rows, prefix, roles=ROLES):
    return {(label, 'pair' if role == 'partial' else role): pytest.approx(rows[label][f'{prefix}: {role}'])
            for label in rows for role in roles}


def test_bars_of_blocks():
    fig = plot_blocks(BLOCKS)
    assert [axis.get_title() for axis in fig.axes] == ['common dimensions', 'unique dimensions']
    for axis, block in zip(fig.axes, ('common', 'unique')):
        assert bars(axis) == expected(BLOCKS, block)
    assert [t.get_text() for t in fig.axes[0].get_legend().get_texts()] == ['shared', 'pair', 'private']


def test_bars_of_arms_with_and_without_a_split():
    rows = {**BLOCKS, 'Barlow Twins': {f'all: {role}': Interval(0.4, float('nan'), float('nan')) for role in ('shared', 'private')}}
    fig = plot_blocks(rows)
    assert bars(fig.axes[0]) == expected(BLOCKS, 'common')
    # One seed has no interval: its bar has no error bar, and is drawn all the same.
    assert bars(fig.axes[2]) == {('Barlow Twins', role): pytest.approx((0.4, 0.4, 0.4)) for role in ('shared', 'private')}
    assert fig.axes[2].get_title() == 'all dimensions (no split)'


def test_bars_of_encoders():
    fig = plot_encoders(ENCODERS)
    labels = [t.get_text() for t in fig.axes[0].get_yticklabels()]
    assert labels == list(ENCODERS)
    assert bars(fig.axes[0], horizontal=True) == expected(ENCODERS, 'encoder probe')
    fig.axes[1].set_yticklabels(labels)  # stand beside the first panel alone
    assert bars(fig.axes[1], horizontal=True) == expected(ENCODERS, 'encoder')
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ['shared', 'pair', 'private']


def test_points_of_a_sweep():
    fig = plot_sweep(SWEEP, 'share')
    for axis, prefix, roles in zip(fig.axes, ('common', 'unique', 'encoder probe'), (ROLES, ROLES, ('shared', 'private'))):
        ticks = [t.get_text() for t in axis.get_xticklabels()]
        found = {}
        for container in axis.containers:
            for x, y, end in zip(*container.lines[0].get_data(), ends(container)):
                found[ticks[int(x)], container.get_label()] = (y, *end)
        assert found == expected(SWEEP, prefix, roles)
    assert [t.get_text() for t in fig.axes[0].get_legend().get_texts()] == ['shared', 'pair', 'private']

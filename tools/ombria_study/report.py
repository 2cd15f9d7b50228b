"""Tables and figure of the comparison, from the records."""
from collections.abc import Mapping, Sequence

import numpy as np
from decoupling_study.document import format_interval
from matplotlib.figure import Figure
from mmengine.config import Config

from decur.evaluation.intervals import t_interval
from decur.evaluation.tables import markdown

from .plan import Pretraining, plan
from .records import COUNTS, THRESHOLDS
from .scores import GROUPS, iou

#: Where chips are tested: name in the tables to groups.
PLACES = {'scene_test': GROUPS[:1], 'event2021': GROUPS[1:], **{event.capitalize(): (event, ) for event in GROUPS[1:]}}
_MAIN = ('scene_test', 'event2021')
#: The variant that trains five times as long.
_LONGER = '1000 iterations'
#: DeCUR with the setting that was chosen on the validation scenes, and what it is compared with: arms without such settings, and DeCUR.
_CHOSEN, _WITHOUT_SETTINGS = 'decur_chosen', ('per_pixel', 'random', 'random_normalized', 'decur')
PROTOCOLS = dict(frozen='frozen', finetune='fine-tuned')
SENSORS = {'s1': 'Sentinel-1', 's2': 'Sentinel-2', 's1-s2': 'both'}


class Results:
    """The records, asked by cell.

    Args:
        rows: Of :func:`~ombria_study.records.read_records`.
        study: The study, for the order and the labels of the arms.
    """

    def __init__(self, rows: Sequence[Mapping], study: Config):
        self.rows, self.study = rows, study
        self.first = [int(seed) for seed in study.seeds]

    def label(self, arm: str) -> str:
        """What tables call an arm."""
        return self.study.arms[arm]['label']

    def values(self, place: str, arm: str, protocol: str, sensors: str = 's1-s2', labels: str = '32', variant: str = '',
               subsets: Sequence[int] | None = None, threshold: str = 'areas') -> dict:
        """IoU in percent by labelled subset, of those that were run; the first five subsets unless others are given.

        ``threshold`` is a key of :data:`~ombria_study.records.THRESHOLDS`.
        """
        wanted = (arm, protocol, sensors, labels, variant)
        out = {}
        for row in self.rows:
            if tuple(row[key] for key in ('arm', 'protocol', 'sensors', 'labels', 'variant')) == wanted:
                subset = int(row['subset'])
                if subset in (self.first if subsets is None else subsets):
                    out[subset] = iou([[int(row[f'{group}_{kind}{THRESHOLDS[threshold]}']) for kind in COUNTS] for group in PLACES[place]])
        return dict(sorted(out.items()))

    def interval(self, *args, **kwargs):
        """Mean of :meth:`values` with its 95 % interval and their number; None without values."""
        found = list(self.values(*args, **kwargs).values())
        return (t_interval(found), len(found)) if found else None

    def differences(self, place: str, arm: str, other: str, protocol: str, **kwargs) -> dict:
        """IoU of an arm less that of another one by labelled subset, of those that both were run with."""
        one, two = (self.values(place, name, 'per-pixel' if name == 'per_pixel' else protocol, **kwargs) for name in (arm, other))
        return {subset: one[subset] - two[subset] for subset in one if subset in two}

    def having(self, **wanted: str) -> list:
        """Arms in the order of the study of which there is a run with these values."""
        found = {row['arm'] for row in self.rows if all(row[key] == value for key, value in wanted.items())}
        return [arm for arm in self.study.arms if arm in found]


def cell(found) -> str:
    """``58.5 ± 4.1``, with the number of runs in brackets where there are fewer than five; empty without runs."""
    if not found:
        return ''
    interval, count = found
    return format_interval(interval, 1) + (f' ({count})' if count < 5 else '')


def difference(values: Mapping) -> str:
    """``+19.6 [+12.0, +27.2], 5 of 5`` of paired differences: mean, 95 % interval, and in how many of them it is above 0."""
    if not values:
        return ''
    interval = t_interval(list(values.values()))
    ends = '' if np.isnan(interval.low) else f' [{interval.low:+.1f}, {interval.high:+.1f}]'
    return f'{interval.mean:+.1f}{ends}, {sum(value > 0 for value in values.values())} of {len(values)}'


def tables(results: Results) -> dict[str, str]:
    """The tables by name, Markdown."""
    return dict(main=_main(results), differences=_differences(results), events=_events(results), subsets=_subsets(results),
                chosen=_chosen(results), thresholds=_thresholds(results), longer=_longer(results),
                sensors=_sensors(results), labels=_labels(results), runs=runs(results))


def _main(results: Results) -> str:
    rows = []
    for arm in results.study.arms:
        protocols = ('per-pixel', None) if arm == 'per_pixel' else tuple(PROTOCOLS)
        rows.append([results.label(arm), *(protocol and cell(results.interval(place, arm, protocol)) or '' for protocol in protocols
                                           for place in _MAIN)])
    rows.append(['supervised, all 469 labels, 1000 iterations', '', '',
                 *(cell(results.interval(place, 'random', 'finetune', labels='all', variant=_LONGER)) for place in _MAIN)])
    return markdown(['start', *(f'{place}, {name}' for name in PROTOCOLS.values() for place in _MAIN)], rows, numbers=True)


def _differences(results: Results) -> str:
    rows = []
    for other in [arm for arm in results.study.arms if arm not in ('decur', _CHOSEN)]:
        rows.append([results.label(other), *(difference(results.differences(place, 'decur', other, protocol))
                                             for protocol in PROTOCOLS for place in _MAIN)])
    return markdown(['DeCUR less', *(f'{place}, {name}' for name in PROTOCOLS.values() for place in _MAIN)], rows, numbers=True)


def _events(results: Results) -> str:
    places = [place for place in PLACES if place not in _MAIN]
    rows = []
    for protocol, name in (('per-pixel', ''), *PROTOCOLS.items()):
        for arm in results.having(protocol=protocol, sensors='s1-s2', labels='32'):
            rows.append([f'{results.label(arm)}{", " if name else ""}{name}',
                         *(cell(results.interval(place, arm, protocol)) for place in places)])
    return markdown(['start', *places], rows, numbers=True)


def _chosen(results: Results) -> str:
    """The chosen setting, frozen, 32 chips: over the subsets of the other tables, over all ten, and these averaged by pretraining."""
    first = results.first
    every = range(2 * len(first))
    rows = []
    for title, threshold in (('0.5', 'areas'), ('fitted', 'fitted')):
        for other in (None, *_WITHOUT_SETTINGS):
            row = [f'{title}, {f"less {results.label(other)}" if other else results.label(_CHOSEN)}']
            for place in _MAIN:
                options = dict(subsets=every, threshold=threshold)
                found = (results.differences(place, _CHOSEN, other, 'frozen', **options) if other else
                         results.values(place, _CHOSEN, 'frozen', **options))
                for values in ({key: value for key, value in found.items() if key in first}, found, _averaged(found, len(first))):
                    row.append(difference(values) if other else cell(values and (t_interval(list(values.values())), len(values))))
            rows.append(row)
    titles = f'{len(first)} subsets', f'{len(every)} subsets', f'{len(every)} subsets, averaged by pretraining'
    return markdown(['threshold, start', *(f'{place}, {title}' for place in _MAIN for title in titles)], rows, numbers=True)


def _averaged(values: Mapping, period: int) -> dict:
    """Values by labelled subset, those of subsets that are equal modulo ``period`` (of one pretraining) averaged."""
    groups: dict = {}
    for subset, value in values.items():
        groups.setdefault(subset % period, []).append(value)
    return {key: np.mean(found) for key, found in groups.items()}


def _subsets(results: Results) -> str:
    """Every labelled subset, frozen, 32 chips: random, DeCUR, their difference; means over subsets and over pretrainings."""
    every = range(len(results.first), 2 * len(results.first))
    every = [*results.first, *every]
    found = {(place, arm): results.values(place, arm, 'frozen', subsets=every) for place in _MAIN for arm in ('random', 'decur')}
    differences = {place: results.differences(place, 'decur', 'random', 'frozen', subsets=every) for place in _MAIN}
    rows = []
    for subset in every:
        row = [f'subset {subset}, pretraining seed {subset % len(results.first)}']
        for place in _MAIN:
            row += [f'{found[place, arm][subset]:.1f}' if subset in found[place, arm] else '' for arm in ('random', 'decur')]
            row.append(f'{differences[place][subset]:+.1f}' if subset in differences[place] else '')
        rows.append(row)
    for title, period in (('mean over subsets', len(every)), ('mean over pretrainings', len(results.first))):
        row = [title]
        for place in _MAIN:
            row += ['', '', difference(_averaged(differences[place], period))]
        rows.append(row)
    return markdown(['frozen, 32 chips', *(f'{place}, {title}' for place in _MAIN for title in ('random', 'DeCUR', 'difference'))], rows,
                    numbers=True)


def _thresholds(results: Results) -> str:
    """At 0.5 and at the threshold that fits the labelled chips best, 32 chips, all subsets that were run: means, and DeCUR less another."""
    every = range(2 * len(results.first))
    rows = []
    for title, threshold in (('0.5', 'areas'), ('fitted', 'fitted')):
        options = dict(subsets=every, threshold=threshold)
        for arm in results.study.arms:
            protocol = 'per-pixel' if arm == 'per_pixel' else 'frozen'
            found = {place: results.interval(place, arm, protocol, **options) for place in _MAIN}
            if any(found.values()):
                rows.append([f'{title}, {results.label(arm)}', *(text for place in _MAIN for text in (
                    cell(found[place]),
                    '' if arm in ('decur', _CHOSEN) else difference(results.differences(place, 'decur', arm, 'frozen', **options))))])
    return markdown(['threshold, start', *(f'{place}{title}' for place in _MAIN for title in ('', ', DeCUR less this'))], rows,
                    numbers=True)


def _longer(results: Results) -> str:
    """Frozen, 32 chips: heads trained for 200 iterations and for 1000, on the same subsets."""
    rows = []
    subsets = results.values('scene_test', 'random', 'frozen', variant=_LONGER)
    for title, variant in (('200 iterations', ''), (_LONGER, _LONGER)):
        options = dict(variant=variant, subsets=list(subsets))
        for threshold, name in (('areas', '0.5'), ('fitted', 'fitted')):
            more = dict(options, threshold=threshold)
            rows.append([f'{title}, threshold {name}', *(text for place in _MAIN for text in (
                *(cell(results.interval(place, arm, 'frozen', **more)) for arm in ('random', 'decur')),
                difference(results.differences(place, 'decur', 'random', 'frozen', **more))))])
    return markdown(['frozen', *(f'{place}, {title}' for place in _MAIN for title in ('random', 'DeCUR', 'difference'))], rows,
                    numbers=True)


def _sensors(results: Results) -> str:
    rows = []
    for protocol, name in (('per-pixel', ''), *PROTOCOLS.items()):
        arms = [arm for arm in ('per_pixel', 'random', 'single', 'decur') if arm in results.having(protocol=protocol, labels='32')]
        for arm in arms:
            rows.append([f'{results.label(arm)}{", " if name else ""}{name}',
                         *(cell(results.interval(place, arm, protocol, sensors=sensors)) for place in _MAIN for sensors in SENSORS)])
    return markdown(['start', *(f'{place}, {title}' for place in _MAIN for title in SENSORS.values())], rows, numbers=True)


def _labels(results: Results) -> str:
    rows = []
    for protocol, name in PROTOCOLS.items():
        for arm in ('random', 'decur'):
            rows.append([f'{results.label(arm)}, {name}',
                         *(cell(results.interval(place, arm, protocol, labels=labels)) for place in _MAIN for labels in _SIZES)])
        rows.append([f'DeCUR less random, {name}', *(difference(results.differences(place, 'decur', 'random', protocol, labels=labels))
                                                     for place in _MAIN for labels in _SIZES)])
    return markdown(['start', *(f'{place}, {labels}' for place in _MAIN for labels in _SIZES)], rows, numbers=True)


_SIZES = ('8', '32', '128', 'all')


def runs(results: Results) -> str:
    """How many runs of each round are in, the command of those that are not, and the time of all."""
    done = {(row['arm'], row['protocol'], row['sensors'], row['labels'], row['variant'], row['subset']) for row in results.rows}
    rows = []
    for entry in results.study.rounds:
        cells = [run for run in plan(results.study, [entry['name']]) if not isinstance(run, Pretraining)]
        there = sum((c.arm, c.protocol, c.sensors, c.labels, c.variant, str(c.subset)) in done for c in cells)
        rows.append([entry['name'], f'{there} of {len(cells)}',
                     '' if there == len(cells) else f'`make ombria SRC=SRC ROUNDS={entry["name"]}`'])
    pretrained = [row for row in results.rows if row['protocol'] == 'pretraining']
    hours = sum(float(row['seconds']) for row in results.rows) / 3600
    return (markdown(['round', 'transfers in', 'runs the rest'], rows) +
            f'\n\n{len(results.rows) - len(pretrained)} transfers and {len(pretrained)} pretrainings; {hours:.1f} hours of processor time, '
            'one thread each.')


def plot(results: Results) -> Figure:
    """Every run as a dot, with means and, from three runs on, 95 % intervals: a panel for each place, 32 chips, both sensors."""
    arms = [arm for arm in results.study.arms if results.interval('scene_test', arm, 'frozen') or results.interval(
        'scene_test', arm, 'finetune')]
    fig = Figure(figsize=(10, 1.4 + 0.5 * len(arms)), layout='constrained')
    axes = fig.subplots(1, len(_MAIN), sharex=True, sharey=True)
    for axis, place in zip(axes, _MAIN):
        for offset, colour, (protocol, name) in zip((-0.17, 0.17), ('#0072b2', '#d55e00'), PROTOCOLS.items()):
            for y, arm in enumerate(arms):
                values = list(results.values(place, arm, protocol).values())
                if not values:
                    continue
                interval = t_interval(values)
                half = interval.high - interval.mean if len(values) > 2 else 0.  # of two runs it would be as wide as the panel
                axis.errorbar(interval.mean, y + offset, xerr=half, fmt='D', color=colour, markersize=6, capsize=3,
                              label=f'{name} encoders' if arm == arms[0] else None)
                axis.plot(values, np.full(len(values), y + offset), 'o', color=colour, alpha=0.35, markersize=4)
        found = results.interval(place, 'per_pixel', 'per-pixel')
        if found:
            axis.axvline(found[0].mean, color='#444', linestyle='--', linewidth=1, label='per pixel, no network')
        axis.set_title(dict(scene_test='other scenes (scene_test)', event2021='four other floods (event2021)')[place], fontsize=10)
        axis.set_xlabel('flood IoU, % (higher is better)')
        axis.grid(axis='x', alpha=0.3)
    axes[0].set_yticks(range(len(arms)), [results.label(arm) for arm in arms], fontsize=9)
    axes[0].set_ylim(len(arms) - 0.5, -0.5)  # the first at the top
    fig.suptitle('dots: a labelled subset each; diamonds: their mean; lines: its 95 % interval, from three subsets on', fontsize=9)
    fig.legend(*axes[0].get_legend_handles_labels(), loc='outside lower center', ncols=3, fontsize=9)
    return fig

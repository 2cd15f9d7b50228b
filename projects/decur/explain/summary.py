"""The end of an explanation: tables, pictures and the page from what the batches left."""
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from decur.evaluation.intervals import bootstrap_interval
from decur.modalities import band_names

from . import plots
from .files import load_npz, save_csv, save_figure, save_npz
from .folder import ANALYSES, Folder, Options
from .maps import scale_maps
from .report import Section, write_report

#: Statistics of two modalities' maps, per sample (:func:`~decur.explain.maps.saliency_statistics`).
_STATISTICS = ('agreement', 'others', 'correlation')


class Summary:
    """Numbers and pictures of a finished explanation.

    Args:
        folder: where the passes left their parts.
        options: settings of the explanation.
        entries: {modality: entry} of those that are explained.
        facts: what is explained, for the page.
        asked: samples that were asked for, with those that lack a modality.
    """

    def __init__(self, folder: Folder, options: Options, entries: Mapping, facts: Mapping, asked: int):
        self.folder, self.out, self.options, self.entries, self.facts, self.asked = folder, folder.path, options, entries, facts, asked

    def write(self) -> Path:
        """Write everything.

        Returns:
            Path: of ``index.html``.
        """
        writers = dict(alignment=self._alignment, tsne=self._tsne, spatial=self._spatial, spectral=self._spectral)
        sections = [section for name in ANALYSES if name in self.options.analyses for section in writers[name]()]
        used = len(np.concatenate(self.folder.gather('embeddings', ('ids', ))['ids']))
        samples = used if used == self.asked else f'{used} of {self.asked}, the others lack a modality'
        facts = dict(self.facts, modalities=', '.join(self.entries), samples=samples,
                     **{'batch size': self.options.batch_size, 'level': self.options.level})
        path = self.out / 'index.html'
        write_report(path, 'What is common and what is unique', facts, sections)
        return path

    def _alignment(self) -> list:
        gathered = self.folder.gather('embeddings', ('counts', 'outside', 'loss'))
        edges = np.linspace(0, 1, self.options.bins + 1)
        rows, table, pictures = [], [('pair', 'block', 'mean (diag(C) − 1)²', 'low', 'high', 'dimensions above 1')], []
        for a, b in combinations(self.entries, 2):
            counts = {key.split('/')[3]: np.stack(v) for key, v in gathered.items() if key.startswith(f'counts/{a}/{b}/')}
            if not counts:
                continue
            for block, values in counts.items():
                rows += [(a, b, batch, block, float(edges[k]), float(edges[k + 1]), int(values[batch, k]))
                         for batch in range(len(values)) for k in range(self.options.bins)]
                mean, low, high = bootstrap_interval(np.stack(gathered[f'loss/{a}/{b}/{block}']))
                outside = np.mean(gathered[f'outside/{a}/{b}/{block}'])
                table.append((f'{a} – {b}', block, f'{mean:.3f}', _number(low), _number(high), f'{outside:.1f}'))
            shown = min(4, self.folder.num_batches)
            name = f'alignment_{a}_{b}.png'
            save_figure(self.out / name, plots.plot_alignment(edges, counts, [f'{a} – {b}, batch {i + 1}' for i in range(shown)]))
            pictures.append(name)
        reading = ('Each dimension has a place between 0 (it agrees in both modalities) and 1 (it is uncorrelated). Those of negative '
                   'correlation lie above 1: the table counts them, the picture leaves them out. Chance alone moves an uncorrelated '
                   'dimension by about 2/√N around 1 in a batch of N samples.')
        if len({row[1] for row in table[1:]}) > 1:
            reading += ' A decoupled model has its common dimensions on the left and its unique ones on the right.'
        elif self.options.level == 'encoder':
            reading += ' Nothing trains the dimensions of encoders to agree one by one: they lie around 1.'
        if not pictures:
            return [Section('Cross-modal alignment', 'Left out: it needs two modalities with equally many dimensions.')]
        save_csv(self.out / 'alignment.csv', ('modality_a', 'modality_b', 'batch', 'block', 'from', 'to', 'dimensions'), rows)
        return [Section('Cross-modal alignment', reading, pictures, ['alignment.csv'], table)]

    def _tsne(self) -> list:
        path = self.out / 'tsne.npz'
        if not path.is_file():
            return [Section('t-SNE of dimensions', 'Left out: the modalities have different numbers of dimensions.')]
        result = load_npz(path)
        save_csv(self.out / 'tsne.csv', ('modality', 'block', 'dimension', 'x', 'y'), zip(
            result['modality'], result['block'], result['dimension'], *(result['points'][:, i].astype(float) for i in (0, 1))))
        save_figure(self.out / 'tsne.png', plots.plot_tsne(result['points'], result['modality'], result['block']))
        return [Section('t-SNE of dimensions',
                        'Each point is one dimension of one modality; points are near where dimensions vary together over a batch; axes '
                        'and distances between far groups mean nothing.' + (
                            ' Common dimensions of the modalities should lie together, unique ones apart by modality.'
                            if len(set(result['block'])) > 1 else ''), ['tsne.png'],
                        ['tsne.csv', 'tsne.npz'])]

    def _spatial(self) -> list:
        sections = []
        path = self.out / 'saliency_maps.npz'
        if path.is_file():
            shown = load_npz(path)
            pictures = {name: shown[f'image/{name}'] for name in self.entries}
            maps = {name: {key.split('/')[2]: scale_maps(m) for key, m in shown.items() if key.startswith(f'map/{name}/')}
                    for name in self.entries}
            signed = self.options.sign == 'signed'
            save_figure(self.out / 'saliency.png', plots.plot_overlays(pictures, maps, signed))
            reading = ('Every map is scaled by its largest value. ' +
                       ('Red places raise the mean of the block, blue ones lower it: both are where the block looks, and which is which '
                        'means little, since the sign of an embedding is arbitrary.' if signed else 'Red is where the block looks.'))
            if len(next(iter(maps.values()))) > 1:
                reading += ' Common dimensions should look at what both modalities show, unique ones at what only one shows.'
            sections.append(Section('Spatial saliency (Grad-CAM)', reading, ['saliency.png'], ['saliency_maps.npz']))
        ids = np.concatenate(self.folder.gather('saliency', ('ids', ))['ids'])
        gathered = {key: np.concatenate(v) for key, v in self.folder.gather('saliency', _STATISTICS).items()}
        if not gathered:
            sections.append(Section('Spatial saliency statistics', 'Left out: they need two modalities.'))
            return sections
        values, intervals, others = {measure: {} for measure in _STATISTICS}, {measure: {} for measure in _STATISTICS}, {}
        table = [('pair', 'block', 'norm(a₁) × norm(a₂)', 'different samples', 'above them', 'correlation')]
        for key in [key for key in gathered if key.startswith('agreement/')]:
            _, a, b, block = key.split('/')
            pair = f'{a} – {b}'
            sample = {measure: gathered[f'{measure}/{a}/{b}/{block}'] for measure in _STATISTICS}
            for measure in _STATISTICS:
                values[measure].setdefault(pair, {})[block] = sample[measure]
                intervals[measure].setdefault(pair, {})[block] = bootstrap_interval(sample[measure])
            others.setdefault(pair, {})[block] = float(sample['others'].mean())
            table.append((pair, block, *(_with_interval(interval) for interval in (
                intervals['agreement'][pair][block], intervals['others'][pair][block],
                bootstrap_interval(sample['agreement'] - sample['others']), intervals['correlation'][pair][block]))))
        headings = ['/'.join((*key.split('/')[1:], *key.split('/')[:1])).removesuffix('/agreement') for key in gathered]
        save_csv(self.out / 'spatial_agreement.csv', ('sample', *headings), zip(ids, *(v.astype(float) for v in gathered.values())))
        save_figure(self.out / 'spatial_agreement.png', plots.plot_agreement(values['agreement'], intervals['agreement'], others=others))
        save_figure(self.out / 'spatial_correlation.png', plots.plot_agreement(
            values['correlation'], intervals['correlation'], 'correlation of the maps over the pixels'))
        reading = ('Whether two modalities look at the same places. norm(a₁) × norm(a₂) also grows with how bright the maps are, so look '
                   'at what is above the dashed line, which is what maps of different samples give; the correlation of the two maps '
                   'does not grow with brightness. Intervals: 95 %, bootstrap.')
        if any(len(by_block) > 1 for by_block in others.values()):
            reading += ' Common dimensions should be above unique ones in both of these.'
        if self.options.sign == 'absolute':
            reading += (' With absolute maps all blocks agree where the pictures have their edges and objects: take signed maps to compare '
                        'blocks.')
        sections.append(Section('Spatial saliency statistics', reading, ['spatial_agreement.png', 'spatial_correlation.png'],
                                ['spatial_agreement.csv'], table))
        return sections

    def _spectral(self) -> list:
        gathered = {key: np.concatenate(v) for key, v in self.folder.gather('saliency', ('signed', 'magnitude', 'delta', 'change')).items()}
        rows, pictures = [], []
        for measure, ylabel in (('magnitude', 'mean |attribution|'), ('signed', 'mean attribution')):
            importance = {}
            for key, values in gathered.items():
                kind, name, block = key.split('/')
                if kind != measure:
                    continue
                bands = band_names(name, self.entries[name])
                intervals = {band: bootstrap_interval(values[:, c]) for c, band in enumerate(bands)}
                importance.setdefault(name, {})[block] = intervals
                rows += [(name, block, band, measure, *interval) for band, interval in intervals.items()]
            picture = f'spectral_{measure}.png'
            save_figure(self.out / picture, plots.plot_bands(importance, ylabel))
            pictures.append(picture)
        error, change = (np.concatenate([np.abs(v) for key, v in gathered.items() if key.startswith(f'{kind}/')])
                         for kind in ('delta', 'change'))
        save_csv(self.out / 'spectral.csv', ('modality', 'block', 'band', 'measure', 'mean', 'low', 'high'), rows)
        save_npz(self.out / 'spectral.npz', **gathered)
        return [Section('Spectral saliency (Integrated Gradients)',
                        'How much each band moves the mean of each block from where all bands are 0 after normalisation; bars: 95 % '
                        'bootstrap interval over samples. In the signed means opposite effects cancel, in the magnitudes they do not. '
                        'Compare bands within one block: a mean over more dimensions moves less. '
                        f'Attributions miss the change of the output by {100 * error.mean() / max(change.mean(), 1e-12):.1f} % on average '
                        '(completeness): more steps (--steps) make it smaller.', pictures, ['spectral.csv', 'spectral.npz'])]


def _with_interval(interval) -> str:
    """A mean with the ends of its interval."""
    return f'{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})'


def _number(value: float) -> str:
    """Three significant digits; a dash for an open end."""
    return '–' if np.isnan(value) else f'{value:.3g}'

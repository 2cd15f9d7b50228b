"""The whole of section D on a data set: in batches, in memory that does not grow, and going on where it was stopped.

A first pass over the data takes the embeddings: alignment histograms, the t-SNE of the first batch, and the statistics that
standardise. A second pass takes the saliency, spatial and spectral. Each batch of a pass leaves one small file in ``OUT/parts``; a
batch whose file is there is not computed again. The end reads the files and writes tables, pictures and ``index.html``.
"""
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from decur.datasets import multimodal_collate
from decur.errors import ConfigError, DataError
from decur.evaluation.intervals import bootstrap_interval
from decur.modalities import band_names
from decur.progress import Progress
from decur.visualization import modality_picture
from decur.writing import write_bytes

from . import plots
from .alignment import Moments, alignment_histogram, alignment_losses
from .files import load_npz, save_csv, save_figure, save_npz
from .gradcam import agreement_of_others, grad_cam, resize_maps, saliency_agreement, saliency_correlation, scale_maps
from .report import Section, write_report
from .representation import BlockMeans, blocks_of, represent
from .spectral import band_importance, integrated_gradients
from .tsne import tsne_of_dimensions

#: What can be asked for.
ANALYSES = ('alignment', 'tsne', 'spatial', 'spectral')
#: Of the files in ``parts``: they are not mixed with those of another.
_FORMAT = 2
#: What is measured of two modalities' maps, per sample.
_SPATIAL = dict(agreement=saliency_agreement, others=agreement_of_others, correlation=saliency_correlation)


@dataclass(frozen=True)
class Options:
    """Settings of an explanation.

    Attributes:
        analyses: some of :data:`ANALYSES`.
        level: ``embedding``, or ``encoder`` for models without projector.
        modalities: those that are explained; empty for all.
        num_samples: drawn from the data set without replacement; 0 for all.
        batch_size: samples at a time; the alignment histograms are of such batches.
        seed: of the draw and of t-SNE.
        bins: of the alignment histograms.
        perplexity: of t-SNE.
        max_dims: dimensions per modality in the t-SNE; 0 for all.
        layer: see :class:`~decur.explain.BlockMeans`; ``{}`` in it stands for the modality.
        sign: see :func:`~decur.explain.grad_cam`.
        steps: of the Integrated Gradients.
        overlays: samples whose saliency is drawn.
    """

    analyses: tuple = ANALYSES
    level: str = 'embedding'
    modalities: tuple = ()
    num_samples: int = 256
    batch_size: int = 64
    seed: int = 0
    bins: int = 50
    perplexity: float = 30.0
    max_dims: int = 2000
    layer: str = ''
    sign: str = 'signed'
    steps: int = 50
    overlays: int = 6


class Explanation:
    """An explanation of one model on one data set, in one folder.

    Args:
        model: a :class:`~decur.models.MultimodalPretraining`.
        dataset: gives ``dict(inputs={modality: (C, H, W)}, data_samples=...)``, one size per modality.
        out: the folder.
        options: settings.
        facts: what is explained, for the page and to recognise an earlier run (config, checkpoint, ...).
        num_workers: of the loader.
        progress: show progress bars.

    Raises:
        ConfigError: On an unknown modality or analysis, or if ``out`` holds an explanation with other settings.
        DataError: If there are fewer samples than asked for or needed.
    """

    def __init__(self, model: torch.nn.Module, dataset: Dataset, out: str | Path, options: Options | None = None,
                 facts: Mapping | None = None, num_workers: int = 0, progress: bool = True):
        self.model, self.dataset, self.out = model.eval(), dataset, Path(out)
        self.options, self.facts = options or Options(), dict(facts or {})
        self.num_workers, self.progress = num_workers, progress
        opt = self.options
        unknown = [name for name in opt.modalities if name not in model.modalities]
        if unknown:
            raise ConfigError(f'unknown modality {unknown}: this model has {list(model.modalities)}.')
        wrong = [name for name in opt.analyses if name not in ANALYSES]
        if wrong:
            raise ConfigError(f'unknown analyses {wrong}: choose from {ANALYSES}.')
        self.names = [name for name in model.modalities if not opt.modalities or name in opt.modalities]
        self.pairs = list(combinations(self.names, 2))
        self.device = next(model.parameters()).device
        available = len(dataset)
        if opt.num_samples > available:
            raise DataError(f'{opt.num_samples} samples were asked for, the data set has {available}: lower num_samples (--num-samples).')
        count = opt.num_samples or available
        if count < 4 or opt.batch_size < 4:
            raise DataError(f'standardising needs batches of at least 4 samples, got {count} samples in batches of {opt.batch_size}.')
        indices = np.random.default_rng(opt.seed).permutation(available)[:count]
        self.batches = [indices[i:i + opt.batch_size].tolist() for i in range(0, count, opt.batch_size)]
        if len(self.batches) > 1 and len(self.batches[-1]) < 4:  # too few to be standardised by themselves
            self.batches[-2:] = [self.batches[-2] + self.batches[-1]]
        self.parts = self.out / 'parts'
        self._start()

    # ------------------------------------------------------------------------------------------------ running
    def _start(self) -> None:
        """Make the folder, or recognise that it is this run's."""
        record = {**{key: str(value) for key, value in self.facts.items()}, **asdict(self.options)}
        record['format'] = _FORMAT
        record['samples'] = hashlib.sha256(json.dumps(self.batches).encode()).hexdigest()[:16]
        record = json.loads(json.dumps(record))  # tuples as lists, as they are read back
        path = self.out / 'explanation.json'
        if path.is_file():
            try:
                earlier = json.loads(path.read_text())
            except ValueError as error:
                raise DataError(f'{path} cannot be read: it is damaged. Delete {self.out} and run again.') from error
            differs = [key for key in {**earlier, **record} if earlier.get(key) != record.get(key)]
            if differs:
                raise ConfigError(f'{self.out} holds an explanation with other settings ({", ".join(differs)}): choose another folder '
                                  'or delete it.')
        else:
            self.parts.mkdir(parents=True, exist_ok=True)
            write_bytes(path, (json.dumps(record, indent=1) + '\n').encode())

    def run(self) -> Path:
        """Compute what is missing and write everything.

        Returns:
            Path: of ``index.html``.
        """
        saliency = {'spatial', 'spectral'} & set(self.options.analyses)
        if saliency or {'alignment', 'tsne'} & set(self.options.analyses):
            self._pass('embeddings', self._embed)
        if saliency:
            moments = self._moments()
            self._pass('saliency', lambda batch: self._saliency(batch, moments))
        return self._write()

    def _path(self, kind: str, index: int) -> Path:
        return self.parts / f'{kind}_{index:05d}.npz'

    def _pass(self, kind: str, compute) -> None:
        """Run ``compute`` on the batches that have no file yet."""
        todo = [i for i in range(len(self.batches)) if not self._path(kind, i).is_file()]
        if not todo:
            return
        if self.progress:
            print(f'{kind}: {len(todo)} of {len(self.batches)} batches to do')
        flat = [sample for i in todo for sample in self.batches[i]]
        sizes = [len(self.batches[i]) for i in todo]
        ends = np.cumsum(sizes)
        plan = [list(range(end - size, end)) for end, size in zip(ends, sizes)]
        loader = DataLoader(Subset(self.dataset, flat), batch_sampler=plan, num_workers=self.num_workers, collate_fn=multimodal_collate)
        with Progress(len(todo), kind) if self.progress else nullcontext() as progress:
            for index, batch in zip(todo, loader):
                save_npz(self._path(kind, index), **compute(self._clean(batch)))
                if progress:
                    progress.update()

    def _clean(self, batch: dict) -> dict:
        """Leave out samples that lack a modality; keep the raw images for pictures."""
        samples = batch['data_samples']
        complete = [all((getattr(s, 'present', None) or {}).get(name, True) for name in self.names) for s in samples]
        if sum(complete) < 2:
            raise DataError(f'of a batch of {len(samples)} samples only {sum(complete)} have all of {self.names}: explain fewer modalities '
                            '(--modalities) or use larger batches (--batch-size).')
        keep = torch.tensor(complete)
        raw = {name: x[keep] for name, x in batch['inputs'].items() if name in self.model.modalities}
        with torch.no_grad():
            inputs = self.model.data_preprocessor(dict(inputs=raw))['inputs']
        if not len(self.model.backbone.interactions):
            inputs = {name: inputs[name] for name in self.names}
        ids = [str(getattr(s, 'sample_id', i)) for i, (s, c) in enumerate(zip(samples, complete)) if c]
        return dict(raw=raw, inputs={name: x.to(self.device) for name, x in inputs.items()}, ids=ids)

    # ------------------------------------------------------------------------------------------------ the passes
    @torch.no_grad()
    def _embed(self, batch: dict) -> dict:
        z = represent(self.model, batch['inputs'], self.options.level)
        z = {name: z[name].float().cpu().numpy() for name in self.names}
        out = dict(ids=batch['ids'])
        for name, x in z.items():
            moments = Moments()
            moments.update(x)
            out[f'mean/{name}'], out[f'm2/{name}'], out['count'] = moments.mean, moments.m2, len(x)
        if 'alignment' in self.options.analyses:
            for a, b in self.pairs:
                if z[a].shape != z[b].shape:
                    continue
                losses, blocks = alignment_losses(z[a], z[b]), self.blocks(z[a].shape[1])
                histogram = alignment_histogram(losses, blocks, self.options.bins)
                for block, part in blocks.items():
                    out[f'counts/{a}/{b}/{block}'] = histogram['counts'][block]
                    out[f'outside/{a}/{b}/{block}'] = histogram['outside'][block]
                    out[f'loss/{a}/{b}/{block}'] = losses[part].mean()
        if 'tsne' in self.options.analyses and batch['ids'] and not (self.out / 'tsne.npz').is_file():
            dims = {x.shape[1] for x in z.values()}
            if len(dims) == 1:  # of the first batch that comes by
                save_npz(self.out / 'tsne.npz', **tsne_of_dimensions(
                    z, self.blocks(dims.pop()), self.options.perplexity, self.options.seed, self.options.max_dims or None))
        return out

    def blocks(self, dims: int) -> dict:
        """The blocks of the representation that is explained."""
        return blocks_of(self.model, dims, self.options.level)

    def _moments(self) -> dict:
        """Mean and standard deviation of every modality's representation over the data set."""
        moments = {name: Moments() for name in self.names}
        for i in range(len(self.batches)):
            part = load_npz(self._path('embeddings', i))
            for name in self.names:
                moments[name].merge(int(part['count']), part[f'mean/{name}'], part[f'm2/{name}'])
        return {name: (m.mean, m.std) for name, m in moments.items()}

    def _saliency(self, batch: dict, moments: Mapping) -> dict:
        out, maps = dict(ids=batch['ids']), {}
        size = tuple(batch['inputs'][self.names[0]].shape[-2:])
        for name in self.names:
            mean, std = moments[name]
            others = {k: x for k, x in batch['inputs'].items() if k != name} if len(self.model.backbone.interactions) else None
            means = BlockMeans(self.model, name, self.blocks(len(mean)), mean, std, self.options.level, others,
                               self.options.layer.format(name) or None)
            x = batch['inputs'][name]
            if 'spatial' in self.options.analyses:
                maps[name] = grad_cam(means, x, sign=self.options.sign)
            if 'spectral' in self.options.analyses:
                for block, result in integrated_gradients(means, x, steps=self.options.steps).items():
                    for key, value in band_importance(result['attributions']).items():
                        out[f'{key}/{name}/{block}'] = value
                    out[f'delta/{name}/{block}'] = result['delta']
                    out[f'change/{name}/{block}'] = result['attributions'].sum(axis=(1, 2, 3), dtype=np.float64) - result['delta']
        if maps:
            resized = {name: {block: resize_maps(m, size) for block, m in by_block.items()} for name, by_block in maps.items()}
            for a, b in self.pairs:
                for block in [block for block in resized[a] if block in resized[b]]:
                    for key, measure in _SPATIAL.items():
                        out[f'{key}/{a}/{b}/{block}'] = measure(resized[a][block], resized[b][block])
            if self.options.overlays and not (self.out / 'saliency_maps.npz').is_file():
                shown = slice(0, self.options.overlays)
                arrays = {f'map/{name}/{block}': m[shown] for name, by_block in maps.items() for block, m in by_block.items()}
                for name in self.names:
                    images = batch['raw'][name][shown].cpu().numpy().transpose(0, 2, 3, 1)
                    arrays[f'image/{name}'] = np.stack([modality_picture(x, name, self.model.modalities[name]) for x in images])
                save_npz(self.out / 'saliency_maps.npz', ids=batch['ids'][shown], **arrays)
        return out

    # ------------------------------------------------------------------------------------------------ writing
    def _gather(self, kind: str, prefixes: Sequence[str]) -> dict:
        """``{key: list of one array per batch}`` of the keys that start with one of the prefixes."""
        out = {}
        for i in range(len(self.batches)):
            for key, value in load_npz(self._path(kind, i)).items():
                if key.split('/')[0] in prefixes:
                    out.setdefault(key, []).append(value)
        return out

    def _write(self) -> Path:
        writers = dict(alignment=self._write_alignment, tsne=self._write_tsne, spatial=self._write_spatial, spectral=self._write_spectral)
        sections = [section for name in ANALYSES if name in self.options.analyses for section in writers[name]()]
        asked, used = sum(len(b) for b in self.batches), len(np.concatenate(self._gather('embeddings', ('ids', ))['ids']))
        samples = asked if asked == used else f'{used} of {asked}, the others lack a modality'
        facts = dict(self.facts, modalities=', '.join(self.names), samples=samples,
                     **{'batch size': self.options.batch_size, 'level': self.options.level})
        path = self.out / 'index.html'
        write_report(path, 'What is common and what is unique', facts, sections)
        return path

    def _write_alignment(self) -> list:
        gathered = self._gather('embeddings', ('counts', 'outside', 'loss'))
        edges = np.linspace(0, 1, self.options.bins + 1)
        rows, table, pictures = [], [('pair', 'block', 'mean (diag(C) − 1)²', 'low', 'high', 'dimensions above 1')], []
        for a, b in self.pairs:
            counts = {key.split('/')[3]: np.stack(v) for key, v in gathered.items() if key.startswith(f'counts/{a}/{b}/')}
            if not counts:
                continue
            for block, values in counts.items():
                rows += [(a, b, batch, block, float(edges[k]), float(edges[k + 1]), int(values[batch, k]))
                         for batch in range(len(values)) for k in range(self.options.bins)]
                mean, low, high = bootstrap_interval(np.stack(gathered[f'loss/{a}/{b}/{block}']))
                outside = np.mean(gathered[f'outside/{a}/{b}/{block}'])
                table.append((f'{a} – {b}', block, f'{mean:.3f}', _number(low), _number(high), f'{outside:.1f}'))
            shown = min(4, len(self.batches))
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

    def _write_tsne(self) -> list:
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

    def _write_spatial(self) -> list:
        sections = []
        path = self.out / 'saliency_maps.npz'
        if path.is_file():
            shown = load_npz(path)
            pictures = {name: shown[f'image/{name}'] for name in self.names}
            maps = {name: {key.split('/')[2]: scale_maps(m) for key, m in shown.items() if key.startswith(f'map/{name}/')}
                    for name in self.names}
            signed = self.options.sign == 'signed'
            save_figure(self.out / 'saliency.png', plots.plot_overlays(pictures, maps, signed))
            reading = ('Every map is scaled by its largest value. ' +
                       ('Red places raise the mean of the block, blue ones lower it: both are where the block looks, and which is which '
                        'means little, since the sign of an embedding is arbitrary.' if signed else 'Red is where the block looks.'))
            if len(next(iter(maps.values()))) > 1:
                reading += ' Common dimensions should look at what both modalities show, unique ones at what only one shows.'
            sections.append(Section('Spatial saliency (Grad-CAM)', reading, ['saliency.png'], ['saliency_maps.npz']))
        ids = np.concatenate(self._gather('saliency', ('ids', ))['ids'])
        gathered = {key: np.concatenate(v) for key, v in self._gather('saliency', tuple(_SPATIAL)).items()}
        if not gathered:
            sections.append(Section('Spatial saliency statistics', 'Left out: they need two modalities.'))
            return sections
        values, intervals, others = {measure: {} for measure in _SPATIAL}, {measure: {} for measure in _SPATIAL}, {}
        table = [('pair', 'block', 'norm(a₁) × norm(a₂)', 'different samples', 'above them', 'correlation')]
        for key in [key for key in gathered if key.startswith('agreement/')]:
            _, a, b, block = key.split('/')
            pair = f'{a} – {b}'
            sample = {measure: gathered[f'{measure}/{a}/{b}/{block}'] for measure in _SPATIAL}
            for measure in _SPATIAL:
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

    def _write_spectral(self) -> list:
        gathered = {key: np.concatenate(v) for key, v in self._gather('saliency', ('signed', 'magnitude', 'delta', 'change')).items()}
        rows, pictures = [], []
        for measure, ylabel in (('magnitude', 'mean |attribution|'), ('signed', 'mean attribution')):
            importance = {}
            for key, values in gathered.items():
                kind, name, block = key.split('/')
                if kind != measure:
                    continue
                bands = band_names(name, self.model.modalities[name])
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

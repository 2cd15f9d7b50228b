"""The whole of section D on a data set: in batches, in memory that does not grow, and going on where it was stopped.

A first pass over the data takes the embeddings: alignment histograms, the t-SNE of the first batch, and the statistics that
standardize. A second pass takes the saliency, spatial and spectral. Each batch of a pass leaves one small file in ``OUT/parts``; a
batch whose file is there is not computed again. The end (:mod:`~decur.explain.summary`) reads the files and writes tables, pictures and
``index.html``.
"""
import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from decur.datasets import SharedCollate, multimodal_collate
from decur.errors import ConfigError, DataError
from decur.modalities import check_finite_rows, check_names
from decur.progress import Progress
from decur.visualization import modality_picture

from .alignment import Moments, alignment_histogram, alignment_losses
from .files import load_npz, save_npz
from .folder import Folder, Options
from .gradcam import grad_cam
from .maps import resize_maps, saliency_statistics
from .representation import BlockMeans, blocks_of, check_layer, represent
from .spectral import band_importance, integrated_gradients
from .summary import Summary
from .tsne import tsne_of_dimensions


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
        ConfigError: On an unknown modality or layer, or if ``out`` holds an explanation with other settings.
        DataError: If there are fewer samples than asked for or needed.
    """

    def __init__(self, model: torch.nn.Module, dataset: Dataset, out: str | Path, options: Options | None = None,
                 facts: Mapping | None = None, num_workers: int = 0, progress: bool = True):
        self.model, self.dataset, self.out = model.eval(), dataset, Path(out)
        self.options, self.facts = options or Options(), dict(facts or {})
        self.num_workers, self.progress = num_workers, progress
        opt = self.options
        check_names(opt.modalities, model.modalities)
        self.names = [name for name in model.modalities if not opt.modalities or name in opt.modalities]
        for name in self.names if opt.layer else ():
            check_layer(model, opt.layer.replace('{}', name))
        if num_workers < 0:
            raise ConfigError(f'num_workers must be at least 0, got {num_workers}.')
        self.pairs = list(combinations(self.names, 2))
        self.device = next(model.parameters()).device
        available = len(dataset)
        if opt.num_samples > available:
            raise DataError(f'{opt.num_samples} samples were asked for, the data set has {available}: lower num_samples (--num-samples; '
                            '0 takes all).')
        count = opt.num_samples or available
        if count < 4:
            raise DataError(f'standardizing needs at least 4 samples, got {count}.')
        indices = np.random.default_rng(opt.seed).permutation(available)[:count]
        self.batches = [indices[i:i + opt.batch_size].tolist() for i in range(0, count, opt.batch_size)]
        if len(self.batches) > 1 and len(self.batches[-1]) < 4:  # too few to be standardized by themselves
            self.batches[-2:] = [self.batches[-2] + self.batches[-1]]
        record = {**{key: str(value) for key, value in self.facts.items()}, **asdict(opt)}
        record['samples'] = hashlib.sha256(json.dumps(self.batches).encode()).hexdigest()[:16]
        self.folder = Folder(self.out, record, len(self.batches))

    def run(self) -> Path:
        """Compute what is missing and write everything.

        Returns:
            Path: of ``index.html``.
        """
        self._pass('embeddings', self._embed, self.out / 'tsne.npz' if 'tsne' in self.options.analyses else None)
        if {'spatial', 'spectral'} & set(self.options.analyses):
            moments = self._moments()
            drawn = self.out / 'saliency_maps.npz' if 'spatial' in self.options.analyses and self.options.overlays else None
            self._pass('saliency', lambda batch: self._saliency(batch, moments), drawn)
        asked = sum(map(len, self.batches))
        entries = {name: self.model.modalities[name] for name in self.names}
        return Summary(self.folder, self.options, entries, self.facts, asked).write()

    def _pass(self, kind: str, compute, of_first: Path | None = None) -> None:
        """Run ``compute`` on the batches that have no file yet, and on the first one where the file that it alone makes is missing."""
        todo = self.folder.missing(kind)
        if of_first and not of_first.is_file():
            todo = sorted({0, *todo})
        if not todo:
            return
        if self.progress:
            print(f'{kind}: {len(todo)} of {len(self.batches)} batches to do')
        loader = DataLoader(self.dataset, batch_sampler=[self.batches[i] for i in todo], num_workers=self.num_workers,
                            collate_fn=SharedCollate(multimodal_collate))
        with Progress(len(todo), kind) if self.progress else nullcontext() as progress:
            for index, batch in zip(todo, loader):
                save_npz(self.folder.part(kind, index), **compute(self._clean(batch)))
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
        for name, x in z.items():
            check_finite_rows(f'the {self.options.level}s of modality {name!r}', x, batch['ids'], 'samples of a batch')
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
            part = load_npz(self.folder.part('embeddings', i))
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
                               self.options.layer.replace('{}', name) or None)
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
            by_block = {block: saliency_statistics({name: m[block] for name, m in resized.items() if block in m})
                        for block in dict.fromkeys(block for m in resized.values() for block in m)}
            for a, b in self.pairs:
                for block, statistics in by_block.items():
                    out.update({f'{key}/{a}/{b}/{block}': values for key, values in statistics.get((a, b), {}).items()})
            if self.options.overlays and not (self.out / 'saliency_maps.npz').is_file():
                shown = slice(0, self.options.overlays)
                arrays = {f'map/{name}/{block}': m[shown] for name, by_block in maps.items() for block, m in by_block.items()}
                for name in self.names:
                    images = batch['raw'][name][shown].cpu().numpy().transpose(0, 2, 3, 1)
                    arrays[f'image/{name}'] = np.stack([modality_picture(x, name, self.model.modalities[name]) for x in images])
                save_npz(self.out / 'saliency_maps.npz', ids=batch['ids'][shown], **arrays)
        return out

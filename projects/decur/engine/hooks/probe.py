"""Watch pretraining learn: kNN and a linear probe on a labelled set every n epochs, as validation metrics."""
from collections.abc import Mapping

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError, DataError
from decur.evaluation.probes import knn_scores, linear_scores, score
from decur.models.objectives.gather import gather_rows


class ProbeLoop(BaseLoop):
    """A validation loop that fits probes on frozen features; :class:`ProbeHook` installs it and describes its arguments."""

    def __init__(self, runner, dataloader, train_dataloader, methods, k, temperature, l2, max_iter):
        super().__init__(runner, dataloader)
        self.train_dataloader = train_dataloader
        if isinstance(train_dataloader, Mapping):
            self.train_dataloader = runner.build_dataloader(train_dataloader, seed=runner.seed)
        self.methods, self.k, self.temperature, self.l2, self.max_iter = methods, k, temperature, l2, max_iter

    def run(self) -> dict:
        """Evaluate, with the hooks of a validation epoch, so that logging and ``save_best`` take the metrics.

        Returns:
            dict[str, float]: Percentages by ``probe/<method>_<acc or mAP>`` and ``..._<modality>``.
        """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        train, test = self._features(self.train_dataloader), self._features(self.dataloader)
        metrics = self._evaluate(train, test)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    def _evaluate(self, train: dict, test: dict) -> dict:
        multilabel = train['multilabel']
        # Class indices of both sets, so that a class that one of them lacks does not shift the others.
        classes = max(train['targets'].shape[1], test['targets'].shape[1])
        targets, truth = (F.pad(x['targets'], (0, classes - x['targets'].shape[1])) for x in (train, test))
        metric = 'mAP' if multilabel else 'acc'
        names = list(train['features'])
        metrics = {}
        subsets = {'': names, **({f'_{name}': [name] for name in names} if len(names) > 1 else {})}
        for suffix, subset in subsets.items():
            rows = [torch.stack([x['present'][name] for name in subset]).all(0) for x in (train, test)]
            (xa, ya), (xb, yb) = ((torch.cat([x['features'][name] for name in subset], 1)[keep], y[keep])
                                  for x, y, keep in ((train, targets, rows[0]), (test, truth, rows[1])))
            if not len(xa) or not len(xb):
                raise DataError(f'the probe has {len(xa)} training and {len(xb)} test samples with {subset}: it needs some of both.')
            for method in self.methods:
                if method == 'knn':
                    scores = knn_scores(xa, ya, xb, self.k, self.temperature)
                else:
                    scores = linear_scores(xa, ya, xb, multilabel, self.l2, self.max_iter)
                metrics[f'probe/{method}_{metric}{suffix}'] = score(scores, yb, multilabel)
        return metrics

    @torch.no_grad()
    def _features(self, loader) -> dict:
        """Pooled features, masks and targets of a labelled set, from all processes."""
        model = self.runner.model.module if is_model_wrapper(self.runner.model) else self.runner.model
        features, present, labels, scores = {}, {}, [], []
        for batch in loader:
            batch = model.data_preprocessor(batch, False)
            for name, x in model.extract_feat(batch['inputs']).items():
                features.setdefault(name, []).append(x.float())
                have = [bool((getattr(s, 'present', None) or {}).get(name, True)) for s in batch['data_samples']]
                present.setdefault(name, []).append(torch.tensor(have, device=x.device))
            for sample in batch['data_samples']:
                if 'gt_score' in sample:
                    scores.append(sample.gt_score)
                elif 'gt_label' in sample:
                    labels.append(int(sample.gt_label))
                else:
                    name = getattr(sample, 'sample_id', '?')
                    raise DataError(f'the probe needs labels: sample {name!r} has neither gt_label nor gt_score.')
        if not features:
            raise DataError(f'the probe\'s dataset {type(loader.dataset).__name__} is empty.')
        device = next(iter(features.values()))[0].device
        targets = torch.stack(scores).to(device) if scores else torch.tensor(labels, device=device)
        out = dict(
            features={name: self._gather(torch.cat(x)) for name, x in features.items()},
            present={name: self._gather(torch.cat(x)) for name, x in present.items()},
            targets=self._gather(targets),
            multilabel=bool(scores))
        if not scores:
            out['targets'] = F.one_hot(out['targets'])
        return out

    @staticmethod
    def _gather(x: Tensor) -> Tensor:
        if get_world_size() == 1:
            return x
        own = torch.tensor([len(x)], device=x.device)
        counts = [torch.empty_like(own) for _ in range(get_world_size())]
        dist.all_gather(counts, own)
        return gather_rows(x, [int(c) for c in counts])


@HOOKS.register_module()
class ProbeHook(Hook):
    """Evaluate the encoders' pooled features on a labelled multimodal set every ``interval`` epochs (or iterations).

    It makes the probe the run's validation, so the metrics are logged as such and checkpoint selection can use them:
    ``default_hooks=dict(checkpoint=dict(save_best='probe/linear_acc'))``. Metrics, in percent, by method: ``probe/knn_acc`` and
    ``probe/linear_acc`` (top-1; ``_mAP`` for multi-label sets) of all modalities' features concatenated, and the same with
    ``_<modality>`` behind for each alone.

    Args:
        train_dataloader (dict): The labelled set that probes are fitted on; its pipeline ends in
            :class:`~decur.transforms.PackModalities` without views. Every sample has ``gt_label`` or multi-hot ``gt_score``.
        test_dataloader (dict): The set that is predicted.
        interval (int): Defaults to 1.
        methods (Sequence[str]): Of ``'knn'`` and ``'linear'``. Defaults to both.
        k (int): Neighbours. Defaults to 20.
        temperature (float): Of the neighbours' votes. Defaults to 0.07.
        l2 (float): Of the linear probe. Defaults to 1e-4.
        max_iter (int): L-BFGS steps of the linear probe. Defaults to 100.

    Raises:
        ConfigError: If a method is unknown, or the run has another validation.
    """

    priority = 'VERY_HIGH'

    def __init__(self,
                 train_dataloader: dict,
                 test_dataloader: dict,
                 interval: int = 1,
                 methods=('knn', 'linear'),
                 k: int = 20,
                 temperature: float = 0.07,
                 l2: float = 1e-4,
                 max_iter: int = 100):
        unknown = sorted(set(methods) - {'knn', 'linear'})
        if unknown or not methods:
            raise ConfigError(f"ProbeHook: methods must be of 'knn' and 'linear', got {list(methods)}.")
        self.loaders = []
        for loader in (test_dataloader, train_dataloader):
            sampler = dict(loader.get('sampler') or dict(type='DefaultSampler', shuffle=False))
            if sampler['type'] == 'DefaultSampler':
                # Each process takes its share; samples repeated to make shares equal would count twice.
                sampler.setdefault('round_up', False)
            self.loaders.append(dict(loader, sampler=sampler))
        self.interval = interval
        self.options = dict(methods=tuple(methods), k=k, temperature=temperature, l2=l2, max_iter=max_iter)

    def before_run(self, runner) -> None:
        """Install the loop."""
        if runner._train_loop is None or isinstance(runner._train_loop, dict):
            return  # not a training run
        if runner._val_loop is not None:
            raise ConfigError('ProbeHook is the run\'s validation: remove val_dataloader, val_cfg and val_evaluator, or the hook.')
        runner._val_loop = ProbeLoop(runner, *self.loaders, **self.options)
        loop = runner.train_loop
        loop.val_begin, loop.val_interval = 1, self.interval
        loop.dynamic_milestones, loop.dynamic_intervals = calc_dynamic_intervals(self.interval, None)

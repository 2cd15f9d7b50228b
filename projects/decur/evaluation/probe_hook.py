"""Watch pretraining learn: kNN and a linear probe on a labelled set every n epochs, as validation metrics."""
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals

from decur.errors import ConfigError
from decur.evaluation.probes import check_neighbours, knn_scores, labelled_features, linear_scores, modality_subsets, score
from decur.weights.strict import inner_model


class ProbeLoop(BaseLoop):
    """A validation loop that fits probes on frozen features, with the settings of the :class:`ProbeHook` that installs it."""

    def __init__(self, runner, hook):
        super().__init__(runner, hook.test_dataloader)
        self.train_dataloader, self.hook = runner.build_dataloader(hook.train_dataloader, seed=runner.seed), hook

    def run(self) -> dict:
        """Evaluate, with the hooks of a validation epoch, so that logging and ``save_best`` take the metrics.

        Returns:
            dict[str, float]: Percentages by ``probe/<method>_<acc or mAP>`` and ``..._<modality>``.
        """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        model = inner_model(self.runner.model)
        train, test = labelled_features(model, self.train_dataloader), labelled_features(model, self.dataloader)
        metrics = self._evaluate(train, test)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    def _evaluate(self, train: dict, test: dict) -> dict:
        multilabel = train['multilabel']
        metric = 'mAP' if multilabel else 'acc'
        metrics = {}
        for subset, (xa, ya), (xb, yb) in modality_subsets(train, test):
            suffix = '' if len(subset) == len(train['features']) else f'_{subset[0]}'
            for method in self.hook.methods:
                if method == 'knn':
                    scores = knn_scores(xa, ya, xb, self.hook.k, self.hook.temperature)
                else:
                    scores = linear_scores(xa, ya, xb, multilabel, self.hook.l2, self.hook.max_iter)
                metrics[f'probe/{method}_{metric}{suffix}'] = score(scores, yb, multilabel)
        return metrics


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
        ConfigError: If a method is unknown, a setting has no meaning, or the run has another validation.
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
        if 'knn' in methods:
            check_neighbours(k, temperature)
        if interval < 1 or max_iter < 1 or not l2 >= 0:
            raise ConfigError(f'ProbeHook: interval and max_iter must be at least 1 and l2 at least 0, got interval={interval}, '
                              f'max_iter={max_iter}, l2={l2}.')
        self.train_dataloader, self.test_dataloader = _each_once(train_dataloader), _each_once(test_dataloader)
        self.interval, self.methods = interval, tuple(methods)
        self.k, self.temperature, self.l2, self.max_iter = k, temperature, l2, max_iter

    def before_run(self, runner) -> None:
        """Install the loop."""
        if runner._train_loop is None or isinstance(runner._train_loop, dict):
            return  # not a training run
        if runner._val_loop is not None:
            raise ConfigError('ProbeHook is the run\'s validation: remove val_dataloader, val_cfg and val_evaluator, or the hook.')
        runner._val_loop = ProbeLoop(runner, self)
        loop = runner.train_loop
        loop.val_begin, loop.val_interval = 1, self.interval
        loop.dynamic_milestones, loop.dynamic_intervals = calc_dynamic_intervals(self.interval, None)


def _each_once(loader: dict) -> dict:
    """A data loader whose processes share the samples; some repeated to make shares equal would count twice."""
    sampler = dict(loader.get('sampler') or dict(type='DefaultSampler', shuffle=False))
    if sampler['type'] == 'DefaultSampler':
        sampler.setdefault('round_up', False)
    return dict(loader, sampler=sampler)

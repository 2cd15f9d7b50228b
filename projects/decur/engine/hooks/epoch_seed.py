"""Torch's random draws (dropout, stochastic depth) as a function of (seed, rank, iteration), so that a resumed run repeats them."""
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed torch's generators at the start of every epoch, which is for the data loader, and before every iteration.

    MMEngine seeds once, at the start of the process, so a resumed run would draw the first iterations' numbers again. Data are seeded per
    sample by the samplers of :mod:`decur.engine.samplers` and do not depend on this hook.
    """

    @staticmethod
    def _seed(runner, step: int) -> None:
        torch.manual_seed((runner.seed * 1_000_003 + step) * 1_009 + get_rank())

    def before_train_epoch(self, runner) -> None:
        """Seed by epoch."""
        self._seed(runner, runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed by iteration."""
        self._seed(runner, runner.iter)

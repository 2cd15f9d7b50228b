"""Training by epochs that can go on in the middle of one."""
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from ..errors import ConfigError


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's training by epochs, which after resuming starts with the batch that comes next.

    The checkpoint says how many batches of the running epoch it has seen. They are skipped in the sampler, so nothing is read for them.
    :class:`~decur.engine.MultimodalRunner` uses it in place of ``EpochBasedTrainLoop``, whose arguments it takes.
    """

    _skipped = 0
    _began = 0

    def batches_done(self, iteration: int) -> int:
        """Batches of the running epoch that had been used when ``iteration`` iterations of the run were over."""
        return iteration - self._began

    def skip_batches(self, count: int) -> None:
        """Start the next epoch with batch ``count``.

        Args:
            count (int): From 0 to the batches of an epoch.

        Raises:
            ConfigError: If the data loader's sampler cannot start in the middle of an epoch.
        """
        if count and not hasattr(self.dataloader.sampler, 'skip'):
            kind = type(self.dataloader.sampler).__name__
            raise ConfigError(f'the checkpoint was written in the middle of an epoch, and the sampler {kind} always starts at its '
                              'beginning: use EpochSampler, or resume from an epoch_N.pth.')
        self._skipped = count

    def run_epoch(self) -> None:
        """One epoch, or what is left of it."""
        start, self._skipped = self._skipped, 0
        self._began = self._iter - start
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        if start:
            self.dataloader.sampler.skip(start * self.dataloader.batch_size)
        for index, data_batch in enumerate(self.dataloader, start):
            self.run_iter(index, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

"""Checkpoints of a run that may be killed at any time."""
import os
import signal
import threading
import time
from pathlib import Path

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from ...errors import ConfigError, Stopped
from ...gathering import any_process
from ...writing import write_bytes

#: The state between two regular checkpoints; each one replaces the one before.
RECENT = 'recent.pth'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's checkpoints, so that a run loses at most ``minutes`` of work, whatever happens to it.

    - Between regular checkpoints the state is written to ``recent.pth`` when the last writing is ``minutes`` ago, in the middle of an
      epoch too. The next regular checkpoint takes its place.
    - On SIGTERM (what schedulers send before they end a job) the running iteration is finished in all processes, ``recent.pth`` is
      written, and the run ends with :class:`~decur.errors.Stopped`. A second SIGTERM ends it at once.
    - An old checkpoint is removed only when the new one is whole, and ``last_checkpoint`` is replaced at once.

    ``--resume`` goes on from any of these files as if the run had not been interrupted.

    Args:
        *args: As MMEngine's ``CheckpointHook``.
        minutes (float): Time after which the state is written between regular checkpoints; 0 for never. Defaults to 10.
        **kwargs: As MMEngine's ``CheckpointHook``.

    Raises:
        ConfigError: If ``minutes`` is negative.
    """

    def __init__(self, *args, minutes: float = 10., **kwargs):
        super().__init__(*args, **kwargs)
        if not minutes >= 0:
            raise ConfigError(f'SafeCheckpointHook: minutes must not be negative, got {minutes}.')
        self.minutes = minutes
        self._written = time.monotonic()
        self._asked = False
        self._before = None

    def before_train(self, runner) -> None:
        """Find out where checkpoints go, and listen to SIGTERM."""
        super().before_train(runner)
        self._written = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, signum, frame) -> None:
        if self._asked:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        self._asked = True

    def after_train(self, runner) -> None:
        """Give SIGTERM back."""
        self._listen_no_more()
        super().after_train(runner)

    def _listen_no_more(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Write what is due, and end the run if that was asked for."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        # Gradients that are still being accumulated are in no checkpoint.
        if not getattr(runner.optim_wrapper, 'should_update', lambda: True)():
            return
        if any_process(self._asked):
            self._save_recent(runner)
            self._listen_no_more()
            path = Path(self.out_dir) / RECENT
            raise Stopped(f'ended by SIGTERM after iteration {runner.iter + 1}; the state is in {path}, --resume goes on from it.'
                          if is_main_process() else '')
        if self.minutes and is_main_process() and time.monotonic() - self._written >= 60 * self.minutes:
            self._save_recent(runner)

    def _save_recent(self, runner) -> None:
        runner.save_checkpoint(
            self.out_dir, RECENT, self.file_client_args, save_optimizer=True, save_param_scheduler=True,
            meta=dict(epoch=runner.epoch, iter=runner.iter + 1), by_epoch=False, backend_args=self.backend_args)
        self._note_last(runner, self.file_backend.join_path(self.out_dir, RECENT))

    @master_only
    def _note_last(self, runner, path: str) -> None:
        write_bytes(Path(runner.work_dir) / 'last_checkpoint', path.encode(), durable=True)
        self._written = time.monotonic()

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        outdated = []
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            outdated = list(self.keep_ckpt_ids)[:len(self.keep_ckpt_ids) + 1 - self.max_keep_ckpts]
            self.keep_ckpt_ids.append(step)  # a deque of that length: it drops the first one itself
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch, backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        self._note_last(runner, self.last_ckpt)
        for path in (RECENT, *(self.filename_tmpl.format(number) for number in outdated)):
            path = self.file_backend.join_path(self.out_dir, path)
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)

"""Processes that load data while a run is asked to end."""
import os
import signal
import threading
from collections.abc import Callable

#: Seconds between two looks whether the parent is there.
LOOK = 2


class HeedParentOnly:
    """A ``worker_init_fn`` for data loaders: SIGTERM ends the worker only if its own parent sends it.

    Launchers and schedulers send SIGTERM to all processes of a run. A worker that obeyed would leave the training without data before it
    has finished its iteration and saved its state (:class:`~decur.engine.hooks.checkpoint.SafeCheckpointHook`). The training itself ends
    its workers with the same signal. Where the parent was killed, a worker ends within seconds, also if it waits for somebody to take a
    batch.

    Args:
        inner (Callable, optional): The ``worker_init_fn`` that there was.
    """

    def __init__(self, inner: Callable | None = None):
        self.inner = inner

    def __call__(self, worker_id: int) -> None:
        """Called in the worker."""
        # Blocked in all threads, the signal waits for the one that can ask who sent it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_heed_parent, args=(os.getppid(), ), daemon=True).start()
        if self.inner is not None:
            self.inner(worker_id)


def _heed_parent(parent: int) -> None:
    while os.getppid() == parent:
        signalled = signal.sigtimedwait({signal.SIGTERM}, LOOK)
        if signalled is not None and signalled.si_pid == parent:
            break
    os._exit(0)

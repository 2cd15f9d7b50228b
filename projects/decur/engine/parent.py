"""A process of a distributed run ends when the launcher that started it is gone."""
import ctypes
import os
import signal
import sys
import threading
import time

#: Of Linux's prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Kill this process when its parent process ends in whatever way.

    A launcher that is killed (``kill -9``) cannot end its processes: they would train on, and write checkpoints into a folder where
    the same run may have been resumed already. On Linux the kernel sends SIGKILL; elsewhere a thread looks once a second.
    """
    if sys.platform == 'linux' and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()

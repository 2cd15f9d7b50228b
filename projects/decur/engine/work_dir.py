"""The work directory of a training: one run at a time, and nothing left over from a run that was killed."""
import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

from ..errors import ConfigError
from ..writing import remove_leftovers

#: Says who trains here; the operating system's lock on it, not its presence, is what counts.
LOCK = '.lock'
#: Open files of the locks that this process holds: closing one gives its lock back.
_held = {}


def lock_work_dir(path: str | Path) -> None:
    """Refuse to train in a folder where another process trains, and keep others out until this process ends.

    A lock ends with its process, however that ends, so none can be stale. In a distributed run the first process takes it for all.
    Temporary files of a run that was killed while it wrote are removed.

    Args:
        path (str | Path): The work directory; made if need be.

    Raises:
        ConfigError: In all processes, if another run has the lock, or the folder cannot be written.
    """
    problem = [None]
    if is_main_process():
        problem = [_lock(Path(path))]
    broadcast_object_list(problem)
    if problem[0]:
        raise ConfigError(problem[0])


def _lock(path: Path) -> str | None:
    """Take the lock; what stands in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        key = str(path.resolve())
        if key in _held:
            return None
        file = open(path / LOCK, 'a+', encoding='utf-8')
    except OSError as error:
        return f'the work directory {path} cannot be written ({error.strerror}); choose another one with --work-dir.'
    try:
        # A POSIX lock: unlike flock's it is not inherited by the processes that load data, and it works over NFS.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.seek(0)
            owner = file.read().strip() or 'another process'
            file.close()
            return (f'another run trains in {path} ({owner}): two would overwrite each other\'s checkpoints. Wait for it, end it, or '
                    'choose another folder with --work-dir.')
        # A file system without locks: the runs are as safe as MMEngine's.
        file.close()
        return None
    file.seek(0)
    file.truncate()
    file.write(f'pid {os.getpid()} on {socket.gethostname()}, since {time.strftime("%Y-%m-%d %H:%M:%S")}\n')
    file.flush()
    _held[key] = file
    remove_leftovers(path)
    return None

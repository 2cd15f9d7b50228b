"""The errors that bad input raises, and the one line with which a command line ends. Each message names the thing and says what to do."""
import errno
import io
import json
import logging
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class ConfigError(ValueError):
    """A config asks for something that cannot be (an unknown modality, a wrong size)."""


class DataError(ValueError):
    """A file or a sample is not what the config says (missing, truncated, wrong band count)."""


class DataWarning(UserWarning):
    """A file is read, but what it says of itself or holds is odd. ``warnings.simplefilter('error', DataWarning)`` makes it an error."""


class WeightsError(ValueError):
    """A checkpoint does not fit, is damaged, or holds something that is not weights."""


class Stopped(Exception):
    """A run ended because it was asked to (SIGTERM), with its state saved."""


def closest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `` (did you mean 'optical'?).``, or a full stop where nothing is close."""
    found = get_close_matches(str(name), [str(k) for k in known if str(k) != str(name)], n=1)
    return f' (did you mean {found[0]!r}?).' if found else '.'


def check_choice(name: str, value, known: Iterable):
    """Return an option's value, which must be among those that are known.

    Raises:
        ConfigError: Names the option, the known values and the given one.
    """
    known = list(known)
    if value not in known:
        *others, last = map(repr, known)
        raise ConfigError(f'{name} must be {", ".join(others)}{" or " if others else ""}{last}, got {value!r}'
                          f'{closest(value, known)}')
    return value


def some(names: Iterable, limit: int = 3) -> str:
    """The first few names, and how many more there are: ``a, b, c and 5 more``."""
    names = [str(name) for name in names]
    return ', '.join(names[:limit]) + (f' and {len(names) - limit} more' if len(names) > limit else '')


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough for a message of ours: its type and its first line."""
    text = str(error).strip()
    return f'{type(error).__name__}: {text.splitlines()[0][:200]}' if text else type(error).__name__


@contextmanager
def exit_on_bad_input() -> Iterator:
    """What a command line wraps its work in: it ends with one line on standard error, without a traceback.

    Bad input, an operating system's refusal (a folder that may not be written, a full disk) and memory that does not suffice end with
    status 1, Ctrl-C with 130, SIGTERM in training with 143. Anything else is a fault of the program and keeps its traceback, as all errors
    do with the environment variable ``DECUR_TRACEBACK=1``. Under torchrun the line goes to the file in which torchrun looks for the reason
    of a failure, and the launcher (``tools/torchrun.py``) prints it last.
    """
    try:
        yield
    except BaseException as error:
        error = _stop_behind(error)
        ending = _ending(error)
        if ending is None:
            raise
        if os.environ.get('DECUR_TRACEBACK') == '1':
            traceback.print_exc()
        else:  # objects that the error left half made complain when they are taken away, with a traceback below the line
            sys.unraisablehook = lambda unraisable: None
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would interrupt the ending with a traceback
        message, status = ending
        sys.stdout.flush()
        # A stop is no failure, so torchrun would not pass its line on.
        if message and (isinstance(error, Stopped) or not _record_for_torchrun(message)):
            print(message, file=sys.stderr, flush=True)
        sys.exit(status)


#: PyTorch's signal handler raises this wherever the main process is.
_KILLED_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)')


def _stop_behind(error: BaseException) -> BaseException:
    """The Ctrl-C, the stop or the killed worker that an error came from, or the error itself.

    Libraries catch everything in places and raise an error of their own instead, as MMEngine does where it formats a config.
    """
    cause, clear = error, isinstance(error, ConfigError | DataError | WeightsError)
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt | Stopped):
            return cause
        if not clear and isinstance(cause, RuntimeError) and _KILLED_WORKER.search(str(cause)):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _ending(error: BaseException) -> tuple | None:
    """The line and the status with which an error ends a command, or None for a fault of the program."""
    if isinstance(error, KeyboardInterrupt):
        return 'interrupted', 128 + signal.SIGINT
    if isinstance(error, Stopped):
        return str(error), 128 + signal.SIGTERM
    text = _text(error)
    return None if text is None else (f'error: {one_line(text)}', 1)


def _text(error: BaseException) -> str | None:
    text = str(error)
    if isinstance(error, ConfigError | DataError | WeightsError | FloatingPointError):
        return _of_worker(error, text)
    if isinstance(error, OSError) and (error.strerror or error.filename):
        reason = error.strerror or type(error).__name__
        path = error.filename if error.filename is not None else _file_in_use(error)
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        cure = ' Free some space and run the same command again; a training goes on with --resume.' if full else ''
        return (f'{reason}.' if path is None else f'{path}: {reason}.') + cure
    if isinstance(error, RuntimeError):
        killed = _KILLED_WORKER.search(text)
        if killed:
            return (f'a process that loads data (pid {killed[1].strip()}) was killed, most often because memory ran out: lower the '
                    'num_workers or the batch_size of the data loader. A training goes on with --resume.')
        if 'RANK' in os.environ and (type(error).__name__ == 'DistBackendError' or re.search(r'closed by peer|reset by peer|gloo', text)):
            return f'another process of the run ended, or its connection was lost ({first_line(error)}).'
        if type(error).__name__ == 'OutOfMemoryError':
            return f'{text.splitlines()[0]} Lower the batch_size of the data loader, or use --amp.'
    return None


def _file_in_use(error: OSError) -> str | None:
    """The file that the code which raised had open: the error of a write does not name it."""
    places = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(place.endswith(os.path.join('multiprocessing', 'synchronize.py')) for place in places):
        return '/dev/shm (shared memory, which processes that load data need: num_workers=0 does without)'
    values = [value for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]
    paths = [getattr(value, 'baseFilename', None) or getattr(value, 'name', None) for value in values
             if isinstance(value, io.IOBase | logging.FileHandler)]
    return next((path for path in reversed(paths) if isinstance(path, str)), None)


def _of_worker(error: BaseException, text: str) -> str:
    """The message without the traceback that PyTorch puts before it where the error comes from a process of a data loader."""
    if not text.startswith(f'Caught {type(error).__name__} in '):
        return text
    name = f'{type(error).__module__}.{type(error).__qualname__}: '.removeprefix('builtins.')
    return text.rpartition('\n' + name)[2] if '\n' + name in text else text.splitlines()[-1]


def one_line(text: str) -> str:
    """A text on one line."""
    return ' '.join(line.strip() for line in text.splitlines() if line.strip())


def _record_for_torchrun(message: str) -> bool:
    """Write the line to the file from which torchrun takes the reason of a failure; False where there is none."""
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if not path:
        return False
    extra = dict(py_callstack=traceback.format_exc(), timestamp=str(int(time.time())))
    try:
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(dict(message=dict(message=message, extraInfo=extra)), file)
    except OSError:
        return False
    return True

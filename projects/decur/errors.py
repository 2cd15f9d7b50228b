"""The errors that bad input raises. Each message names the thing and says what to do."""
import sys
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


def closest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `` (did you mean 'optical'?).``, or a full stop where nothing is close."""
    found = get_close_matches(str(name), [str(k) for k in known if str(k) != str(name)], n=1)
    return f' (did you mean {found[0]!r}?).' if found else '.'


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough for a message of ours: its type and its first line."""
    text = str(error).strip()
    return f'{type(error).__name__}: {text.splitlines()[0][:200]}' if text else type(error).__name__


@contextmanager
def exit_on_bad_input() -> Iterator:
    """What a command line wraps its work in: bad input ends the program with its message and status 1, without a traceback."""
    try:
        yield
    except (ConfigError, DataError, WeightsError) as error:
        sys.exit(f'error: {error}')

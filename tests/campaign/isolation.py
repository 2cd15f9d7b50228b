"""Run something that may crash, hang or take all memory in a process of its own, and say how it ended."""
import contextlib
import json
import os
import resource
import select
import signal
import time
from dataclasses import dataclass

from decur.errors import ConfigError, DataError, WeightsError

CLEAR = (ConfigError, DataError, WeightsError)


@dataclass
class Outcome:
    """How a call ended.

    Attributes:
        status (str): ``returned``, ``clear`` (one of the project's errors on one line), ``lines`` (one of more lines), ``bare`` (any other
            exception), ``memory``, ``hung`` or ``died``.
        detail (str): What was returned, or the message.
        seconds (float): Wall-clock time.
        peak (int): Largest resident size above that at its start, bytes.
    """

    status: str
    detail: str
    seconds: float
    peak: int


def resident() -> int:
    """Resident bytes of this process."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def call(function, seconds: float = 60, memory: int = 4 << 30, file_size: int | None = None) -> Outcome:
    """Call a function without arguments in a fork of this process.

    Args:
        function (Callable): Returns a string that tells its result.
        seconds (float): It is killed after these.
        memory (int): Bytes of address space it may take beyond those of this process.
        file_size (int, optional): Bytes of the largest file that it may write.
    """
    start = time.monotonic()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(function, write_end, memory, file_size)
    os.close(write_end)
    pieces = []
    while True:
        left = seconds - (time.monotonic() - start)
        ready = select.select([read_end], [], [], max(left, 0))[0]
        data = os.read(read_end, 1 << 16) if ready else b''
        if not data:
            break
        pieces.append(data)
    hung = not ready
    if hung:
        os.kill(pid, signal.SIGKILL)
    os.close(read_end)
    _, code, usage = os.wait4(pid, 0)
    took, lines = time.monotonic() - start, b''.join(pieces).splitlines()
    peak = usage.ru_maxrss * 1024 - (int(lines[0]) if lines else 0)
    if hung:
        return Outcome('hung', f'killed after {seconds} s', took, peak)
    if len(lines) < 2:
        return Outcome('died', f'ended with status {os.waitstatus_to_exitcode(code)} and no word', took, peak)
    return Outcome(*json.loads(lines[1]), took, peak)


def _child(function, write_end: int, memory: int, file_size: int | None) -> None:
    """Never returns."""
    try:
        os.write(write_end, f'{resident()}\n'.encode())
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        with open('/proc/self/statm') as file:
            virtual = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + memory, virtual + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if file_size is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        try:
            answer = 'returned', str(function())
        except MemoryError as error:
            answer = 'memory', f'MemoryError: {error}'
        except CLEAR as error:
            answer = 'clear' if '\n' not in str(error) else 'lines', f'{type(error).__name__}: {error}'
        except BaseException as error:
            answer = 'bare', f'{type(error).__name__}: {error}'
        with contextlib.suppress(OSError):
            os.write(write_end, json.dumps(answer).encode())
    finally:
        os._exit(0)

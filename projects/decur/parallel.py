"""Work in other processes: jobs in parallel, with results in order and few in memory; and reading what may end its reader."""
import faulthandler
import multiprocessing
import os
import resource
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path

import cv2

from decur.errors import DataError
from decur.progress import Progress

#: What a worker process calls, set when it starts.
_function: Callable | None = None


def _start_worker(function: Callable) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the main one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose main process was killed would wait for its next job for ever."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _call(job):
    return _function(job)


def parallel_map(function: Callable, jobs: Iterable, workers: int = 1, apart: bool = False) -> Iterator:
    """``map`` in ``workers`` processes; with one, it runs here unless it must be ``apart``.

    Jobs are taken a few ahead of the results, so a long stream of large jobs is not piled up in memory. If ``jobs`` raises a
    :class:`DataError`, the results of those before it still come.

    Args:
        function: Need not be importable: the processes are forked.
        jobs: What it is called with, one by one; can be pickled.
        workers: Processes.
        apart: Use a process of its own for one worker too, since a damaged or hostile file may end its reader.

    Yields:
        The results, in the order of the jobs.

    Raises:
        DataError: If a process is killed.
    """
    if workers <= 1 and not apart:
        yield from map(function, jobs)
        return
    # Forked, since importing everything again takes longer than a small data set. OpenCV's own threads end before: a forked process
    # has none of them and would wait for them for ever, even in cv2.setNumThreads.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    executor = ProcessPoolExecutor(max(workers, 1), multiprocessing.get_context('fork'), _start_worker, (function, ))
    waiting: deque = deque()
    failure = None
    jobs = iter(jobs)
    try:
        while True:
            try:
                job = next(jobs)
            except StopIteration:
                break
            except DataError as error:
                failure = error
                break
            waiting.append(executor.submit(_call, job))  # the first one starts all processes
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    except BrokenProcessPool as error:
        raise DataError('a worker process was killed, probably because the memory ran out, or by a file that is damaged. Run the same '
                        'command again: it goes on; fewer --workers need less memory.') from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)


def run_jobs(function: Callable, jobs: Iterable, workers: int = 1, title: str = '') -> list:
    """``[function(job) for job in jobs]`` in ``workers`` processes, with a display of progress and of the time left.

    Raises:
        DataError: If a process is killed.
    """
    jobs = list(jobs)
    results: list = []
    if jobs:
        with Progress(len(jobs), title) as progress:
            for result in parallel_map(function, jobs, workers):
                results.append(result)
                progress.update()
    return results


def isolated(function: Callable, name: str, memory: int = 2 << 30):
    """What ``function()`` returns, called in a process of its own: a damaged or hostile file may end that one, not this.

    Args:
        function: Reads a file; need not be importable. What it returns is pickled.
        name: The file, for errors.
        memory: Bytes that the process may take more than this one has. Defaults to 2 GiB.

    Raises:
        DataError: If the process dies, or with the text of the error that ``function`` raises.
    """
    context = multiprocessing.get_context('fork')
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(send, function, name, memory), daemon=True)
    process.start()
    send.close()
    try:
        good, value = receive.recv()
    except EOFError:
        good, value = False, f'{name} is damaged: the process that read it died. Download or make it again.'
    finally:
        receive.close()
        process.join()
    if not good:
        raise DataError(value)
    return value


def _answer(send, function: Callable, name: str, memory: int) -> None:
    faulthandler.disable()  # the one line comes from the process that waits
    try:
        try:
            used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
        except (OSError, ValueError):  # not Linux, or a lower limit is set
            pass
        send.send((True, function()))
    except DataError as error:
        send.send((False, str(error)))
    except (Exception, MemoryError) as error:  # parsers of files raise whatever they stumble over
        text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        send.send((False, f'{name} cannot be read ({text}). It is probably truncated or damaged: download or make it again.'))

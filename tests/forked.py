"""Python programs run in forks of a server that has imported the package: a clean interpreter, without the seconds that imports take.

The server is multiprocessing's own; it is started with the first program and does nothing but fork, so no test's state reaches another.
What depends on the start of an interpreter is run as a command of its own (``helpers.run_tool(..., fresh=True)``).
"""
import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

_PRELOAD = ['decur', 'decur.cli', 'decur.explain.run', 'decur.prepare.releases', 'pandas', 'scipy.stats', 'sklearn.linear_model']


def _context():
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_PRELOAD)
    return context


def run_processes(function, args: tuple, count: int) -> None:
    """``function(rank, *args)`` in ``count`` processes, each a fork; as ``torch.multiprocessing.spawn``, an error in one is raised here."""
    import torch.multiprocessing
    _context()
    torch.multiprocessing.start_processes(function, args, count, start_method='forkserver')


def run_program(program: list | str, cwd: Path, environment: dict, timeout: float) -> subprocess.CompletedProcess:
    """What a file with arguments, or code, writes and ends with, run as ``python FILE ARGUMENT ...`` or ``python -c CODE``.

    Raises:
        subprocess.TimeoutExpired: After ``timeout`` seconds; the program and the processes that it started are killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ('stdout', 'stderr')]
        process = _context().Process(target=_run, args=(program, outputs, str(cwd), environment), name='MainProcess')
        process.start()
        try:
            process.join(timeout)
            if process.is_alive():
                raise subprocess.TimeoutExpired(program, timeout, *(path.read_bytes() for path in outputs if path.exists()))
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
        return subprocess.CompletedProcess(program, process.exitcode, *(path.read_text(errors='replace') for path in outputs))


def _run(program: list | str, outputs: list, cwd: str, environment: dict) -> None:
    """In the fork."""
    os.setsid()
    multiprocessing.set_start_method('fork', force=True)  # the usual one; multiprocessing hands that of the server on
    for number, path in enumerate(outputs, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = os.fdopen(1, 'w', closefd=False), os.fdopen(2, 'w', buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    warnings.simplefilter('ignore')
    if isinstance(program, str):
        sys.argv = ['-c']
        exec(compile(program, '<string>', 'exec'), dict(__name__='__main__'))
    else:
        sys.argv = list(program)
        sys.path.insert(0, os.path.dirname(os.path.abspath(program[0])))
        runpy.run_path(program[0], run_name='__main__')

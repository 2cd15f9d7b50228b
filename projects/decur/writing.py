"""Writing files that appear whole or not at all; for data sets also parallel jobs with progress and a record of what was asked for."""
import contextlib
import json
import multiprocessing
import os
from pathlib import Path

import cv2

from decur.errors import ConfigError, DataError
from decur.progress import Progress

#: The record of what a folder holds.
RECORD = 'dataset.json'


@contextlib.contextmanager
def replacing(path):
    """A place beside ``path`` to write to, which becomes ``path`` at once when the block ends well and goes when it raises.

    A reader, or a run after a kill, sees the whole file (before that the old one, if there was one) or none.

    Args:
        path (str | Path): In a folder that exists.

    Yields:
        Path: In the same folder, so that the rename is atomic; nothing is there yet.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:  # a full disk, Ctrl-C
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path, data):
    """Write ``data`` to ``path`` at once (:func:`replacing`)."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_png(path, image, compression=3):
    """Write ``image`` ((H, W) or (H, W, 3) in RGB order, uint8 or uint16) as PNG, at once."""
    image = image[..., ::-1] if image.ndim == 3 else image
    ok, data = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    if not ok:
        raise DataError(f'{path}: cannot encode an image of shape {image.shape} and type {image.dtype} as PNG')
    write_bytes(path, data.tobytes())


def write_json(path, value):
    """Write ``value`` as JSON, at once."""
    write_bytes(path, (json.dumps(value, indent=1) + '\n').encode())


def start_record(out, record):
    """Note in ``out`` (made if need be) what is written there, and refuse to mix two data sets in a folder.

    Args:
        out (Path): The folder.
        record (dict): What every file depends on: what it is, the version of what makes it, seed, size, ... (JSON values).

    Raises:
        ConfigError: ``out`` is a file, or holds a data set that was made with another ``record``, or other files.
    """
    path = out / RECORD
    if out.exists() and not out.is_dir():
        raise ConfigError(f'{out} is a file; give a folder to write to')
    if path.exists():
        found = json.loads(path.read_text())
        if found != record:
            different = {key: (found.get(key), record.get(key)) for key in {*found, *record} if found.get(key) != record.get(key)}
            raise ConfigError(f'{out} holds a data set that was made with other settings (there, asked for now): {different}; '
                              'choose another folder or delete this one')
        # What a killed run was in the middle of.
        for leftover in out.rglob('.*.tmp'):
            leftover.unlink()
    else:
        if out.is_dir() and any(out.iterdir()):
            raise ConfigError(f'{out} is not empty and holds no {RECORD}; choose an empty or a new folder')
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, record)


def _one_thread():
    cv2.setNumThreads(1)


def run_jobs(function, jobs, workers=1, title=''):
    """``[function(job) for job in jobs]`` in ``workers`` processes, with a display of progress and of the time left.

    ``function`` must be importable (module level, or a :func:`functools.partial` of such). With one worker it runs here.
    """
    jobs = list(jobs)
    if title:
        print(f'{title}: {len(jobs)} to do', flush=True)
    if not jobs:
        return []
    results: list = []

    def collect(stream):
        with Progress(len(jobs)) as progress:
            for result in stream:
                results.append(result)
                progress.update()

    if workers <= 1:
        collect(map(function, jobs))
    else:
        # Forked, since nothing here has started a thread yet and importing everything again takes longer than a small data set.
        with multiprocessing.get_context('fork').Pool(workers, initializer=_one_thread) as pool:
            collect(pool.imap(function, jobs, chunksize=max(1, min(8, len(jobs) // (4 * workers)))))
            pool.close()
            pool.join()
    return results

"""Atomic writes: a file appears whole or not at all."""
import contextlib
import csv
import io
import json
import os
import re
import socket
import time
from pathlib import Path

import cv2

from decur.errors import DataError, first_line

#: ``.NAME.PID@HOST.tmp``, or ``.NAME.PID.tmp`` as earlier versions called them.
_TEMPORARY = re.compile(r'\.(?P<name>.+)\.(?P<pid>\d+)(@(?P<host>.*))?\.tmp')
_HOST = re.sub(r'[^A-Za-z0-9-]', '-', socket.gethostname())[:60]
#: Seconds after which a temporary file of another machine is taken for one that nobody writes any more.
_ABANDONED = 24 * 3600


class WriteError(DataError, OSError):
    """A file that cannot be written: a full disk, a limit, no permission. What was there before is whole."""


@contextlib.contextmanager
def naming(path):
    """Errors of the operating system while ``path`` is written become a :class:`WriteError` that names it.

    Raises:
        WriteError: With the system's own words (``No space left on device``, ``Permission denied``, ...) and its ``errno``.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raised = WriteError(f'{path} cannot be written ({error.strerror or error}). What was there before is whole.')
        raised.errno = error.errno
        raise raised from error


@contextlib.contextmanager
def replacing(path, durable=False):
    """A temporary path beside ``path``: renamed to ``path`` when the block ends, removed when it raises.

    A reader, or a run after a kill, sees the whole file (before that the old one, if there was one) or none.

    Args:
        path (str | Path): In a folder that exists.
        durable (bool): Wait until the disk has the file, so that it is whole after a power cut too; for files that hours of work are in.
            Defaults to False: after a power cut (not after a kill) a file may be empty, depending on the file system.

    Yields:
        Path: In the same folder, so that the rename is atomic; nothing is there yet.

    Raises:
        WriteError: If it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name[:150]}.{os.getpid()}@{_HOST}.tmp')
    with naming(path):
        try:
            yield temporary
            if durable:
                _flush(temporary)
            os.replace(temporary, path)
            if durable:
                _flush(path.parent)
        except BaseException:  # a full disk, Ctrl-C
            with contextlib.suppress(OSError):  # a folder that is gone or may not be written
                temporary.unlink(missing_ok=True)
            raise


def _flush(path):
    """Wait until the disk has what was written to a file, or the names in a folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_bytes(path, data, durable=False):
    """Write ``data`` to ``path`` atomically (:func:`replacing`)."""
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


def encode_png(image, name='', compression=3):
    """``image`` ((H, W) or (H, W, 3) in RGB order, uint8 or uint16) as the bytes of a PNG file; ``name`` is for the error."""
    if image.size == 0 or image.dtype not in ('uint8', 'uint16') or image.ndim not in (2, 3):  # OpenCV would round other types to 8 bits
        raise DataError(f'{name}: cannot encode an image of shape {image.shape} and type {image.dtype} as PNG')
    return cv2.imencode('.png', image[..., ::-1] if image.ndim == 3 else image, [cv2.IMWRITE_PNG_COMPRESSION, compression])[1].tobytes()


def write_png(path, image, compression=3):
    """Write ``image`` as PNG (:func:`encode_png`), atomically."""
    write_bytes(path, encode_png(image, path, compression))


def write_csv(path, columns, rows):
    """Write ``rows``, dicts of ``columns``, as CSV below a line with the columns' names, atomically."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, out.getvalue().encode())


def write_json(path, value):
    """Write ``value`` as JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=1) + '\n').encode())


def _without_twins(pairs):
    """A JSON object; of a name that is there twice, the last value would be kept without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f'{next(name for name in names if names.count(name) > 1)!r} is there twice')
    return found


def read_json(path, cure=''):
    """The JSON object that a file holds; ``cure`` is the last sentence of the error.

    Raises:
        DataError: If the file cannot be read, or holds no object.
    """
    try:
        found = json.loads(Path(path).read_bytes(), object_pairs_hook=_without_twins)
        problem = None if isinstance(found, dict) else f'expected an object, got {type(found).__name__}'
    except OSError as error:
        raise DataError(f'{path} cannot be read ({error.strerror}). {cure}'.rstrip()) from error
    except (ValueError, RecursionError) as error:  # truncated, another encoding, nested without end
        problem = first_line(error)
    if problem:
        raise DataError(f'{path} is damaged ({problem}). {cure}'.rstrip())
    return found


def sample_path(folder, sample_id, suffix='.png'):
    """Where the file of a sample goes: its whole name and the suffix, in sub-folders where the name has them.

    Two samples never share a file: ``a.b`` and ``a.c``, ``x/a`` and ``y/a`` are different files. The folder is made.

    Args:
        folder (str | Path): Of all samples.
        sample_id (str): For example ``'site1/2019.05 north'``.
        suffix (str): Of the file.

    Returns:
        Path: ``folder/site1/2019.05 north.png``.

    Raises:
        DataError: If the name leads out of the folder, or is no name of a file.
        WriteError: If the folder cannot be made.
    """
    sample_id = str(sample_id)
    parts = sample_id.split('/')
    if not all(parts) or {'.', '..'} & set(parts) or '\0' in sample_id or '\\' in sample_id:
        raise DataError(f'sample {sample_id!r} cannot be the name of a file in {folder}.')
    path = Path(folder, f'{sample_id}{suffix}')
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def check_writable(folder):
    """Check that files can be written to ``folder``, or that it can be made, before long work begins. Nothing is written.

    Raises:
        WriteError: If not.
    """
    folder = Path(folder).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise WriteError(f'{there} is a file; give a folder to write to.')
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(f'{folder} cannot be written (Permission denied). Choose another folder, or change the permissions of {there}.')


def output_folder(folder):
    """Make ``folder`` if need be, check that it can be written, and remove what a killed run left half-written there.

    Returns:
        Path: The folder.

    Raises:
        WriteError: If it cannot be made or written, or is a file.
    """
    folder = Path(folder)
    check_writable(folder)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    return folder


def remove_leftovers(folder):
    """Remove the temporary files of :func:`replacing` in a folder whose writers were killed; those of running processes stay.

    A file of a process on another machine (the folder may be shared) stays for a day.
    """
    with os.scandir(folder) as entries:
        found = [(entry.path, match) for entry in entries if (match := _TEMPORARY.fullmatch(entry.name))]
    for path, match in found:
        with contextlib.suppress(OSError):  # another run may be doing the same, or the folder may be read-only
            written = os.stat(path).st_mtime
            elsewhere = match['host'] is not None and match['host'] != _HOST
            if time.time() - written > _ABANDONED if elsewhere else not _writes(int(match['pid']), written):
                os.unlink(path)


def _writes(pid, written):
    """Whether the process ``pid`` runs and ran when a file was written: process ids are used again."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        pass
    try:
        state, *rest = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
        if state in 'ZX':  # killed, and its parent has not asked for its status: it writes no more
            return False
        ticks = int(rest[18])
        booted = next(int(line.split()[1]) for line in Path('/proc/stat').read_text().splitlines() if line.startswith('btime'))
    except (OSError, ValueError, IndexError, StopIteration):  # not Linux
        return True
    return booted + ticks / os.sysconf('SC_CLK_TCK') <= written + 2  # the boot time is in whole seconds

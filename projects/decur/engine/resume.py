"""Which checkpoint a run can go on from."""
from collections.abc import Mapping
from pathlib import Path

from ..errors import WeightsError
from ..weights import load_file
from .loops import ResumableEpochLoop

#: What a checkpoint must hold for a run to go on from it.
_STATE = ('meta', 'state_dict', 'message_hub', 'optimizer')


def newest_checkpoint(work_dir: str | Path) -> tuple:
    """The checkpoint of a work directory with the most iterations among those that can be read whole.

    Args:
        work_dir (str | Path): Where a run wrote ``epoch_N.pth``, ``iter_N.pth``, ``recent.pth`` or ``last_good_iter_N.pth``; files
            without the state of a training (``best_*.pth``) are passed over.

    Returns:
        tuple[str | None, dict | None, list[str]]: The path, what the file holds, and what is wrong with files that should come first;
        ``(None, None, [])`` if the run has written no checkpoint yet.

    Raises:
        WeightsError: If there are checkpoints, and none can be read.
    """
    work_dir, found, problems = Path(work_dir), [], []
    for path in _candidates(work_dir):
        try:
            checkpoint = load_file(path, mmap=True)
            if all(key in checkpoint for key in _STATE):
                found.append((checkpoint['meta']['iter'], path.stat().st_mtime, path))
        except (WeightsError, KeyError, TypeError) as error:
            problems.append((path, error))
        except FileNotFoundError:  # a link to nowhere
            continue
    skipped = [str(error) for _, error in problems]
    for _, _, path in sorted(found, reverse=True):
        try:
            return str(path), load_file(path), skipped
        except WeightsError as error:
            skipped.append(str(error))
    if skipped:
        raise WeightsError(f'--resume: none of the {len(skipped)} checkpoints in {work_dir} can be read (the first: {skipped[0]}) '
                           'Remove them to start from the beginning.')
    return None, None, []


def _candidates(work_dir: Path) -> list:
    """Checkpoint files, also those in another folder that the run wrote last."""
    paths = {path.resolve(): path for path in sorted(work_dir.glob('*.pth'))}
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        name = note.read_text(encoding='utf-8', errors='replace').strip()
        if name and '\0' not in name and Path(name).is_file():
            paths.setdefault(Path(name).resolve(), Path(name))
    return list(paths.values())


def check_resumable(checkpoint: Mapping, source, loop) -> None:
    """Raise unless a run can go on from a checkpoint.

    Args:
        checkpoint (dict): What the file holds.
        source (str | Path): The file, named in errors.
        loop (BaseLoop): The training loop of the run.

    Raises:
        WeightsError: If the file has weights alone, or was written in the middle of an epoch that has other batches in this run.
    """
    meta = checkpoint.get('meta')
    missing = [key for key in _STATE if key not in checkpoint]
    missing += [f'meta.{key}' for key in ('epoch', 'iter') if not isinstance(meta, Mapping) or key not in meta]
    if missing:
        raise WeightsError(f'{source} holds weights, but no state of a training ({", ".join(missing)} missing): a run cannot go on from '
                           'it. To start a run from these weights, give load_from=FILE instead of --resume.')
    done, of = batches_done(meta, loop)
    if done and of != len(loop.dataloader):
        raise WeightsError(f'{source} was written after batch {done} of an epoch of {of}, but an epoch of this run has '
                           f'{len(loop.dataloader)} batches: resume with the data, the batch size and the number of processes that it was '
                           'started with, or from the end of an epoch (epoch_N.pth).')


def batches_done(meta: Mapping, loop) -> tuple:
    """How many batches of its running epoch a checkpoint has seen (0 at an epoch's end), and how many that epoch had."""
    if not isinstance(loop, ResumableEpochLoop):
        return 0, None
    length = len(loop.dataloader)
    if 'batches_done' in meta:
        return meta['batches_done'], meta['batches_per_epoch']
    # Written before this was noted; only last_good_iter_N.pth was written in the middle of an epoch.
    done = meta['iter'] - meta['epoch'] * length
    return (done, length) if 0 < done < length else (0, None)

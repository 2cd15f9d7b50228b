"""HHA images of a folder of depth files that were prepared elsewhere."""
from collections import Counter
from functools import partial
from pathlib import Path

from decur.datasets.finding import file_names
from decur.errors import DataError
from decur.hha import check_intrinsics, depth_to_hha
from decur.parallel import run_jobs
from decur.readers.depth import DepthReader, read_intrinsics
from decur.writing import output_folder, write_png


def _hha_of(path, out, raw, cameras, unit, rotated):
    target = out / f'{path.stem}.png'
    if target.exists():
        return False
    reader = DepthReader(unit=unit, rotated=rotated or (None if unit is None else False))
    filled_from = None if raw is None else reader.metres(raw / path.name)
    depth = reader.metres(path)
    try:
        hha = depth_to_hha(depth, cameras[path.stem] if isinstance(cameras, dict) else cameras, filled_from)
    except DataError as error:
        raise DataError(f'{path}: {error}') from error
    write_png(target, hha)
    return True


def make_hha(root, depth='depth', out='hha', raw=None, intrinsics=None, unit=None, rotated=False, workers=1):
    """Make the HHA of every depth file in ``root/depth``; goes on where it was stopped.

    Args:
        root (str | Path): Folder of the data set.
        depth (str): Its folder of depth files (16-bit PNG, or ``.npy`` in metres).
        out (str): The folder to write ``<stem>.png`` to.
        raw (str, optional): Folder of depth before filling, same names; its missing pixels are left out of the fits.
        intrinsics (Sequence[float] | str, optional): fx, fy, cx, cy of all images, or a JSON file in ``root``. Defaults to
            ``intrinsics.json`` in ``root``.
        unit (float, optional): File values per metre. Defaults to 1000 (millimetres), which the values must fit.
        rotated (bool): Bits rotated as in SUN-RGBD's original files.
        workers (int): Processes.

    Returns:
        int: How many were made now.

    Raises:
        DataError: No depth files, no intrinsics, a folder that cannot be written, or a file that is no metric depth (named).
    """
    root = Path(root)
    if not (root / depth).is_dir():
        raise DataError(f'{root / depth} is not a folder; say where the depth files are (--depth).')
    files = [root / depth / name for name in file_names(root / depth) if name.lower().endswith(('.png', '.npy'))]
    if not files:
        raise DataError(f'{root / depth} has no .png or .npy files.')
    twice = [stem for stem, count in Counter(p.stem for p in files).items() if count > 1]
    if twice:
        raise DataError(f'{root / depth} has several files {twice[0]!r} that differ only in their suffix; leave one of them.')
    if raw is not None:
        absent = [p.name for p in files if not (root / raw / p.name).is_file()]
        if absent:
            raise DataError(f'{root / raw} lacks {len(absent)} of {len(files)} files, for example {absent[0]}.')
    if intrinsics is None or isinstance(intrinsics, str):
        cameras = read_intrinsics(root / (intrinsics or 'intrinsics.json'))
    else:
        cameras = check_intrinsics(intrinsics)
    unknown = [p for p in files if p.stem not in cameras] if isinstance(cameras, dict) else []
    if unknown:
        raise DataError(f'{unknown[0]} has no entry in the intrinsics file (nor have {len(unknown) - 1} others). Add "{unknown[0].stem}": '
                        '[fx, fy, cx, cy].')
    output_folder(root / out)
    job = partial(_hha_of, out=root / out, raw=None if raw is None else root / raw, cameras=cameras, unit=unit, rotated=rotated)
    return sum(run_jobs(job, files, workers, f'HHA in {root / out}'))

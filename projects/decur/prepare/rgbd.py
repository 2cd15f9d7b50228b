"""What preparing any RGB-D data set shares: write, go on, check.

The result is the layout ``prepared`` of :class:`decur.datasets.RGBDDataset`: ``OUT/{rgb,depth,depth_raw,hha,label}/<stem>``,
``OUT/intrinsics.json``, ``OUT/train.txt`` and ``OUT/test.txt``. Depth is uint16 millimetres, 0 missing.
"""
import json
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from decur.errors import ConfigError, DataError
from decur.hha import PLAUSIBLE_DEPTH, depth_to_hha
from decur.readers.files import PillowReader
from decur.writing import run_jobs, start_record, write_bytes, write_json, write_png

VERSION = 1


def to_millimetres(depth):
    """Metres (H, W), 0 or NaN missing, to uint16 millimetres, 0 missing."""
    return np.clip(np.rint(np.nan_to_num(np.asarray(depth, np.float64), nan=0, posinf=0, neginf=0) * 1000), 0, 65535).astype(np.uint16)


def _paths(sample, out, hha):
    stem = sample['stem']
    paths = dict(rgb=out / 'rgb' / f'{stem}{sample["rgb_suffix"]}', depth=out / 'depth' / f'{stem}.png',
                 label=out / 'label' / f'{stem}.png')
    if sample['has_raw']:
        paths['depth_raw'] = out / 'depth_raw' / f'{stem}.png'
    if hha:
        paths['hha'] = out / 'hha' / f'{stem}.png'
    return paths


def _write(sample, read, out, num_classes, hha):
    """Write what is missing of one sample; return its stem and intrinsics."""
    paths = _paths(sample, out, hha)
    missing = {name for name, path in paths.items() if not path.exists()}
    if missing:
        content = read(sample)
        depth = to_millimetres(content['depth'])
        label = content['label']
        sizes = {name: content[name].shape[:2] for name in ('rgb', 'depth', 'depth_raw', 'label') if content.get(name) is not None}
        if len(set(sizes.values())) > 1:
            raise DataError(f'{sample["stem"]}: image, depth and label differ in size: {sizes}. Is the source complete and unchanged?')
        if label.max() > num_classes:
            raise DataError(f'{sample["stem"]}: label id {int(label.max())} is outside 0..{num_classes}.')
        raw = to_millimetres(content['depth_raw']) if sample['has_raw'] else None
        if 'rgb' in missing:
            if sample.get('rgb_path'):
                write_bytes(paths['rgb'], Path(sample['rgb_path']).read_bytes())
            else:
                write_png(paths['rgb'], content['rgb'])
        for name, image in (('depth', depth), ('depth_raw', raw), ('label', label.astype(np.uint8))):
            if name in missing:
                write_png(paths[name], image)
        if 'hha' in missing:
            try:
                write_png(paths['hha'], depth_to_hha(depth / np.float64(1000), sample['intrinsics'], raw))
            except DataError as error:
                raise DataError(f'{sample["stem"]}: {error}') from error
    return sample['stem'], sample['intrinsics']


def prepare(name, samples, read, out, num_classes, workers=1, hha=True, dry_run=False, limit=None):
    """Write a data set to ``out``; goes on where it was stopped.

    Args:
        name (str): Of the data set, for the record in ``out``.
        samples (list[dict]): ``stem``, ``split`` (train or test), ``intrinsics``, ``has_raw``, ``rgb_suffix``, optionally ``rgb_path`` (a
            file that is copied as it is), and what ``read`` needs.
        read (callable): ``read(sample)`` gives ``rgb`` (H, W, 3) uint8, ``depth`` and ``depth_raw`` (H, W) metres, ``label`` (H, W) with 0
            void; called in the workers.
        out (str | Path): A new or empty folder, or one that this was writing to.
        num_classes (int): Without void.
        workers (int): Processes.
        hha (bool): Make HHA too (0.15 s of one core per 480x640 image).
        dry_run (bool): Say what would be done and write nothing.
        limit (int, optional): Only the first so many of each split.

    Returns:
        dict: Number of samples by split.

    Raises:
        DataError: A source file that is missing or damaged; what is written stays and the next call goes on.
    """
    out = Path(out)
    if limit is not None:
        kept = Counter()
        samples = [s for s in samples if (kept.update([s['split']]) or kept[s['split']] <= limit)]
    twice = [stem for stem, count in Counter(s['stem'] for s in samples).items() if count > 1]
    if twice:
        raise DataError(f'{len(twice)} samples have the same name, for example {twice[0]!r}.')
    outside = [s['stem'] for s in samples if not (out / 'rgb' / s['stem']).resolve().is_relative_to((out / 'rgb').resolve())]
    if outside:
        raise DataError(f'{len(outside)} samples would be written outside {out}, for example {outside[0]!r}: correct their names.')
    counts = dict(Counter(s['split'] for s in samples))
    done = sum(all(path.exists() for path in _paths(s, out, hha).values()) for s in samples)
    print(f'{name}: {counts.get("train", 0)} training and {counts.get("test", 0)} test images, {done} of them are in {out}', flush=True)
    if dry_run:
        for sample in samples[:3]:
            print(f'  {sample["stem"]} ({sample["split"]}): ' + ', '.join(str(p) for p in _paths(sample, out, hha).values()))
        print('dry run: nothing is written', flush=True)
        return counts
    start_record(out, dict(dataset=name, version=VERSION))
    for folder in {path.parent for sample in samples for path in _paths(sample, out, hha).values()}:
        folder.mkdir(exist_ok=True)
    cameras = dict(run_jobs(partial(_write, read=read, out=out, num_classes=num_classes, hha=hha), samples, workers))
    write_json(out / 'intrinsics.json', {stem: [float(k) for k in camera] for stem, camera in cameras.items()})
    for split in ('train', 'test'):
        write_bytes(out / f'{split}.txt', ''.join(f'{s["stem"]}\n' for s in samples if s['split'] == split).encode())
    return counts


def _check(stem, out, num_classes, folders):
    """What is wrong with one prepared sample: a list of sentences."""
    wrong, sizes = [], {}
    reader = PillowReader()
    for folder in folders:
        path = next((p for p in (out / folder / f'{stem}.png', out / folder / f'{stem}.jpg') if p.exists()), None)
        if path is None:
            wrong.append(f'{out / folder / stem}.png is missing')
            continue
        try:
            image = reader(path)
        except DataError as error:
            wrong.append(str(error))
            continue
        sizes[folder] = image.shape[:2]
        channels, kind = {'rgb': (3, 'uint8'), 'hha': (3, 'uint8'), 'label': (1, 'uint8')}.get(folder, (1, 'uint16'))
        if image.shape[2] != channels or image.dtype != kind:
            wrong.append(f'{path} has {image.shape[2]} channels of {image.dtype}, expected {channels} of {kind}')
        elif folder == 'label' and image.max() > num_classes:
            wrong.append(f'{path} has label id {int(image.max())}, outside 0..{num_classes}')
        elif folder == 'depth' and image.any():
            median = float(np.median(image[image > 0])) / 1000
            if not PLAUSIBLE_DEPTH[0] <= median <= PLAUSIBLE_DEPTH[1]:
                wrong.append(f'{path} has a median depth of {median} m')
    if len(set(sizes.values())) > 1:
        wrong.append(f'{stem}: sizes differ: {sizes}')
    return wrong


def verify(out, num_classes, workers=1, expected=None):
    """Read every file of a prepared data set and check it: there, whole, of one size, labels and depth in range.

    Args:
        out (str | Path): The folder.
        num_classes (int): Without void.
        workers (int): Processes.
        expected (dict, optional): Number of samples by split that the whole data set has; other numbers are reported.

    Returns:
        list[str]: What is wrong, empty if nothing.

    Raises:
        ConfigError: If there is no prepared data set.
    """
    out = Path(out)
    wrong, stems = [], []
    for split in ('train', 'test'):
        path = out / f'{split}.txt'
        if not path.is_file():
            raise ConfigError(f'{path} does not exist: preparing was not finished. Run the same command without --verify; it goes on.')
        found = path.read_text().split()
        if expected and len(found) != expected[split]:
            wrong.append(f'{path} lists {len(found)} images, the whole data set has {expected[split]}')
        stems += found
    cameras = json.loads((out / 'intrinsics.json').read_text())
    wrong += [f'{stem} has no intrinsics' for stem in stems if stem not in cameras]
    folders = [name for name in ('rgb', 'depth', 'depth_raw', 'hha', 'label') if name in ('rgb', 'depth', 'label') or (out / name).is_dir()]
    for found in run_jobs(partial(_check, out=out, num_classes=num_classes, folders=folders), stems, workers, f'verifying {out}'):
        wrong += found
    return wrong


def add_parser(subparsers, module):
    """Add the command of an RGB-D data set to a command line; ``module`` has ``NAME``, ``NUM_CLASSES``, ``EXPECTED`` and ``prepare``."""
    parser = subparsers.add_parser(module.NAME, help=module.__doc__.splitlines()[0], description=module.__doc__)
    parser.add_argument('src', help='the release as it was unpacked')
    parser.add_argument('out', help='folder to write to')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--no-hha', action='store_true', help='leave HHA out (tools/make_hha.py makes it later)')
    parser.add_argument('--limit', type=int, help='only the first so many images of each split')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done and write nothing')
    parser.add_argument('--verify', action='store_true', help='check what is in OUT instead of writing')

    def run(args):
        if not args.verify:
            module.prepare(args.src, args.out, workers=args.workers, hha=not args.no_hha, dry_run=args.dry_run, limit=args.limit)
            return
        wrong = verify(args.out, module.NUM_CLASSES, args.workers, None if args.limit else module.EXPECTED)
        if wrong:
            advice = 'Delete the files that are damaged and run the same command without --verify: it makes what is missing.'
            raise DataError('\n'.join([f'{len(wrong)} problem(s):', *wrong[:50], advice]))
        print('everything is there and in order')

    parser.set_defaults(run=run)


def _hha_of(path, root, out, raw, cameras, unit, rotated):
    from decur.readers.depth import DepthReader
    target = out / f'{path.stem}.png'
    if target.exists():
        return False
    reader = DepthReader(unit=unit, rotated=rotated)
    camera = cameras.get(path.stem) if isinstance(cameras, dict) else cameras
    if camera is None:
        raise DataError(f'{path} has no entry in the intrinsics file. Add "{path.stem}": [fx, fy, cx, cy].')
    filled_from = None if raw is None else reader.metres(raw / path.name)
    try:
        write_png(target, depth_to_hha(reader.metres(path), camera, filled_from))
    except DataError as error:
        raise DataError(f'{path}: {error}') from error
    return True


def make_hha(root, depth='depth', out='hha', raw=None, intrinsics=None, unit=1000., rotated=False, workers=1):
    """Make the HHA of every depth file in ``root/depth``; goes on where it was stopped.

    Args:
        root (str | Path): Folder of the data set.
        depth (str): Its folder of depth files (16-bit PNG, or ``.npy`` in metres).
        out (str): The folder to write ``<stem>.png`` to.
        raw (str, optional): Folder of depth before filling, same names; its missing pixels are left out of the fits.
        intrinsics (Sequence[float] | str, optional): fx, fy, cx, cy of all images, or a JSON file in ``root``. Defaults to
            ``intrinsics.json`` in ``root``.
        unit (float): File values per metre.
        rotated (bool): Bits rotated as in SUN-RGBD's original files.
        workers (int): Processes.

    Returns:
        int: How many were made now.

    Raises:
        DataError: No depth files, no intrinsics, or a file that is no metric depth (named).
    """
    from decur.readers.depth import read_intrinsics
    root = Path(root)
    if not (root / depth).is_dir():
        raise DataError(f'{root / depth} is not a folder; say where the depth files are (--depth).')
    files = sorted(p for p in (root / depth).iterdir() if p.suffix in ('.png', '.npy') and not p.name.startswith('.'))
    if not files:
        raise DataError(f'{root / depth} has no .png or .npy files.')
    if raw is not None:
        absent = [p.name for p in files if not (root / raw / p.name).is_file()]
        if absent:
            raise DataError(f'{root / raw} lacks {len(absent)} of {len(files)} files, for example {absent[0]}.')
    if intrinsics is None or isinstance(intrinsics, str):
        cameras = read_intrinsics(root / (intrinsics or 'intrinsics.json'))
    else:
        from decur.hha import check_intrinsics
        cameras = check_intrinsics(intrinsics)
    (root / out).mkdir(exist_ok=True)
    for leftover in (root / out).glob('.*.tmp'):
        leftover.unlink()
    cv2.setNumThreads(1)
    job = partial(_hha_of, root=root, out=root / out, raw=None if raw is None else root / raw, cameras=cameras, unit=unit, rotated=rotated)
    return sum(run_jobs(job, files, workers, f'HHA in {root / out}'))

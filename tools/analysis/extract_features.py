"""Extract the features of a data set: one row per sample and modality.

    python tools/analysis/extract_features.py CHECKPOINT DATA_CONFIG OUT [--split train] [--modalities sar optical]

CHECKPOINT is what decur.load takes (a path, https://, hf://OWNER/REPO/FILE); weights that do not describe themselves need --model-config.
OUT ending in .safetensors is one file; otherwise a folder of .npy files. A run that was stopped goes on where it was.
"""
import argparse
import sys
import time

from mmengine.config import DictAction

import decur
from decur.apis.features import build_image_dataset, extract_features
from decur.engine import load_config
from decur.errors import ConfigError, DataError, WeightsError


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='weights')
    parser.add_argument('config', metavar='DATA_CONFIG', help='config whose data loader names the data')
    parser.add_argument('out', help='file.safetensors, or a folder')
    parser.add_argument('--split', default='train', help='of the config: train, val or test (default: train)')
    parser.add_argument('--modalities', nargs='+', metavar='NAME', help='default: all of the checkpoint')
    parser.add_argument('--model-config', help='config of weights that do not describe themselves')
    parser.add_argument('--sha256', help='digest that the checkpoint must have')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'),
                        help='images are resized to it; 0 0 leaves them')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--num-workers', type=int, default=2)
    parser.add_argument('--part-size', type=int, default=1024, help='samples between two savings')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='override DATA_CONFIG')
    args = parser.parse_args()
    if any(args.size) and min(args.size) < 1:
        parser.error(f'--size {args.size[0]} {args.size[1]}: give two positive numbers, or 0 0 to leave the images as they are.')
    return args


def main() -> int:
    """Load, extract, report."""
    args = parse_args()
    start, first = time.monotonic(), []

    def progress(done: int, total: int) -> None:
        first.append(done)
        spent = time.monotonic() - start
        new = done - first[0]
        left = f', {spent / new * (total - done):.0f} s left' if new and done < total else ''
        print(f'\r{done}/{total} samples{left}   ', end='', file=sys.stderr, flush=True)

    try:
        encoder = decur.load(args.checkpoint, config=args.model_config, modalities=args.modalities, sha256=args.sha256, device=args.device)
        dataset = build_image_dataset(load_config(args.config, args.cfg_options), args.split)
        shapes = extract_features(
            encoder, dataset, args.out, size=tuple(args.size) if all(args.size) else None, batch_size=args.batch_size,
            num_workers=args.num_workers, part_size=args.part_size, progress=progress,
            origin=dict(checkpoint=args.checkpoint, config=args.config, split=args.split, options=args.cfg_options))
    except (ConfigError, DataError, WeightsError) as error:
        print(f'\nerror: {error}', file=sys.stderr)
        return 1
    print(f'\nwrote {args.out}: ' + ', '.join(f'{name} {shape[0]} x {shape[1]}' for name, shape in shapes.items()))
    return 0


if __name__ == '__main__':
    sys.exit(main())

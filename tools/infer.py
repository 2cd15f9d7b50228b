"""Segment images, or folders of images, of several modalities: predictions, overlays and pictures.

Example: infer.py CONFIG CHECKPOINT rgb=images depth=depth --intrinsics 518.9 519.5 325.6 253.7 --out results
"""
import argparse
import sys

from mmengine.config import DictAction

from decur.apis import SegmentationInferencer
from decur.apis.inferencer import parse_sources
from decur.errors import ConfigError, DataError, WeightsError


def main():
    """Parse the command line and segment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a segmentation model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('sources', nargs='+', metavar='NAME=PATH',
                        help='a file, or a folder, per modality; instead of hha: depth (and raw_depth) with --intrinsics')
    parser.add_argument('--intrinsics', nargs='+', metavar='K', help='fx fy cx cy in pixels, or a JSON file {stem: [fx, fy, cx, cy]}, or a '
                        'text file with a camera matrix')
    parser.add_argument('--depth-unit', type=float, help='values per metre of 16-bit depth files (default: 1000, millimetres, checked)')
    parser.add_argument('--out', default='results', help='folder to write to')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of the config')
    args = parser.parse_args()
    try:
        intrinsics = args.intrinsics
        if intrinsics is not None:
            try:
                intrinsics = intrinsics[0] if len(intrinsics) == 1 else [float(k) for k in intrinsics]
            except ValueError:
                raise ConfigError(f'--intrinsics takes four numbers or one file, got {args.intrinsics}.') from None
        sources = parse_sources(args.sources)
        inferencer = SegmentationInferencer(args.config, args.checkpoint, args.device, args.depth_unit, args.cfg_options)
        stems = inferencer.run(sources, args.out, intrinsics)
    except (ConfigError, DataError, WeightsError) as error:
        sys.exit(f'error: {error}')
    print(f'{len(stems)} segmented: {args.out}/predictions, {args.out}/overlays, {args.out}/pictures')


if __name__ == '__main__':
    main()

"""Segment images, or folders of images, of several modalities: predictions, overlays and pictures.

Example: infer.py CONFIG CHECKPOINT rgb=images depth=depth --intrinsics 518.9 519.5 325.6 253.7 --out results
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config', 'checkpoint')
    parser.add_argument('sources', nargs='+', metavar='NAME=PATH',
                        help='a file, or a folder, per modality; instead of hha: depth (and raw_depth) with --intrinsics')
    parser.add_argument('--intrinsics', nargs='+', metavar='K', help='fx fy cx cy in pixels, or a JSON file {stem: [fx, fy, cx, cy]}, or a '
                        'text file with a camera matrix')
    parser.add_argument('--depth-unit', type=float, help='values per metre of 16-bit depth files (default: 1000, millimetres, checked)')
    parser.add_argument('--out', default='results', help='folder to write to')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.apis import SegmentationInferencer
from decur.apis.inferencer import parse_sources
from decur.errors import ConfigError, exit_on_bad_input
from decur.writing import output_folder


@exit_on_bad_input()
def main():
    """Segment."""
    args = parse_args()
    intrinsics = args.intrinsics
    if intrinsics is not None:
        try:
            intrinsics = intrinsics[0] if len(intrinsics) == 1 else [float(k) for k in intrinsics]
        except ValueError:
            raise ConfigError(f'--intrinsics takes four numbers or one file, got {args.intrinsics}.') from None
    sources = parse_sources(args.sources)
    output_folder(args.out)
    inferencer = SegmentationInferencer(args.config, args.checkpoint, args.device, args.depth_unit, args.cfg_options)
    stems = inferencer.run(sources, args.out, intrinsics)
    print(f'{len(stems)} segmented: {args.out}/predictions, {args.out}/overlays, {args.out}/pictures')


if __name__ == '__main__':
    main()

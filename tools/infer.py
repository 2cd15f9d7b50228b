"""Segment images, folders of images, or whole scenes, of several modalities.

    infer.py CONFIG CHECKPOINT rgb=images depth=depth --intrinsics 518.9 519.5 325.6 253.7 --out results
    infer.py CONFIG CHECKPOINT sar=s1.tif optical=s2.tif --resample bilinear --out map.tif

With a folder as --out: predictions, overlays and pictures of every image. With a file .tif: a map of one georeferenced scene of any size
(docs/scenes.md). A map that was stopped goes on where it was.
"""
import sys
from contextlib import ExitStack

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config', 'checkpoint')
    parser.add_argument('sources', nargs='+', metavar='NAME=PATH',
                        help='a file, or a folder, per modality; instead of hha: depth (and raw_depth) with --intrinsics')
    parser.add_argument('--intrinsics', nargs='+', metavar='K', help='fx fy cx cy in pixels, or a JSON file {stem: [fx, fy, cx, cy]}, or a '
                        'text file with a camera matrix')
    parser.add_argument('--depth-unit', type=float, help='values per metre of 16-bit depth files (default: 1000, millimetres, checked)')
    parser.add_argument('--out', default='results', help='folder to write to; or, for a scene, the map: FILE.tif')
    scene = parser.add_argument_group('scenes (--out FILE.tif)')
    scene.add_argument('--window', type=int, help='side of the windows, pixels (default: 512); best near the size of the training images')
    scene.add_argument('--overlap', type=int, help='of neighbouring windows, pixels (default: a quarter of the window)')
    scene.add_argument('--batch-size', type=int, help='windows at a time (default: 1)')
    scene.add_argument('--probabilities', action='store_true', default=None, help='write class probabilities instead of class indices')
    scene.add_argument('--resample', choices=('nearest', 'bilinear', 'cubic', 'average'),
                       help='bring scenes that lie on another grid onto that of the reference')
    scene.add_argument('--reference', metavar='NAME', help='modality whose grid the map has (default: the first one given)')
    scene.add_argument('--missing', nargs='+', metavar='NAME', help='modalities of the model that there is no scene of')
    scene.add_argument('--nodata-where', choices=('any', 'all'), help='the map has no class where any scene has a missing pixel (default), '
                       'or only where all have')
    scene.add_argument('--memory', type=int, metavar='MIB', help='memory that blending may take (default: 256)')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.apis import SegmentationInferencer
from decur.apis.inferencer import parse_sources
from decur.apis.scene_map import map_scene
from decur.errors import ConfigError, exit_on_bad_input
from decur.progress import Progress
from decur.writing import output_folder

#: Options of scenes, and what is said without them.
SCENE_OPTIONS = dict(window=512, overlap=None, batch_size=1, probabilities=False, resample=None, reference=None, missing=(),
                     nodata_where='any', memory=256)


def run_scene(args, sources: dict) -> None:
    """Write the map of a scene."""
    if args.intrinsics is not None or args.depth_unit is not None:
        raise ConfigError('--intrinsics and --depth-unit are for images: a map (--out FILE.tif) is made of georeferenced rasters.')
    options = {name: default if getattr(args, name) is None else getattr(args, name) for name, default in SCENE_OPTIONS.items()}
    segment = SegmentationInferencer(args.config, args.checkpoint, args.device, options=args.cfg_options)
    with ExitStack() as stack:
        bars = []

        def show(done, total):
            if not bars:  # how many windows there are is known once the scenes are open
                bars.append(stack.enter_context(Progress(total, unit='windows', file=sys.stderr)))
            bars[0].advance(done)
        found = map_scene(segment, sources, args.out, progress=show, **options)
    height, width = found['shape']
    print(f'{args.out}: {height} x {width} pixels, {found["windows"]} windows, {100 * found["nodata"] / height / width:.1f} % nodata')
    pixels = found.get('pixels', {})
    for name, count in pixels.items():
        print(f'  {name:24s} {100 * count / max(sum(pixels.values()), 1):5.1f} %')


@exit_on_bad_input()
def main():
    """Segment."""
    args = parse_args()
    sources = parse_sources(args.sources)
    if str(args.out).lower().endswith(('.tif', '.tiff')):
        return run_scene(args, sources)
    given = [name for name in SCENE_OPTIONS if getattr(args, name) is not None]
    if given:
        raise ConfigError(f'--{given[0].replace("_", "-")} is for the map of a scene: give --out FILE.tif.')
    intrinsics = args.intrinsics
    if intrinsics is not None:
        try:
            intrinsics = intrinsics[0] if len(intrinsics) == 1 else [float(k) for k in intrinsics]
        except ValueError:
            raise ConfigError(f'--intrinsics takes four numbers or one file, got {args.intrinsics}.') from None
    output_folder(args.out)
    inferencer = SegmentationInferencer(args.config, args.checkpoint, args.device, args.depth_unit, args.cfg_options)
    stems = inferencer.run(sources, args.out, intrinsics)
    print(f'{len(stems)} segmented: {args.out}/predictions, {args.out}/overlays, {args.out}/pictures')


if __name__ == '__main__':
    main()

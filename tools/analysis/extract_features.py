"""Extract features: one row per sample and modality of a data set, or one vector per window of a whole scene.

    python tools/analysis/extract_features.py CHECKPOINT DATA_CONFIG OUT [--split train] [--modalities sar optical]
    python tools/analysis/extract_features.py CHECKPOINT sar=s1.tif optical=s2.tif OUT [--window 224] [--resample bilinear] [--geoparquet]

CHECKPOINT is what decur.load takes (a path, https://, hf://OWNER/REPO/FILE); weights that do not describe themselves need --model-config.
Of a data set, OUT ending in .safetensors is one file, otherwise a folder of .npy files. Of a scene, OUT is a folder: <modality>.tif has a
pixel per window and a band per feature (docs/scenes.md). A run that was stopped goes on where it was.
"""
import sys
from contextlib import ExitStack

from decur_command.arguments import add_argument, answer_help, make_parser

#: Options of scenes alone.
SCENE_OPTIONS = ('window', 'stride', 'min_valid', 'resample', 'reference', 'geoparquet')


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='weights')
    parser.add_argument('data', nargs='+', metavar='DATA_CONFIG | NAME=SCENE.tif',
                        help='config whose data loader names the data, or a scene per modality')
    parser.add_argument('out', help='file.safetensors, or a folder')
    parser.add_argument('--split', default='train', help='of the config: train, val or test (default: train)')
    parser.add_argument('--modalities', nargs='+', metavar='NAME', help='default: all of the checkpoint; of scenes: those that are given')
    parser.add_argument('--model-config', help='config of weights that do not describe themselves')
    parser.add_argument('--sha256', help='digest that the checkpoint must have')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'),
                        help='images are resized to it; 0 0 leaves them')
    parser.add_argument('--batch-size', type=int, default=32, help='images at a time (default: 32)')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read a data set (default: 2)')
    parser.add_argument('--part-size', type=int, default=1024, help='samples of a data set between two savings (default: 1024)')
    scene = parser.add_argument_group('scenes')
    scene.add_argument('--window', type=int, help='side of the windows, pixels (default: 224)')
    scene.add_argument('--stride', type=int, help='pixels from a window to the next (default: the window)')
    scene.add_argument('--min-valid', type=float, help='a window with a smaller share of valid pixels has no vector (default: 0.5)')
    scene.add_argument('--resample', choices=('nearest', 'bilinear', 'cubic', 'average'),
                       help='bring scenes that lie on another grid onto that of the reference')
    scene.add_argument('--reference', metavar='NAME', help='modality whose grid it is (default: the first one given)')
    scene.add_argument('--geoparquet', action='store_true', default=None, help='write OUT/features.parquet too (needs pyarrow)')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options', help='override DATA_CONFIG')
    args = parser.parse_args()
    if any(args.size) and min(args.size) < 1:
        parser.error(f'--size {args.size[0]} {args.size[1]}: give two positive numbers, or 0 0 to leave the images as they are.')
    args.size = tuple(args.size) if all(args.size) else None
    return args


answer_help(parse_args)  # before the imports that take seconds

import decur
from decur.apis.features import build_image_dataset, extract_features
from decur.apis.inferencer import parse_sources
from decur.apis.scene_features import extract_scene_features
from decur.cli import output_file
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.progress import Progress


def run_scene(args) -> None:
    """Features of a scene."""
    sources = parse_sources(args.data)
    if args.cfg_options:
        raise ConfigError('--cfg-options change a DATA_CONFIG, and a scene has none.')
    options = {name: getattr(args, name) for name in SCENE_OPTIONS if getattr(args, name) is not None}
    encoder = decur.load(args.checkpoint, config=args.model_config, modalities=args.modalities or list(sources), sha256=args.sha256,
                         device=args.device)
    with ExitStack() as stack:
        bars = []

        def show(done, total):
            if not bars:  # how many windows there are is known once the scenes are open
                bars.append(stack.enter_context(Progress(total, unit='windows', file=sys.stderr)))
            bars[0].advance(done)
        found = extract_scene_features(encoder, sources, args.out, size=args.size, batch_size=args.batch_size, progress=show, **options)
    rows, columns = found['grid']
    print(f'{args.out}: {rows} x {columns} windows, {found["vectors"]} with a vector: '
          + ', '.join(f'{name}.tif {dim} bands' for name, dim in found['dims'].items()) + ', features.parquet' * bool(args.geoparquet))
    if any(found['uncovered']):
        print(f'the last {found["uncovered"][0]} rows and {found["uncovered"][1]} columns of pixels are in no window')


@exit_on_bad_input()
def main():
    """Load, extract, report."""
    args = parse_args()
    if '=' in args.data[0]:
        return run_scene(args)
    given = [name for name in SCENE_OPTIONS if getattr(args, name) is not None]
    if given:
        raise ConfigError(f'--{given[0].replace("_", "-")} is for scenes: give NAME=SCENE.tif for each modality instead of a config.')
    if len(args.data) > 1:
        raise ConfigError(f'one DATA_CONFIG is taken, got {args.data}.')
    if args.out.endswith('.safetensors'):
        output_file(args.out)
    dataset = build_image_dataset(load_config(args.data[0], args.cfg_options), args.split)
    encoder = decur.load(args.checkpoint, config=args.model_config, modalities=args.modalities, sha256=args.sha256, device=args.device)
    with Progress(len(dataset), unit='samples', file=sys.stderr) as progress:
        shapes = extract_features(
            encoder, dataset, args.out, size=args.size, batch_size=args.batch_size, num_workers=args.num_workers, part_size=args.part_size,
            progress=lambda done, total: progress.advance(done),
            origin=dict(checkpoint=args.checkpoint, config=args.data[0], split=args.split, options=args.cfg_options))
    print(f'wrote {args.out}: ' + ', '.join(f'{name} {shape[0]} x {shape[1]}' for name, shape in shapes.items()))


if __name__ == '__main__':
    main()

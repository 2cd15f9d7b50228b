"""Extract the features of a data set: one row per sample and modality.

    python tools/analysis/extract_features.py CHECKPOINT DATA_CONFIG OUT [--split train] [--modalities sar optical]

CHECKPOINT is what decur.load takes (a path, https://, hf://OWNER/REPO/FILE); weights that do not describe themselves need --model-config.
OUT ending in .safetensors is one file; otherwise a folder of .npy files. A run that was stopped goes on where it was.
"""
import sys

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='weights')
    parser.add_argument('config', metavar='DATA_CONFIG', help='config whose data loader names the data')
    parser.add_argument('out', help='file.safetensors, or a folder')
    parser.add_argument('--split', default='train', help='of the config: train, val or test (default: train)')
    parser.add_argument('--modalities', nargs='+', metavar='NAME', help='default: all of the checkpoint')
    parser.add_argument('--model-config', help='config of weights that do not describe themselves')
    parser.add_argument('--sha256', help='digest that the checkpoint must have')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'),
                        help='images are resized to it; 0 0 leaves them')
    parser.add_argument('--batch-size', type=int, default=32, help='images at a time (default: 32)')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read (default: 2)')
    parser.add_argument('--part-size', type=int, default=1024, help='samples between two savings (default: 1024)')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options', help='override DATA_CONFIG')
    args = parser.parse_args()
    if any(args.size) and min(args.size) < 1:
        parser.error(f'--size {args.size[0]} {args.size[1]}: give two positive numbers, or 0 0 to leave the images as they are.')
    return args


answer_help(parse_args)  # before the imports that take seconds

import decur
from decur.apis.features import build_image_dataset, extract_features
from decur.cli import output_file
from decur.engine import load_config
from decur.errors import exit_on_bad_input
from decur.progress import Progress


@exit_on_bad_input()
def main():
    """Load, extract, report."""
    args = parse_args()
    if args.out.endswith('.safetensors'):
        output_file(args.out)
    dataset = build_image_dataset(load_config(args.config, args.cfg_options), args.split)
    encoder = decur.load(args.checkpoint, config=args.model_config, modalities=args.modalities, sha256=args.sha256, device=args.device)
    with Progress(len(dataset), unit='samples', file=sys.stderr) as progress:
        shapes = extract_features(
            encoder, dataset, args.out, size=tuple(args.size) if all(args.size) else None, batch_size=args.batch_size,
            num_workers=args.num_workers, part_size=args.part_size, progress=lambda done, total: progress.advance(done),
            origin=dict(checkpoint=args.checkpoint, config=args.config, split=args.split, options=args.cfg_options))
    print(f'wrote {args.out}: ' + ', '.join(f'{name} {shape[0]} x {shape[1]}' for name, shape in shapes.items()))


if __name__ == '__main__':
    main()

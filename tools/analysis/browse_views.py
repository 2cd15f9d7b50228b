"""Draw the augmented views of a pretraining config: each image with the boxes of its crops, and the views as the encoders get them.

    python tools/analysis/browse_views.py CONFIG OUT.png [--samples 4] [--seed 0]

A row per sample and modality. The boxes have the colours of the legend; the marked corner is the view's upper left, so flips
show. With MakeViews(aligned=True) the boxes of all modalities of a sample are the same, else each has its own.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config')
    parser.add_argument('out', metavar='OUT.png', help='picture to write')
    parser.add_argument('--split', default='train', help='train, val or test loader of the config (default: train)')
    parser.add_argument('--samples', type=int, default=4, help='samples (default: 4)')
    parser.add_argument('--first', type=int, default=0, help='index of the first sample (default: 0)')
    parser.add_argument('--seed', type=int, default=0, help='of the draws; the same as in training gives its first epoch (default: 0)')
    parser.add_argument('--cell', type=int, default=192, help='width of a picture, pixels (default: 192)')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.cli import output_file
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.visualization.images import save_picture
from decur.visualization.views import build_view_dataset, draw_views


@exit_on_bad_input()
def main():
    """Draw."""
    args = parse_args()
    if args.samples < 1 or args.cell < 16 or args.first < 0:
        raise ConfigError(f'--samples {args.samples} must be positive, --first {args.first} not negative, --cell {args.cell} at least 16.')
    if not args.out.lower().endswith('.png'):
        raise ConfigError(f'{args.out}: the picture is a PNG; give a name that ends in .png.')
    output_file(args.out)
    dataset = build_view_dataset(load_config(args.config, args.cfg_options), args.split, args.seed)
    if args.first >= len(dataset):
        raise ConfigError(f'--first {args.first}: the data set has {len(dataset)} samples.')
    indices = range(args.first, min(args.first + args.samples, len(dataset)))
    picture, aligned = draw_views(dataset, indices, args.cell)
    save_picture(picture, args.out)
    print(f'{args.out}: {len(indices)} of {len(dataset)} samples, '
          f'{"one crop for all modalities of a view (aligned)" if aligned else "every modality draws its own crops"}')


if __name__ == '__main__':
    main()

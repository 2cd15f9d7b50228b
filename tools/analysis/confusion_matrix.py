"""Confusion matrix of a segmentation, from the label maps that tools/test.py --show-dir (or tools/infer.py) has written.

    python tools/test.py CONFIG CHECKPOINT --show-dir results
    python tools/analysis/confusion_matrix.py CONFIG results/predictions OUT.png [--out OUT.json]

The picture shows shares of each row, so a class's recall is on the diagonal; the JSON file has the numbers of pixels, a row per true class.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config')
    parser.add_argument('predictions', help='folder of PNG label maps, named after the samples')
    parser.add_argument('picture', metavar='OUT.png', help='picture to write')
    parser.add_argument('--split', default='test', help='loader whose labels are compared: train, val or test (default: test)')
    add_argument(parser, 'out', help='write the numbers of pixels to this JSON file')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.cli import output_file
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.confusion import count_confusion, draw_confusion
from decur.writing import write_json


@exit_on_bad_input()
def main():
    """Count, draw, print."""
    args = parse_args()
    if not args.picture.lower().endswith('.png'):
        raise ConfigError(f'{args.picture}: the picture is a PNG; give a name that ends in .png.')
    output_file(args.picture)
    classes, counts = count_confusion(load_config(args.config, args.cfg_options), args.predictions, args.split)
    draw_confusion(classes, counts, args.picture)
    if args.out:
        write_json(args.out, dict(classes=list(classes), pixels=counts.tolist()))
    width = max(map(len, classes))
    for name, row in zip(classes, counts):
        worst = max((count, other) for other, count in zip(classes, row) if other != name) if len(classes) > 1 else (0, '')
        total = max(row.sum(), 1)
        mixed = f', most often taken for {worst[1]} ({100 * worst[0] / total:.1f} %)' if worst[0] else ''
        print(f'{name:{width}s} {row.sum():12,d} pixels, {100 * row[classes.index(name)] / total:5.1f} % right{mixed}')
    print(f'wrote {args.picture}')


if __name__ == '__main__':
    main()

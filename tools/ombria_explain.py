"""Draw what two reports of tools/explain.py found in one picture: scenes of the pretraining above, scenes that it did not see below.

    python tools/explain.py configs/ombria/ombria_s1-s2_small-resnet_decur.py CHECKPOINT --out SEEN --analyses alignment tsne \\
        --num-samples 1024 --batch-size 256
    (the same with --out UNSEEN --cfg-options train_dataloader.dataset.split=scene_test.txt)
    python tools/ombria_explain.py SEEN UNSEEN --out docs/images/ombria_explained.png
"""
import csv
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('seen', type=Path, help='report on scenes of the pretraining')
    parser.add_argument('unseen', type=Path, help='report on other scenes')
    parser.add_argument('--out', type=Path, default=Path('docs/images/ombria_explained.png'), help='the picture')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np

from decur.cli import output_file
from decur.errors import DataError, exit_on_bad_input
from decur.explain.files import save_figure
from decur.explain.plots import BLOCK_COLOURS, figure

#: Colour of the dimensions of a sensor and block in the map.
COLOURS = {('sar', 'common'): '#0072b2', ('optical', 'common'): '#56b4e9', ('sar', 'unique'): '#d55e00', ('optical', 'unique'): '#f0c000'}
_SENSORS = dict(sar='radar', optical='optical')


def read_table(path: Path) -> list:
    """The rows of a CSV file of a report.

    Raises:
        DataError: If it is not there.
    """
    if not path.is_file():
        raise DataError(f'{path} does not exist: run tools/explain.py with --analyses alignment tsne.')
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def histogram(rows: list) -> tuple:
    """Mean number of dimensions by bin over the batches: edges (bins + 1,) and {block: (bins,)}."""
    edges = sorted({float(row[key]) for row in rows for key in ('from', 'to')})
    batches = len({row['batch'] for row in rows})
    counts: dict = {}
    for row in rows:
        values = counts.setdefault(row['block'], np.zeros(len(edges) - 1))
        values[edges.index(float(row['from']))] += float(row['dimensions']) / batches
    return np.array(edges), counts


@exit_on_bad_input()
def main():
    """Read two reports, draw."""
    args = parse_args()
    output_file(args.out)
    fig, axes = figure(2, 2, width=6.2, height=4.4)
    for row, (folder, title) in enumerate(((args.seen, 'scenes of the pretraining'), (args.unseen, 'scenes it did not see'))):
        edges, counts = histogram(read_table(folder / 'alignment.csv'))
        left, right = axes[row]
        points = read_table(folder / 'tsne.csv')
        for block, values in counts.items():
            # Losses above 1, of dimensions whose correlation is negative, lie right of the axis.
            beyond = sum((point['modality'], point['block']) == ('sar', block) for point in points) - values.sum()
            left.bar(edges[:-1], values, np.diff(edges), align='edge', color=BLOCK_COLOURS[block], alpha=.8,
                     label=f'{block} dimensions ({beyond:.0f} above 1)')
        left.set(xlim=(0, 1), xlabel='(diag(C) − 1)²:   0 radar and optical agree, 1 they are uncorrelated', ylabel='dimensions',
                 title=f'{title}: alignment')
        left.margins(y=.25)
        left.legend(loc='upper right')
        for (sensor, block), colour in COLOURS.items():
            chosen = np.array([[float(point['x']), float(point['y'])] for point in points
                               if (point['modality'], point['block']) == (sensor, block)]).reshape(-1, 2)
            right.scatter(*chosen.T, s=9, c=colour, linewidths=0, label=f'{_SENSORS[sensor]}, {block}')
        right.set(xticks=[], yticks=[], title=f'{title}: t-SNE of dimensions')
        right.legend(fontsize=8, markerscale=2)
    save_figure(args.out, fig)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()

"""GEO-Bench's protocol for frozen encoders: kNN-5, and a linear probe whose regularisation is chosen on validation samples; with all
labels, or few (--shots). For data sets with one class (top-1 accuracy) or several labels a scene (micro mean average precision); all
modalities together and each alone.

    python tools/probe.py configs/landcover/landcover_s1-s2_small-resnet_frozen.py CHECKPOINT
    python tools/probe.py CONFIG CHECKPOINT --shots 5 --draws 10

Validation samples are those of the config's val_dataloader, or else a share of the training set. With --shots there is no search (nobody
has validation labels then). The segmentation probe of GEO-Bench is a config: configs/fcn/geonrw_rgb-dem_r50_frozen.py.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config')
    parser.add_argument('checkpoint', nargs='?', help='where the encoders are taken from, as model.backbone.pretrained; default: random')
    parser.add_argument('-k', type=int, default=5, help='neighbours (default: 5)')
    parser.add_argument('--c-range', type=float, nargs=3, default=(-6, 4, 11), metavar=('FIRST', 'LAST', 'NUMBER'),
                        help='log10 of the first and last strength C, and how many (default: -6 4 11)')
    parser.add_argument('--val-share', type=float, default=0.2, help='share of the training set that is held out (default: 0.2)')
    parser.add_argument('--shots', type=int, help='training samples of every class (default: all)')
    parser.add_argument('--draws', type=int, default=5, help='with --shots: draws of the training samples (default: 5)')
    add_argument(parser, 'seed', default=0, help='of random encoders and of draws (default: 0)')
    add_argument(parser, 'out')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
import torch

from decur.apis.features import labelled_sets
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.protocols import geobench
from decur.evaluation.tables import plain
from decur.writing import write_json


def check(args) -> None:
    """Refuse numbers without a meaning."""
    first, last, number = args.c_range
    least = min(args.k, args.draws, number, 1 if args.shots is None else args.shots)
    if least < 1 or not 0 < args.val_share < 1 or first > last:
        raise ConfigError(f'-k, --shots and --draws must be at least 1, --val-share between 0 and 1, --c-range in order; got k={args.k}, '
                          f'shots={args.shots}, draws={args.draws}, val_share={args.val_share}, c_range={list(args.c_range)}.')


def held_out(part: dict, share: float, seed: int) -> tuple:
    """A set of features in two, by a draw: the rest, and ``share`` of it."""
    count = len(part['targets'])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    cut = max(1, round(share * count))
    if cut >= count:
        raise ConfigError(f'the training set has {count} samples: none is left when {cut} are held out.')
    return tuple(dict(part, features={name: x[rows] for name, x in part['features'].items()}, targets=part['targets'][rows],
                      present={name: x[rows] for name, x in part['present'].items()},
                      sample_ids=[part['sample_ids'][i] for i in rows.tolist()]) for rows in (order[cut:].sort()[0], order[:cut].sort()[0]))


@exit_on_bad_input()
def main():
    """Load, extract, probe, print."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check(args)
    if cfg.model.type != 'MultimodalClassifier':
        raise ConfigError(f'{args.config} is no config of a classifier: its model is a {cfg.model.type}.')
    train, test, *val = labelled_sets(cfg, args.checkpoint, args.seed, validation=True)
    train, val = (train, *val) if val else held_out(train, args.val_share, args.seed)
    seeds = [args.seed + i for i in range(args.draws)]
    results = geobench(train, val, test, args.k, args.c_range, args.shots, seeds)
    metric = 'micro mAP' if train['multilabel'] else 'accuracy'
    rows = [[name, *(f'{row[key]:.1f}' + (f' ± {row[f"{key}_std"]:.1f}' if args.shots else '') for key in ('knn', 'linear')),
             '' if args.shots else f'{row["C"]:g}'] for name, row in results.items()]
    print('\n' + plain(['modalities', f'kNN-{args.k} {metric}', f'linear {metric}', 'C'], rows))
    if args.out:
        write_json(args.out, results)


if __name__ == '__main__':
    main()

"""Nearest-neighbour figures of frozen encoders on a multi-label set: mAP and F1 of all modalities together and of each alone.

No training: every test sample takes the labels of its neighbours (cosine) among the training samples, both seen whole.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config')
    parser.add_argument('checkpoint', nargs='?', help='where the encoders are taken from, as model.backbone.pretrained; default: random')
    parser.add_argument('-k', type=int, default=20, help='neighbours (default: 20)')
    parser.add_argument('--temperature', type=float, default=0.07, help='a neighbour votes with exp(similarity / temperature) '
                        '(default: 0.07)')
    add_argument(parser, 'seed', default=0, help='of random encoders (default: 0)')
    add_argument(parser, 'out')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.apis.features import labelled_sets
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.missing import format_table
from decur.evaluation.probes import check_neighbours, knn_multilabel
from decur.writing import write_json


@exit_on_bad_input()
def main():
    """Load, extract, vote, print."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_neighbours(args.k, args.temperature)
    if (cfg.get('test_evaluator') or {}).get('type') != 'MultiLabelScores':
        raise ConfigError(f'{args.config} is no config of a multi-label classifier: its test_evaluator is no MultiLabelScores.')
    results = knn_multilabel(*labelled_sets(cfg, args.checkpoint, args.seed), k=args.k, temperature=args.temperature)
    print('\n' + format_table(results))
    if args.out:
        write_json(args.out, results)


if __name__ == '__main__':
    main()

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

import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, set_random_seed

from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.missing import format_table
from decur.evaluation.probes import check_neighbours, knn_multilabel, labelled_features
from decur.progress import Progress
from decur.writing import write_json


@exit_on_bad_input()
def main():
    """Load, extract, vote, print."""
    args = parse_args()
    MMLogger.get_instance('mmengine', log_level='WARNING')  # one line per initialised parameter otherwise
    cfg = load_config(args.config, args.cfg_options)
    check_neighbours(args.k, args.temperature)
    if (cfg.get('test_evaluator') or {}).get('type') != 'MultiLabelScores':
        raise ConfigError(f'{args.config} is no config of a multi-label classifier: its test_evaluator is no MultiLabelScores.')
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    set_random_seed(args.seed)
    if args.checkpoint:
        cfg.model.backbone.pretrained = args.checkpoint
    cfg = bind(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    print(f'encoders: {args.checkpoint or f"random, seed {args.seed}"}', flush=True)
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    # The training set without its augmentation and without its shuffling.
    train = dict(cfg.train_dataloader.dataset, pipeline=cfg.test_dataloader.dataset.pipeline)
    loaders = [Runner.build_dataloader(dict(cfg.test_dataloader, dataset=dataset)) for dataset in (train, cfg.test_dataloader.dataset)]
    sets = []
    for title, loader in zip(('training set', 'test set'), loaders):
        with Progress(len(loader), title) as progress:
            sets.append(labelled_features(model, loader, progress.update))
    results = knn_multilabel(*sets, k=args.k, temperature=args.temperature)
    print('\n' + format_table(results))
    if args.out:
        write_json(args.out, results)


if __name__ == '__main__':
    main()

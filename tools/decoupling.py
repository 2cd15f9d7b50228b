"""Score a checkpoint on a data set with known factors: what do common and unique dimensions hold?

The data set is the config's score_dataset (configs/decoupling); another one with --data CONFIG.
"""
import warnings

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config')
    add_argument(parser, 'checkpoint', help='checkpoint file, or "random" for a model that is not trained')
    add_argument(parser, 'out', help='write all scores to this JSON file')
    parser.add_argument('--data', help='config whose score_dataset is used instead')
    parser.add_argument('--level', default='embedding', choices=['embedding', 'encoder'], help='encoder: for checkpoints without projector')
    parser.add_argument('--num-samples', type=int, help='instead of the data set\'s own number')
    add_argument(parser, 'seed', default=0, help='of the split of the probes (default: 0)')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.collect import score_model
from decur.evaluation.decoupling import split_of
from decur.evaluation.measures import block_shares, factor_shares, probe_scores
from decur.evaluation.tables import plain
from decur.explain.loading import load_explained
from decur.writing import write_json


def show(title: str, values: dict) -> None:
    """Print a small table."""
    rows = [['  ' + (' '.join(key) if isinstance(key, tuple) else key), f'{value:.3f}'] for key, value in values.items()]
    print(f'\n{title}\n{plain(["", ""], rows, show_head=False)}')


@exit_on_bad_input()
def main():
    """Load, score, print."""
    args = parse_args()
    warnings.simplefilter('ignore')
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    data = load_config(args.data) if args.data else cfg
    if 'score_dataset' not in data:
        raise ConfigError(f'{args.data or args.config} has no score_dataset: give --data '
                          'configs/decoupling/shapes_optical-radar_small-resnet_decur.py, or a config with a data set of known factors '
                          'for the modalities of this model.')
    dataset = dict(bind(data).score_dataset)
    if args.num_samples is not None:
        dataset['num_images'] = args.num_samples
    dataset = DATASETS.build(dataset)
    model = load_explained(cfg, None if args.checkpoint == 'random' else args.checkpoint, args.level).to(args.device)
    scores = score_model(model, dataset, split_of(getattr(model, 'head', None)), args.seed, embeddings=args.level == 'embedding')
    show('share of variance explained (corrected for chance), by block and role', block_shares(scores))
    show('by block and attribute', factor_shares(scores))
    for name in dict.fromkeys(row['representation'] for row in scores['probes']):
        show(f'linear probe of the {name} (accuracy or R2)', probe_scores(scores, name))
    show('mean diagonal of C', {(r['modality_a'], r['modality_b'], r['block']): r['score'] for r in scores['alignment']})
    show('effective rank', {(r['modality'], r['representation'], f'of {r["dims"]}'): r['score'] for r in scores['effective_rank']})
    show('CKA', {(r['modality_a'], r['block_a'], '-', r['modality_b'], r['block_b']): r['score'] for r in scores['cka']})
    if args.out:
        write_json(args.out, scores)
        print(f'\nwrote {args.out}')


if __name__ == '__main__':
    main()

"""See what the common and the unique dimensions of a checkpoint look at: alignment, t-SNE, Grad-CAM, bands (supplement, section D).

Goes on where it was stopped; open OUT/index.html at the end.
"""
import argparse
import warnings
from pathlib import Path

from decur_command.arguments import add_argument, answer_help, make_parser

#: As decur.explain.folder has them, whose other values are the defaults below.
ANALYSES = ('alignment', 'tsne', 'spatial', 'spectral')


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config')
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add_argument(parser, 'checkpoint', help='checkpoint file, or "random" for a model that is not trained')
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument('--num-samples', type=int, default=256, help='samples drawn from the data set; 0 for all')
    parser.add_argument('--batch-size', type=int, default=64, help='samples at a time')
    parser.add_argument('--modalities', nargs='+', default=(), help='explain only these')
    parser.add_argument('--analyses', nargs='+', default=ANALYSES, choices=ANALYSES, help='do only these')
    parser.add_argument('--level', default='embedding', choices=('embedding', 'encoder'), help='encoder: for checkpoints without projector')
    parser.add_argument('--loader', default='', metavar='NAME', help='dataloader of the config to take the data set from '
                        '(default: test_dataloader where it makes sense, else train_dataloader)')
    parser.add_argument('--layer', default='', help='layer for Grad-CAM, {} for the modality, as backbone.streams.{}.encoder.layer3 '
                        '(default: the last stage map)')
    parser.add_argument('--sign', default='signed', choices=('signed', 'positive', 'absolute'), help='of Grad-CAM')
    parser.add_argument('--steps', type=int, default=50, help='of Integrated Gradients')
    parser.add_argument('--perplexity', type=float, default=30.0, help='of t-SNE')
    parser.add_argument('--max-dims', type=int, default=2000, help='dimensions per modality in the t-SNE; 0 for all')
    parser.add_argument('--overlays', type=int, default=6, help='samples whose saliency is drawn')
    add_argument(parser, 'seed', default=0, help='of the draw of samples and of t-SNE')
    parser.add_argument('--num-workers', type=int, default=0, help='processes that read images')
    add_argument(parser, 'device', help='where to compute: cpu, cuda or cuda:N')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.explain.folder import Options
from decur.explain.loading import load_explained
from decur.explain.run import Explanation
from decur.writing import check_writable

warnings.filterwarnings('ignore', message='Setting forward, backward hooks')  # captum's, on every call


def build_dataset(cfg: Config, loader: str = ''):
    """The data set of a config with a pipeline for looking: load, the middle of every image, pack."""
    name = loader or ('test_dataloader' if cfg.get('test_dataloader') else 'train_dataloader')
    if not cfg.get(name):
        raise ConfigError(f'the config has no {name}: choose one of its data loaders with --loader.')
    dataset = bind(cfg)[name]['dataset']
    load = next((step for step in dataset.get('pipeline', ()) if step['type'] == 'LoadModalities'), dict(type='LoadModalities'))
    dataset['pipeline'] = [load, dict(type='CenterView'), dict(type='PackModalities')]
    return DATASETS.build(dataset)


@exit_on_bad_input()
def main():
    """Build the model and the data set, and explain."""
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = build_dataset(cfg, args.loader)
    model = load_explained(cfg, None if args.checkpoint == 'random' else args.checkpoint, args.level).to(args.device)
    given = {name: value for name, value in vars(args).items() if name in Options.__dataclass_fields__}
    options = Options(**{**given, 'analyses': tuple(args.analyses), 'modalities': tuple(args.modalities)})
    checkpoint = Path(args.checkpoint)
    facts = dict(config=args.config, checkpoint=args.checkpoint, overrides=dict(args.cfg_options))
    if checkpoint.is_file():
        facts['checkpoint size'], facts['checkpoint written'] = checkpoint.stat().st_size, int(checkpoint.stat().st_mtime)
    page = Explanation(model, dataset, args.out, options, facts, args.num_workers).run()
    print(f'open {page}')


if __name__ == '__main__':
    main()

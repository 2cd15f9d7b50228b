"""The number of common dimensions that the data ask for, from a short pilot run of a pretraining config.

    python tools/analysis/suggest_common_dim.py CONFIG CHECKPOINT [--samples 2048]

Counts the canonical correlations that are above chance on samples which were not used to find them: those between modalities are shared,
those between two views of a modality are all that it holds. The pilot is the config itself with half of its dimensions common, for a few
hundred steps; give the same --cfg-options here (model.head.common_dim=...). docs/better.md has what other pilots give.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config')
    add_argument(parser, 'checkpoint', help='of the pilot, or "random" for encoders that are not trained')
    parser.add_argument('--samples', type=int, default=2048, help='at most, from the beginning of the training set (default: 2048)')
    parser.add_argument('--batch-size', type=int, default=64, help='samples at a time (default: 64)')
    parser.add_argument('--level', default='encoder', choices=['embedding', 'encoder'], help='what is compared (default: encoder)')
    add_argument(parser, 'seed', default=0, help='of the views, the halves and of random encoders (default: 0)')
    add_argument(parser, 'out', help='write all figures to this JSON file')
    add_argument(parser, 'device')
    add_argument(parser, 'cfg-options')
    args = parser.parse_args()
    if args.samples < 32 or args.batch_size < 1:
        parser.error('--samples must be at least 32 and --batch-size at least 1.')
    return args


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
import torch
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader, Subset

from decur.binding import bind
from decur.datasets import SharedCollate, multimodal_collate
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.shared_dimensions import suggest_common_share
from decur.explain.loading import load_explained
from decur.explain.representation import represent
from decur.writing import write_json


@torch.inference_mode()
def views_of(model, dataset, batch_size: int, level: str) -> dict:
    """Representations ``(N, K)`` of two views by modality."""
    found = {name: ([], []) for name in model.modalities}
    for batch in DataLoader(dataset, batch_size, collate_fn=SharedCollate(multimodal_collate)):
        inputs = model.data_preprocessor(batch)['inputs']
        for view in range(2):
            for name, z in represent(model, {name: x[view] for name, x in inputs.items()}, level).items():
                found[name][view].append(z.float().cpu().numpy())
    return {name: tuple(np.concatenate(part) for part in parts) for name, parts in found.items()}


@exit_on_bad_input()
def main():
    """Load, represent, count, print."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if cfg.model.get('type') != 'MultimodalPretraining':
        raise ConfigError(f'{args.config} is no pretraining config: its model is a {cfg.model.get("type")}.')
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    set_random_seed(args.seed)
    dataset = DATASETS.build(bind(cfg).train_dataloader.dataset)
    dataset.seed = args.seed
    model = load_explained(cfg, None if args.checkpoint == 'random' else args.checkpoint, args.level).to(args.device).eval()
    first = Subset(dataset, range(min(len(dataset), args.samples)))
    found = suggest_common_share(views_of(model, first, args.batch_size, args.level), seed=args.seed)
    for name, count in found['within'].items():
        print(f'{name}: {count} dimensions that two views have in common')
    for (a, b), count in found['across'].items():
        print(f'{a} and {b}: {count} shared')
    width = cfg.model.neck.get('out_channels', 8192)
    print(f'share of common dimensions: {found["share"]:.2f}, of {width}: model.head.common_dim={round(found["share"] * width)}')
    if args.out:
        names = {'-'.join(key) if isinstance(key, tuple) else key: value for key, value in found['correlations'].items()}
        write_json(args.out, dict(
            config=args.config, checkpoint=args.checkpoint, share=found['share'], within=found['within'],
            across={'-'.join(key): count for key, count in found['across'].items()},
            correlations={name: dict(held_out=list(map(float, values)), chance=chance) for name, (values, chance) in names.items()}))


if __name__ == '__main__':
    main()

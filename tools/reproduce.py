"""Fill one row of docs/results.md: pretrain (unless that was done), transfer, test. Steps that are done are not repeated.

    python tools/reproduce.py bigearthnet_s1-s2_r50-rda_frozen --labels 1 --pretraining decur --gpus 4

The data lie where the configs look for them (data/...); docs/remote_sensing.md and docs/rgbd.md say how they get there. The record of the
test goes below work_dirs, where tools/table.py finds it.
"""
import argparse
from pathlib import Path

from decur_command.arguments import answer_help

_CONTRASTIVE = ['model.neck.hid_channels=512', 'model.neck.out_channels=128', 'model.neck.num_layers=2', 'model.head._delete_=True']
#: Options that make another objective of a DeCUR config; ResNet50 has configs of its own.
OBJECTIVES = {
    'decur': [],
    'barlow-twins': ['model.head._delete_=True', 'model.head.type=MultimodalBarlowTwinsHead'],
    'simclr': [*_CONTRASTIVE, 'model.head.type=MultimodalSimCLRHead', 'model.head.temperature=0.1'],
    'clip': [*_CONTRASTIVE, 'model.head.type=MultimodalCLIPHead', 'model.head.temperature=0.07'],
    'vicreg': ['model.head._delete_=True', 'model.head.type=MultimodalVICRegHead'],
}

#: Starts without a pretraining of this project; ImageNet weights are what the transfer config itself begins with, or --weights.
STARTS = (*OBJECTIVES, 'random', 'imagenet')


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='name of a transfer config, without .py')
    parser.add_argument('--pretraining', choices=STARTS, default='decur', help='what the encoders start from (default: decur)')
    parser.add_argument('--labels', type=float, default=100, metavar='PERCENT', help='share of the training labels (default: 100)')
    parser.add_argument('--weights', help='a checkpoint to start from instead of a pretraining run')
    parser.add_argument('--gpus', type=int, default=1, help='processes of the pretraining and the transfer (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the pretraining and the transfer')
    parser.add_argument('--tta', action='store_true', help='test at several scales and flipped (CMX is published so)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs'), help='where everything goes')
    parser.add_argument('--dry-run', action='store_true', help='print the configs and options; run nothing')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from steps import run_step

from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input

TOOLS = Path(__file__).parent
CONFIGS = TOOLS.parent / 'configs'
#: Data of the pretraining by data of the transfer.
_PRETRAINED_ON = dict(bigearthnet='ssl4eo_s1-s2', geonrw='geonrw_rgb-dem', sunrgbd='sunrgbd_rgb-hha', nyudv2='sunrgbd_rgb-hha')


def transfer_config(name: str) -> Path:
    """The config of a transfer, by its name without ``.py``.

    Raises:
        ConfigError: If there is none.
    """
    found = [path for folder in ('classification', 'fcn', 'cmx') for path in (CONFIGS / folder).glob(f'{name}.py')]
    if not found or name.split('_')[0] not in _PRETRAINED_ON:
        raise ConfigError(f'there is no transfer config {name!r}; docs/results.md lists them.')
    return found[0]


def pretraining_config(name: str, objective: str) -> tuple:
    """The config and options of the pretraining that a transfer starts from.

    Raises:
        ConfigError: If there is none.
    """
    data, _, encoder, _ = name.split('_')
    stem = f'{_PRETRAINED_ON[data]}_{encoder}'
    if encoder == 'r50' and objective != 'decur':
        return CONFIGS / 'baselines' / f'{stem}_{objective}.py', []
    path = CONFIGS / 'decur' / ('decur_sunrgbd.py' if stem == 'sunrgbd_rgb-hha_mit-b2' else f'{stem}_decur.py')
    if not path.is_file():
        raise ConfigError(f'there is no pretraining config for {name}: {path.name} does not exist.')
    return path, OBJECTIVES[objective]


def train(config: Path, folder: Path, args: argparse.Namespace, options: list) -> Path:
    """Train on the GPUs; returns the last checkpoint."""
    command = [TOOLS / 'train.py']
    if args.gpus > 1:
        command = [TOOLS / 'torchrun.py', f'--nproc_per_node={args.gpus}', '--master_port=29500', TOOLS / 'train.py']
    command += [config, *(['--launcher', 'pytorch'] if args.gpus > 1 else []), '--work-dir', folder, '--seed', args.seed, '--resume']
    run_step(*command, *(['--cfg-options', *options] if options else []), done=folder / _last(config))
    return folder / _last(config)


def _last(config: Path) -> str:
    loop = load_config(str(config)).train_cfg
    return f'epoch_{loop.max_epochs}.pth' if loop.get('by_epoch', 'max_epochs' in loop) else f'iter_{loop.max_iters}.pth'


@exit_on_bad_input()
def main() -> None:
    """Run what is missing."""
    args = parse_args()
    config = transfer_config(args.config)
    if not 0 < args.labels <= 100:
        raise ConfigError(f'--labels {args.labels:g}: give a share in percent, above 0 and up to 100.')
    options = [] if args.labels == 100 else [f'train_dataloader.dataset.fraction={args.labels / 100:g}']
    pretraining = None
    if args.pretraining in OBJECTIVES and not args.weights:
        pretraining = pretraining_config(args.config, args.pretraining)
    if args.dry_run:
        print('\n'.join(' '.join(map(str, part)) for part in (
            *([(pretraining[0].relative_to(CONFIGS), *pretraining[1])] if pretraining else []), (config.relative_to(CONFIGS), *options))))
        return
    weights = args.weights
    if pretraining:
        folder = args.work_dir / f'{pretraining[0].stem}_{args.pretraining}_seed{args.seed}'
        weights = train(pretraining[0], folder, args, pretraining[1])
    if weights:
        options.append(f'model.backbone.pretrained={weights}')
    folder = args.work_dir / f'{args.config}_{args.labels:g}_{args.pretraining}_seed{args.seed}'
    checkpoint = train(config, folder, args, options)
    run_step(TOOLS / 'test.py', config, checkpoint, '--work-dir', folder, '--out', folder / 'metrics.json',
             *(['--tta'] if args.tta else []), done=folder / 'metrics.json')


if __name__ == '__main__':
    main()

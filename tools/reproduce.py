"""Fill one row of docs/results.md: pretrain (unless that was done), transfer, test. Steps that are done are not repeated.

    python tools/reproduce.py bigearthnet_s1-s2_r50-rda_frozen --labels 1 --pretraining decur --gpus 4
    python tools/reproduce.py bigearthnet_s1-s2_r50-rda_frozen --labels 1 --weights decur_resnet50-rda_ssl4eo-s12

The second begins with weights that were published, by name, in the place of a pretraining.

The data lie where the configs look for them (data/...); docs/remote_sensing.md and docs/rgbd.md say how they get there. The record of the
test goes below work_dirs, where tools/table.py finds it.
"""
import argparse
import re
import zlib
from pathlib import Path

from decur_command.arguments import add_argument, answer_help

_CONTRASTIVE = ['model.neck.hid_channels=512', 'model.neck.out_channels=128', 'model.neck.num_layers=2', 'model.head._delete_=True']
#: Options that make another objective of a DeCUR config; ResNet50 has configs of its own.
OBJECTIVES = {
    'decur': [],
    'barlow-twins': ['model.head._delete_=True', 'model.head.type=MultimodalBarlowTwinsHead'],
    'simclr': [*_CONTRASTIVE, 'model.head.type=MultimodalSimCLRHead', 'model.head.temperature=0.1'],
    'clip': [*_CONTRASTIVE, 'model.head.type=MultimodalCLIPHead', 'model.head.temperature=0.07'],
    'vicreg': ['model.head._delete_=True', 'model.head.type=MultimodalVICRegHead'],
}

#: What the encoders start from: a pretraining of this project, or none.
STARTS = (*OBJECTIVES, 'random', 'imagenet')


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='name of a transfer config, without .py')
    parser.add_argument('--pretraining', choices=STARTS, default='decur', help='what the encoders start from (default: decur)')
    parser.add_argument('--labels', type=float, default=100, metavar='PERCENT', help='share of the training labels (default: 100)')
    parser.add_argument('--weights', help='a checkpoint to start from instead of a pretraining run, or the name of published weights '
                        '(`decur weights` lists them)')
    parser.add_argument('--gpus', type=int, default=1, help='processes of the pretraining and the transfer (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the pretraining and the transfer')
    parser.add_argument('--tta', action='store_true', help='test at several scales and flipped (CMX is published so)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs'), help='where everything goes')
    add_argument(parser, 'cfg-options', help='settings of the transfer and its test, for example where the data lie: '
                 'train_dataloader.dataset.data_root=FOLDER test_dataloader.dataset.data_root=FOLDER')
    parser.add_argument('--dry-run', action='store_true', help='print the configs and options; run nothing')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from steps import run_step

from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.weights.zoo import WEIGHTS, named_weights

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


def start_options(cfg, weights: str | None, pretraining: str) -> tuple:
    """Options that let the encoders of a transfer config start from weights.

    Args:
        cfg (Config): The transfer config.
        weights (str, optional): The checkpoint, or the name of published weights.
        pretraining (str): Without weights, ``'random'`` or ``'imagenet'``.

    Returns:
        tuple[list[str], list[str]]: Options of the training alone, and those of the training and the test.

    Raises:
        ConfigError: If there are no ImageNet weights for the config.
    """
    entries = {name: entry for name, entry in cfg.modalities.items() if entry is not None}
    if not weights:
        starts = {name: (entry.encoder.get('init_cfg') or {}).get('type') == 'Pretrained' for name, entry in entries.items()}
        if pretraining == 'random':
            return [f'modalities.{name}.encoder.init_cfg=None' for name, pretrained in starts.items() if pretrained], []
        if all(starts.values()):
            return [], []
        weights = {f'segformer_mit-{entry.encoder.get("arch")}_imagenet' for entry in entries.values()}.intersection(WEIGHTS)
        if len(weights) != 1:
            raise ConfigError('the encoders of this config do not begin with ImageNet weights, and none are known for them: give '
                              '--weights.')
        weights = weights.pop()
    published = named_weights(weights)
    if published is None:
        return [f'model.backbone.pretrained={weights}'], []
    # One encoder for all modalities is named for each of them. Encoders that were trained on B, G, R are given that, in the test too.
    start = [f'model.backbone.pretrained={weights}'] if len(published.modalities) > 1 or len(entries) == 1 else [
        f'model.backbone.pretrained.{name}={weights}' for name in entries]
    return start, [f'modalities.{name}.channel_order=bgr' for name in entries
                   if name in published.inputs and published.inputs[name].reversed]


def train(config: Path, checkpoint: Path, args: argparse.Namespace, options: list) -> None:
    """Train on the GPUs until the last checkpoint is there."""
    command = [TOOLS / 'train.py']
    if args.gpus > 1:
        command = [TOOLS / 'torchrun.py', f'--nproc_per_node={args.gpus}', '--master_port=29500', TOOLS / 'train.py']
    command += [config, *(['--launcher', 'pytorch'] if args.gpus > 1 else []), '--work-dir', checkpoint.parent]
    command += ['--seed', args.seed, '--resume']
    run_step(*command, *(['--cfg-options', *options] if options else []), done=checkpoint)


def _last(cfg) -> str:
    """The last checkpoint of a run."""
    loop = cfg.train_cfg
    return f'epoch_{loop.max_epochs}.pth' if loop.get('by_epoch', 'max_epochs' in loop) else f'iter_{loop.max_iters}.pth'


@exit_on_bad_input()
def main() -> None:
    """Run what is missing."""
    args = parse_args()
    config = transfer_config(args.config)
    if not 0 < args.labels <= 100:
        raise ConfigError(f'--labels {args.labels:g}: give a share in percent, above 0 and up to 100.')
    cfg = load_config(str(config), args.cfg_options)
    own = [f'{key}={value}' for key, value in args.cfg_options.items()]
    fraction = [] if args.labels == 100 else [f'train_dataloader.dataset.fraction={args.labels / 100:g}']
    pretraining, weights, start = None, args.weights, args.pretraining
    if args.pretraining in OBJECTIVES and not weights:
        pretraining = pretraining_config(args.config, args.pretraining)
        folder = args.work_dir / f'{pretraining[0].stem}_{args.pretraining}_seed{args.seed}'
        weights = folder / _last(load_config(str(pretraining[0])))
    elif weights:
        start = re.sub(r'[^\w.-]+', '-', Path(weights).stem if '/' in weights else weights)
    first, always = start_options(cfg, str(weights) if weights else None, args.pretraining)
    always += own
    if args.dry_run:
        print('\n'.join(' '.join(map(str, part)) for part in (
            *([(pretraining[0].relative_to(CONFIGS), *pretraining[1])] if pretraining else []),
            (config.relative_to(CONFIGS), *fraction, *first, *always))))
        return
    if pretraining:
        train(pretraining[0], weights, args, pretraining[1])
    changed = f'_{zlib.crc32(" ".join(sorted(own)).encode()):08x}' if own else ''  # other settings are another run
    folder = args.work_dir / f'{args.config}_{args.labels:g}_{start}_seed{args.seed}{changed}'
    checkpoint = folder / _last(cfg)
    train(config, checkpoint, args, [*fraction, *first, *always])
    run_step(TOOLS / 'test.py', config, checkpoint, '--work-dir', folder, '--out', folder / 'metrics.json',
             *(['--tta'] if args.tta else []), *(['--cfg-options', *always] if always else []), done=folder / 'metrics.json')


if __name__ == '__main__':
    main()

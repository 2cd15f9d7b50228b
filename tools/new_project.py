"""Make a project for your own co-registered folders: statistics, configs for pretraining and transfer, a split, a README, a picture.

    decur init FOLDER                       # FOLDER has one folder for each sensor, and files of the same name in each
    decur init FOLDER --labels mask --classes water,land --kind dem=elevation --out my_project

Proposes kinds of data, augmentations, encoder and schedule, which the configs that it writes say. Called again, it keeps edited files.
"""
import os
import shlex
from pathlib import Path

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('folder', help='the data: one folder for each sensor, files of the same name in each')
    parser.add_argument('--out', help="the project's folder (default: FOLDER's name with -decur, where you are)")
    parser.add_argument('--labels', metavar='NAME', help='the folder of label maps, or none (default: told by its name)')
    parser.add_argument('--classes', metavar='A,B,...', help='names of the classes, in the order of their values')
    parser.add_argument('--kind', nargs='+', default=[], metavar='NAME=KIND',
                        help='what a folder holds: sar, optical, rgb, elevation, hha, other')
    parser.add_argument('--count', type=int, default=64, help='images of each folder to read for statistics (default: 64)')
    parser.add_argument('--test-share', type=float, default=0.2, help='of the samples, about (default: 0.2)')
    parser.add_argument('--gpu', type=float, metavar='GIB', help="memory of the GPU to plan for; 0 for none (default: this machine's)")
    parser.add_argument('--force', action='store_true', help='write over files that were edited')
    add_argument(parser, 'seed', default=0, help='of the split and of the sample that is read (default: 0)')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
import torch
from mmengine.registry import DATASETS, init_default_scope
from own_project.data import look
from own_project.files import count_samples, write
from own_project.proposals import KINDS, propose, split_ids

from decur.binding import bind
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.progress import Progress
from decur.visualization import sheet
from decur.visualization.images import modality_picture, save_picture


def kinds_of(pairs: list) -> dict:
    """``NAME=KIND`` texts by name.

    Raises:
        ConfigError: If one has another form.
    """
    wrong = [pair for pair in pairs if not all(pair.partition('='))]
    if wrong:
        raise ConfigError(f'--kind takes NAME=KIND, got {wrong[0]!r}.')
    return dict(pair.split('=', 1) for pair in pairs)


def gpu_memory() -> float:
    """GiB of this machine's first GPU, 0 without one."""
    return torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else 0.0


def draw_views(config: Path, path: Path, rows: int = 4) -> None:
    """Samples of a pretraining config as they are, and two views of each modality as they are trained on."""
    cfg = bind(load_config(str(config)))
    init_default_scope(cfg.default_scope)
    dataset = dict(cfg.train_dataloader.dataset)
    whole = DATASETS.build(dict(dataset, pipeline=[dict(type='LoadModalities'), dict(type='PackModalities')]))
    views = DATASETS.build(dataset)
    entries = cfg.model.backbone.modalities
    pictures = []
    for i in np.unique(np.linspace(0, len(views) - 1, rows).astype(int)).tolist():
        images, drawn = whole[i]['inputs'], views[i]['inputs']
        pictures.append([modality_picture(tensor.numpy().transpose(1, 2, 0), name, entries[name])
                         for name in entries for tensor in (images[name], *drawn[name])])
    save_picture(sheet(pictures, [title for name in entries for title in (name, f'{name}, view 1', f'{name}, view 2')]), path)


@exit_on_bad_input()
def main():
    """Look, propose, write, draw."""
    args = parse_args()
    if not 0 < args.test_share < 1:
        raise ConfigError(f'--test-share must lie between 0 and 1, got {args.test_share}.')
    out = Path(args.out or f'{Path(args.folder).resolve().name}-decur')
    classes = [name.strip() for name in args.classes.split(',')] if args.classes else []
    with Progress(0, 'statistics', unit='images', every=5) as progress:
        def show(done, total):
            progress.total = total
            progress.advance(done)
        found = look(args.folder, args.labels, kinds_of(args.kind), classes, args.count, args.seed, show)
    split = split_ids(found.ids, args.test_share, np.random.default_rng(args.seed))
    gpu = gpu_memory() if args.gpu is None else args.gpu
    plan = propose(len(split[0]), found.side, len(found.entries), gpu, os.cpu_count() or 1)
    plan = propose(count_samples(found, split[0], plan.size), found.side, len(found.entries), gpu, os.cpu_count() or 1)
    state = write(found, plan, split, out, args.force)
    for name, kind in found.kinds.items():
        entry = found.entries[name]
        print(f'{name}: {KINDS[kind][0]} (--kind {name}={kind}), {entry["channels"]} channels, mean {entry["mean"]}, std {entry["std"]}')
    for note in found.notes:
        print(note)
    for name, number in found.gaps.items():
        print(f'{number} sample(s) lack {name} and are left out')
    for i, (sample, reason) in enumerate(found.broken.items()):
        if i < 5:
            print(f'left out {sample}: {reason}')
    if found.broken:
        print(f'{len(found.broken)} of {len(found.broken) + len(found.ids)} samples cannot be read and are not in the splits; '
              'decur inspect reads every file')
    print(plan.why)
    for name, what in state.items():
        print(f'{out / name}: {what}')
    draw_views(out / 'configs' / 'pretrain.py', out / 'views.png')
    config, work_dir = (shlex.quote(str(out / path)) for path in ('configs/pretrain.py', 'work_dirs/pretrain'))
    print(f'look at {out / "views.png"}, then:\ndecur train {config} --work-dir {work_dir}')


if __name__ == '__main__':
    main()

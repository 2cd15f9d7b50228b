"""The main job on two CPU cores: generate rooms, pretrain DeCUR, transfer with few labels, compare with random initialisation.

Every step is a command of the other tools, printed before it runs; a step that is done is not repeated, so the run can be stopped and
started again.
"""
import argparse
import json
import time
from pathlib import Path

from decur_command.arguments import answer_help


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, default=0, help='seed of the pretraining and of the transfers')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/quickstart'), help='where everything but the scenes goes')
    parser.add_argument('--data', type=Path, default=Path('data/rooms'), help='where the scenes go')
    parser.add_argument('--scale', type=float, default=1.0, help='share of all scenes, epochs and iterations, to try the steps out')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
from PIL import Image
from steps import run_step

from decur.engine import load_config
from decur.engine.amp import fast_bfloat16
from decur.errors import exit_on_bad_input
from decur.visualization import label_picture, sheet
from decur.visualization.images import save_picture

TOOLS = Path(__file__).parent
CONFIGS = TOOLS.parent / 'configs' / 'quickstart'
#: Scenes for pretraining (a few of which are labelled) and for testing.
NUM_TRAIN, NUM_TEST = 2000, 200
PRETRAINING = 'rooms_rgb-hha_small-resnet_decur.py'
#: Row of the table, transfer config.
TRANSFERS = {
    'RGB, frozen encoder': 'rooms_rgb_small-resnet_frozen.py',
    'RGB, fine-tuned': 'rooms_rgb_small-resnet_finetune.py',
}


def transfer(config: str, work_dir: Path, pretrained: Path | None, args: argparse.Namespace) -> float:
    """Train and test one transfer config; returns mIoU in percent."""
    iterations = max(round(load_config(str(CONFIGS / config)).train_cfg.max_iters * args.scale), 2)
    options = [f'{loader}_dataloader.dataset.data_root={args.data}' for loader in ('train', 'test')]
    if pretrained:
        options.append(f'model.backbone.pretrained={pretrained}')
    checkpoint = work_dir / f'iter_{iterations}.pth'
    run_step(TOOLS / 'train.py', CONFIGS / config, '--work-dir', work_dir, '--seed', args.seed, '--cfg-options',
             f'train_cfg.max_iters={iterations}', f'param_scheduler.0.end={iterations}',
             f'default_hooks.checkpoint.interval={iterations}', *options, done=checkpoint)
    metrics = work_dir / 'metrics.json'
    run_step(TOOLS / 'test.py', CONFIGS / config, checkpoint, '--work-dir', work_dir, '--show-dir', work_dir / 'show', '--out', metrics,
             '--cfg-options', options[1], done=metrics)
    return json.loads(metrics.read_text(encoding='utf-8'))['mIoU']


def picture(path: Path, out: Path, root: Path, table: dict, count: int = 5) -> None:
    """Inputs, label and the predictions of all four segmentors side by side, for the test scenes with most classes."""
    cfg = load_config(str(CONFIGS / 'rooms_rgb_small-resnet_frozen.py'))
    names = (root / 'test.txt').read_text(encoding='utf-8').split()
    labels = {name: np.asarray(Image.open(root / 'label' / f'{name}.png')) for name in names}
    names = sorted(names, key=lambda name: -len(np.unique(labels[name])))[:count]
    titles = ['RGB', 'depth (HHA)', 'label'] + [
        f'{start}, {title.split(", ")[1].removesuffix(" encoder")}\nmIoU {value:.1f} %' for title, values in table.items()
        for start, value in zip(('random', 'DeCUR'), values)]
    rows = []
    for name in names:
        row = [np.asarray(Image.open(root / folder / f'{name}.png').convert('RGB')) for folder in ('rgb', 'hha')]
        # Void pixels wrap around to 255, which is drawn black.
        row.append(label_picture(labels[name].astype(np.uint8) - np.uint8(1), cfg.palette))
        for config in TRANSFERS.values():
            for start in ('random', 'decur'):
                found = out / f'{start}_{Path(config).stem}' / 'show' / 'predictions' / f'{name}.png'
                row.append(label_picture(np.asarray(Image.open(found)), cfg.palette))
        rows.append(row)
    legend = {**dict(zip(cfg.classes, cfg.palette)), 'void (not scored); in HHA: no depth': (0, 0, 0)}
    save_picture(sheet(rows, titles, legend, cell=256), path)


@exit_on_bad_input()
def main() -> None:
    """Run all steps and print the table."""
    args = parse_args()
    out = args.out / f'seed{args.seed}'
    start = time.time()
    pretraining = load_config(str(CONFIGS / PRETRAINING))
    labelled = load_config(str(CONFIGS / TRANSFERS['RGB, frozen encoder'])).train_dataloader.dataset.num_samples
    run_step(TOOLS / 'generate_dataset.py', 'rooms', args.data, '--num-train', max(round(NUM_TRAIN * args.scale), labelled, 64),
             '--num-test', max(round(NUM_TEST * args.scale), 8), '--size', 64, 64, '--seed', 0,
             done=args.data / 'test.txt', log=out / 'rooms.log')
    epochs = max(round(pretraining.train_cfg.max_epochs * args.scale), 1)
    checkpoint = out / 'decur' / f'epoch_{epochs}.pth'
    amp = ['--amp'] if fast_bfloat16() else []
    run_step(TOOLS / 'train.py', CONFIGS / PRETRAINING, '--work-dir', out / 'decur', '--seed', args.seed, '--resume', *amp, '--cfg-options',
             f'train_dataloader.dataset.data_root={args.data}', f'train_cfg.max_epochs={epochs}', f'param_scheduler.0.T_max={epochs}',
             done=checkpoint)
    table = {}
    for title, config in TRANSFERS.items():
        stem = Path(config).stem
        table[title] = [
            transfer(config, out / f'{name}_{stem}', weights, args) for name, weights in (('random', None), ('decur', checkpoint))
        ]
    picture(out / 'quickstart.png', out, args.data, table)
    print(f'\nmIoU in percent, {labelled} labelled scenes, seed {args.seed}')
    print(f'{"":24}{"random":>8}{"DeCUR":>8}{"gain":>8}')
    for title, (random, decur) in table.items():
        print(f'{title:24}{random:8.2f}{decur:8.2f}{decur - random:+8.2f}')
    print(f'picture: {out / "quickstart.png"} ({time.time() - start:.0f} s in all)')
    random, decur = table['RGB, frozen encoder']
    print(f'quickstart: mIoU random={random:.2f} decur={decur:.2f}')


if __name__ == '__main__':
    main()

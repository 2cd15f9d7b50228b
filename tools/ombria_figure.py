"""Draw chips of OMBRIA with the predictions of segmentors from random and from DeCUR encoders, frozen and fine-tuned.

    python tools/ombria_figure.py CHECKPOINTS --data data/ombria --out docs/images/ombria.png

CHECKPOINTS is a folder with transfer_frozen/{random,decur}_subset0.pth and transfer_finetune/{random,decur}_subset0.pth. Every chip of the
list is predicted (which is kept in the work directory). The chips that are shown are not chosen by eye: of those with between 5 and 95 %
flood they are at given percentiles of the gain of DeCUR over random with frozen encoders.
"""
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('checkpoints', type=Path, help='folder of the four checkpoints')
    parser.add_argument('--data', type=Path, default=Path('data/ombria'), help='folder of the prepared data')
    parser.add_argument('--out', type=Path, default=Path('docs/images/ombria.png'), help='the picture')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ombria_figure'), help='where predictions are kept')
    parser.add_argument('--list', default='scene_test.txt', help='list of the chips to choose from')
    parser.add_argument('--percentiles', type=float, nargs='+', default=[10, 25, 50, 75, 90], help='of the gain, a row each')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
import torch

from decur.apis.inferencer import SegmentationInferencer
from decur.cli import output_file
from decur.errors import DataError, exit_on_bad_input
from decur.readers.files import AutoReader
from decur.visualization import sheet
from decur.visualization.images import save_picture
from decur.writing import output_folder, write_bytes

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'ombria' / 'ombria_s1-s2_small-resnet_finetune.py'
#: Column title: folder and file of the checkpoint.
MODELS = {f'{start}, {title}': f'transfer_{protocol}/{name}_subset0.pth'
          for protocol, title in (('frozen', 'frozen'), ('finetune', 'fine-tuned'))
          for start, name in (('random', 'random'), ('DeCUR', 'decur'))}
#: Chips with less or more flood than these shares are not drawn: they show one colour.
SHARES = .05, .95
#: What a pixel is, and its colour.
COLOURS = {'dry': (226, 216, 188), 'flood': (0, 90, 200), 'flood that is missed': (214, 40, 120), 'dry, called flood': (255, 150, 0)}


def predict(checkpoint: Path, data: Path, chips: list, kept: Path) -> np.ndarray:
    """Where a segmentor sees flood, (N, H, W) bool; computed once, kept as a bit a pixel."""
    if kept.is_file():
        bits = np.load(kept)
        if len(bits) == len(chips):
            return np.unpackbits(bits, axis=-1).astype(bool)
    segment = SegmentationInferencer(str(CONFIG), str(checkpoint))
    found = np.stack([segment(dict(sar=str(data / 's1' / f'{chip}.tif'), optical=str(data / 's2' / f'{chip}.tif')))['prediction'] == 1
                      for chip in chips])
    output_folder(kept.parent)
    with open(kept, 'wb') as file:
        np.save(file, np.packbits(found, axis=-1))
    return found


def iou(found: np.ndarray, label: np.ndarray) -> float:
    """IoU of flood in percent over all pixels; 100 where there is none and none is found."""
    union = (found | label).sum()
    return 100 * float((found & label).sum() / union) if union else 100.


def choose(gains: np.ndarray, percentiles: list) -> list:
    """Indices of the chips whose gain is nearest to each percentile of the gains, no chip twice, from the largest gain down."""
    chosen: list = []
    for value in sorted(np.percentile(gains, percentiles), reverse=True):
        order = np.argsort(np.abs(gains - value), kind='stable')
        chosen.append(next(int(i) for i in order if i not in chosen))
    return chosen


def stretched(dates: list) -> list:
    """Images of one sensor on two dates (H, W, C) uint8 to RGB, by one stretch from their 2nd to their 98th percentile."""
    low, high = (np.percentile(np.stack(dates), q, axis=(0, 1, 2)) for q in (2, 98))
    pictures = [((image - low) / np.maximum(high - low, 1)).clip(0, 1) * 255 for image in dates]
    return [np.broadcast_to(picture.astype(np.uint8), (*picture.shape[:2], 3)).copy() for picture in pictures]


def compared(found: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A prediction in the colours of what is right and wrong, (H, W, 3) uint8."""
    dry, flood, missed, wrong = (np.array(colour, np.uint8) for colour in COLOURS.values())
    return np.where(label[..., None], np.where(found[..., None], flood, missed), np.where(found[..., None], wrong, dry))


@exit_on_bad_input()
def main():
    """Predict, choose, draw."""
    args = parse_args()
    output_file(args.out)
    torch.set_num_threads(1)
    path = args.data / args.list
    if not path.is_file():
        raise DataError(f'{path} does not exist: prepare the data with tools/prepare_dataset.py ombria.')
    chips = path.read_text(encoding='utf-8').split()
    read = AutoReader()
    labels = np.stack([read(str(args.data / 'label' / f'{chip}.png'))[..., 0] == 1 for chip in chips])
    found = {title: predict(args.checkpoints / file, args.data, chips, args.work_dir / f'{path.stem}_{Path(file).parent.name}_'
                            f'{Path(file).stem}.npy') for title, file in MODELS.items()}
    random, decur, *_ = found.values()
    shares = labels.mean(axis=(1, 2))
    shown = np.flatnonzero((shares >= SHARES[0]) & (shares <= SHARES[1]))
    gains = np.array([iou(decur[i], labels[i]) - iou(random[i], labels[i]) for i in shown])
    rows, captions = [], []
    for place in choose(gains, args.percentiles):
        i = int(shown[place])
        sar, optical = (read(str(args.data / folder / f'{chips[i]}.tif')) for folder in ('s1', 's2'))
        rows.append([*stretched([sar[..., :1], sar[..., 1:]]), *stretched([optical[..., :3], optical[..., 3:]]),
                     compared(labels[i], labels[i]), *(compared(masks[i], labels[i]) for masks in found.values())])
        captions.append(['', '', '', '', chips[i], *(f'IoU {iou(masks[i], labels[i]):.0f}' for masks in found.values())])
        print(f'{chips[i]}: gain {gains[place]:+.1f}, at the {100 * (gains <= gains[place]).mean():.0f}th percentile')
    titles = ['radar\nbefore', 'radar\nafter', 'optical\nbefore', 'optical\nafter', 'label',
              *(f'{title}\nflood IoU {iou(masks, labels):.1f} %' for title, masks in found.items())]
    save_picture(sheet(rows, titles, COLOURS, cell=224, captions=captions), args.out)
    text = ''.join(f'{title}: flood IoU {iou(masks, labels):.1f} on {args.list}\n' for title, masks in found.items())
    write_bytes(args.work_dir / 'iou.txt', text.encode())
    print(f'{text}{len(shown)} of {len(chips)} chips have {SHARES[0]:.0%} to {SHARES[1]:.0%} flood; picture: {args.out}')


if __name__ == '__main__':
    main()

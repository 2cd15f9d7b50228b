"""Compare pretraining on OMBRIA: prepare the data, pretrain, transfer with few labels, test on other scenes and other floods.

    python tools/ombria.py SRC [--quick]

SRC is a clone of github.com/geodrak/OMBRIA (needed until the data are prepared). Runs that are done are not repeated, so the command can be
stopped and started again. docs/ombria.md has the protocol and what came out.
"""
import time
from pathlib import Path

from mmengine.config import Config
from ombria_study.plan import plan
from ombria_study.runs import Setup, execute_all
from ombria_study.scores import iou

from decur.cli import make_parser
from decur.errors import exit_on_bad_input


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', help='clone of the repository')
    parser.add_argument('--quick', action='store_true', help='one seed, random and DeCUR, 32 labelled chips')
    parser.add_argument('--rounds', nargs='+', metavar='NAME', help='only these rounds of the study')
    parser.add_argument('--study', type=Path, default=Path('configs/ombria/study.py'), help='what is compared')
    parser.add_argument('--data', type=Path, default=Path('data/ombria'), help='folder of the prepared data')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ombria'), help='folder of the runs')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--amp', action='store_true')
    parser.add_argument('--scale', type=float, default=1., help='share of all epochs and iterations, to try the steps out')
    return parser.parse_args()


@exit_on_bad_input()
def main():
    """Run what is missing, then report."""
    args = parse_args()
    setup = Setup(args.study, args.data, args.work_dir, args.amp, args.scale)
    runs = plan(Config.fromfile(args.study), args.rounds, args.quick)
    start = time.time()
    for number, (run, record) in enumerate(execute_all(runs, setup, args.jobs), 1):
        areas = record.get('areas')
        text = (f'flood IoU {iou([areas["scene_test"]]):.1f} / {iou([areas[g] for g in areas if g != "scene_test"]):.1f}' if areas else
                f'loss {record["loss"]:.2f}')
        print(f'[{number}/{len(runs)}] {run.name}: {text}, {record["seconds"]:.0f} s; {(time.time() - start) / 60:.1f} min so far',
              flush=True)


if __name__ == '__main__':
    main()

"""Test the trained models of the comparison on OMBRIA on the four floods of another year, in several ways that need no labels.

    python tools/ombria_shift.py WORK_DIR --data data/ombria

WORK_DIR is that of tools/ombria.py. Tested are the transfers from random and from DeCUR encoders (frozen, 32 labelled chips, both sensors)
that lie there. What is done already is not repeated. docs/ombria.md says what came out.
"""
import csv
import io
import json
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('work_dir', type=Path, help='folder of the runs')
    parser.add_argument('--data', type=Path, default=Path('data/ombria'), help='folder of the prepared data')
    parser.add_argument('--study', type=Path, default=Path('configs/ombria/study.py'), help='what was compared')
    parser.add_argument('--arms', nargs='+', default=['random', 'decur'], metavar='NAME', help='arms to test')
    parser.add_argument('--subsets', nargs='+', type=int, default=list(range(10)), metavar='N', help='labelled subsets')
    parser.add_argument('--records', type=Path, help='where the counts are; default shift.csv in the work directory')
    parser.add_argument('--report-only', action='store_true', help='test nothing; the table of the records that are there')
    parser.add_argument('--doc', type=Path, help='also write the table into this document, between <!-- shift --> and <!-- /shift -->')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import torch
from decoupling_study.document import replace_between
from mmengine.config import Config
from mmengine.registry import init_default_scope
from ombria_study.plan import Transfer, plan
from ombria_study.runs import RECORD, Setup, checkpoint_of
from ombria_study.shift import COLUMNS, EVENTS, VARIANTS, batches_of, measure_events, shift_table

from decur.apis.inferencer import SegmentationInferencer
from decur.engine import load_config
from decur.errors import ConfigError, DataError, exit_on_bad_input
from decur.writing import write_bytes, write_csv


def read_rows(path: Path) -> list:
    """The rows of an earlier run.

    Raises:
        DataError: If the file is no such table.
    """
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))))
    if any(set(row) != set(COLUMNS) or None in row.values() for row in rows):
        raise DataError(f'{path} is no table of tools/ombria_shift.py, or damaged: delete it.')
    return rows


def write_rows(path: Path, rows: list) -> None:
    """Write rows as CSV, at once."""
    write_csv(path, COLUMNS, sorted(rows, key=lambda row: (row['arm'], int(row['subset']), list(VARIANTS).index(row['variant']))))


@exit_on_bad_input()
def main():
    """Test what is missing, report."""
    args = parse_args()
    for path in (args.study, args.doc):
        if path is not None and not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --study and --doc.')
    study, path = Config.fromfile(args.study), args.records or args.work_dir / 'shift.csv'
    rows = read_rows(path) if path.is_file() else []
    if not args.report_only:
        setup = Setup(args.study, args.data, args.work_dir)
        runs = [run for run in plan(study, ['first', 'subsets'], arms=args.arms, subsets=args.subsets) if isinstance(run, Transfer)]
        missing = [run for run in runs if not checkpoint_of(run, setup).is_file()]
        if missing:
            raise DataError(f'{checkpoint_of(missing[0], setup)} does not exist: run tools/ombria.py first.')
        config = args.study.parent / study.transfer
        cfg = load_config(str(config), {'test_dataloader.dataset.data_root': str(args.data)}, str(args.work_dir))
        init_default_scope(cfg.default_scope)
        torch.set_num_threads(1)
        chips = {event: batches_of(cfg, f'event2021_{event}.txt') for event in EVENTS}
        done = {(row['arm'], row['subset']) for row in rows}
        for run in runs:
            if (run.arm, str(run.subset)) not in done:
                checkpoint = checkpoint_of(run, setup)
                threshold = json.loads((checkpoint.parent / RECORD).read_text(encoding='utf-8'))['threshold']
                model = SegmentationInferencer(str(config), str(checkpoint)).model
                rows += [dict(arm=run.arm, subset=str(run.subset), **row) for row in measure_events(model, chips, threshold)]
                write_rows(path, rows)
                print(run.name, flush=True)
    if not rows:
        raise DataError(f'{path} has no records: run without --report-only.')
    table = shift_table(rows, study)
    if args.doc:
        write_bytes(args.doc, replace_between(args.doc.read_text(encoding='utf-8'), 'shift', table).encode())
    print(f'\nFlood IoU on event2021 in percent\n\n{table}\n\nrecords: {path}')


if __name__ == '__main__':
    main()

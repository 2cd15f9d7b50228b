"""Choose settings of pretraining on OMBRIA: the same ones for DeCUR and two baselines, on two of the training scenes.

    python tools/ombria_tuning.py SRC

SRC is a clone of github.com/geodrak/OMBRIA. Neither `scene_test` nor `event2021` is looked at. Runs that are done are not repeated. The
work directory gets tuning.csv (a line for every run) and tuning.md. docs/ombria.md has the rule and what came out.
"""
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', nargs='?', help='clone of the repository; not needed with --report-only')
    parser.add_argument('--arms', nargs='+', metavar='NAME', help='only these arms')
    parser.add_argument('--settings', nargs='+', metavar='NAME', help='only these settings')
    parser.add_argument('--study', type=Path, default=Path('configs/ombria/study.py'), help='what is compared: its `tuning`')
    parser.add_argument('--data', type=Path, default=Path('data/ombria'), help='folder of the prepared data')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ombria'), help='folder of the runs')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--scale', type=float, default=1., help='share of all epochs and iterations, to try the steps out')
    parser.add_argument('--any-version', action='store_true', help='take files that are not those of the published figures')
    parser.add_argument('--report-only', action='store_true', help='run nothing; the table of the records that are there')
    parser.add_argument('--records', type=Path, help='records to report and to add to; default tuning.csv in the work directory')
    parser.add_argument('--doc', type=Path, help='also write the table into this document, between <!-- tuning --> and <!-- /tuning -->')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decoupling_study.document import replace_between
from mmengine.config import Config
from ombria_study.plan import Transfer
from ombria_study.runs import Setup, execute_all
from ombria_study.scores import iou
from ombria_study.tuning import VALIDATION, merge_tuning, plan_tuning, read_tuning, tuning_row, tuning_table, write_tuning

from decur.engine.amp import fast_bfloat16
from decur.errors import ConfigError, exit_on_bad_input
from decur.prepare.ombria import prepare
from decur.writing import check_writable, output_folder, write_bytes


@exit_on_bad_input()
def main():
    """Prepare, run what is missing, report."""
    args = parse_args()
    for path in (args.study, args.doc):
        if path is not None and not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --study and --doc.')
    records, study = args.records or args.work_dir / 'tuning.csv', Config.fromfile(args.study)
    if not args.report_only:
        runs = plan_tuning(study, args.arms, args.settings)
        if args.src is None:
            raise ConfigError('give SRC, a clone of github.com/geodrak/OMBRIA: git clone https://github.com/geodrak/OMBRIA.')
        rows = read_tuning(records) if records.is_file() else []
        check_writable(args.work_dir)
        prepare(args.src, args.data, args.any_version, workers=args.jobs)
        output_folder(args.work_dir)
        setup = Setup(args.study, args.data, args.work_dir, fast_bfloat16(), args.scale)
        for number, (run, record) in enumerate(execute_all(runs, setup, args.jobs), 1):
            rows = merge_tuning(rows, [tuning_row(run, record)])
            write_tuning(records, rows)
            score = f'flood IoU {iou([record["areas"][VALIDATION]]):.1f}, ' if isinstance(run, Transfer) else ''
            print(f'[{number}/{len(runs)}] {run.name}: {score}loss {record["loss"]:.2f}, {record["seconds"]:.0f} s', flush=True)
    table = tuning_table(read_tuning(records), study)
    if args.doc:
        write_bytes(args.doc, replace_between(args.doc.read_text(encoding='utf-8'), 'tuning', table).encode())
    else:
        write_bytes(args.work_dir / 'tuning.md', table.encode() + b'\n')
    print(f'\nFlood IoU on {VALIDATION} in percent, 32 labelled chips, both sensors, frozen encoders\n\n{table}\n\nrecords: {records}')


if __name__ == '__main__':
    main()

"""Compare pretraining on OMBRIA: prepare the data, pretrain, transfer with few labels, test on other scenes and other floods.

    python tools/ombria.py SRC [--quick]

SRC is a clone of github.com/geodrak/OMBRIA. Runs that are done are not repeated, so the command can be stopped and started again. The work
directory gets records.csv (a line for every run), tables.md and results.png. docs/ombria.md has the protocol and what came out.
"""
import time
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', nargs='?', help='clone of the repository; not needed with --report-only')
    parser.add_argument('--quick', action='store_true', help='one seed of random and DeCUR with 32 labelled chips')
    parser.add_argument('--rounds', nargs='+', metavar='NAME', help='only these rounds of the study')
    parser.add_argument('--arms', nargs='+', metavar='NAME', help='only these arms')
    parser.add_argument('--subsets', nargs='+', type=int, metavar='N', help='only these labelled subsets')
    parser.add_argument('--study', type=Path, default=Path('configs/ombria/study.py'), help='what is compared')
    parser.add_argument('--data', type=Path, default=Path('data/ombria'), help='folder of the prepared data')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ombria'), help='folder of the runs')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--scale', type=float, default=1., help='share of all epochs and iterations, to try the steps out')
    parser.add_argument('--any-version', action='store_true', help='take files that are not those of the published figures')
    parser.add_argument('--report-only', action='store_true', help='run nothing; tables and figure of the records that are there')
    parser.add_argument('--records', type=Path, help='records to report and to add to; default records.csv in the work directory')
    parser.add_argument('--doc', type=Path, help='also write the tables into this document, between <!-- NAME --> and <!-- /NAME -->')
    parser.add_argument('--figure', type=Path, help='where the figure goes; default results.png in the work directory')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decoupling_study.document import replace_between
from mmengine.config import Config
from ombria_study.plan import plan
from ombria_study.records import merge, read_records, row_of, write_records
from ombria_study.report import Results, plot, tables
from ombria_study.runs import Setup, execute_all
from ombria_study.scores import iou

from decur.engine.amp import fast_bfloat16
from decur.errors import ConfigError, exit_on_bad_input
from decur.explain.files import save_figure
from decur.prepare.ombria import prepare
from decur.writing import check_writable, output_folder, write_bytes


def run_all(runs: list, setup: Setup, jobs: int, path: Path) -> None:
    """Execute runs; a line is printed, and the records are written, when one is done."""
    rows = read_records(path) if path.is_file() else []
    start = time.time()
    for number, (run, record) in enumerate(execute_all(runs, setup, jobs), 1):
        rows = merge(rows, [row_of(run, record)])
        write_records(path, rows)
        areas = record.get('areas')
        text = (f'flood IoU {iou([areas["scene_test"]]):.1f} on scene_test, '
                f'{iou([areas[group] for group in areas if group != "scene_test"]):.1f} on event2021' if areas else
                f'loss {record["loss"]:.2f}')
        print(f'[{number}/{len(runs)}] {run.name}: {text}, {record["seconds"]:.0f} s; {(time.time() - start) / 60:.1f} min so far',
              flush=True)


def report(args, records: Path) -> None:
    """Write tables and figure, and print the first table."""
    results = Results(read_records(records), Config.fromfile(args.study))
    found = tables(results)
    if args.doc:
        text = args.doc.read_text(encoding='utf-8')
        for name, table in found.items():
            text = replace_between(text, name, table)
        write_bytes(args.doc, text.encode())
    else:
        write_bytes(args.work_dir / 'tables.md', '\n\n'.join(f'## {name}\n\n{table}' for name, table in found.items()).encode() + b'\n')
    save_figure(args.figure or args.work_dir / 'results.png', plot(results))
    print(f'\nFlood IoU in percent, 32 labelled chips, both sensors\n\n{found["main"]}\n\n{found["differences"]}')
    print(f'\nrecords: {records}; tables: {args.doc or args.work_dir / "tables.md"}')


@exit_on_bad_input()
def main():
    """Prepare, run what is missing, report."""
    args, start = parse_args(), time.time()
    for path in (args.study, args.doc):
        if path is not None and not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --study and --doc.')
    records = args.records or args.work_dir / 'records.csv'
    if not args.report_only:
        runs = plan(Config.fromfile(args.study), args.rounds, args.quick, args.arms, args.subsets)
        if args.src is None:
            raise ConfigError('give SRC, a clone of github.com/geodrak/OMBRIA: git clone https://github.com/geodrak/OMBRIA.')
        check_writable(args.work_dir)
        prepare(args.src, args.data, args.any_version, workers=args.jobs)
        output_folder(args.work_dir)
        run_all(runs, Setup(args.study, args.data, args.work_dir, fast_bfloat16(), args.scale), args.jobs, records)
    report(args, records)
    print(f'{(time.time() - start) / 60:.1f} minutes in all')


if __name__ == '__main__':
    main()

"""Compare changes of DeCUR with plain DeCUR by the plan of docs/better.md, and write its tables.

Runs that are done are not repeated, one that was stopped goes on where it was, and a changed config is run again. The data that is missing
is generated first. Records go to docs/better.csv, a line for every run.
"""
import subprocess
import sys
import time
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('--tasks', nargs='+', metavar='NAME', help='only these tasks of the study')
    parser.add_argument('--arms', nargs='+', metavar='NAME', help='only these arms')
    parser.add_argument('--seeds', nargs='+', type=int, metavar='N', help='only these seeds')
    parser.add_argument('--study', type=Path, default=Path('configs/better/study.py'), help='what is compared')
    parser.add_argument('--data', type=Path, default=Path('data'), help='folder of the generated data')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/better'), help='folder of the runs')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--scale', type=float, default=1., help='share of all epochs and iterations, to try the steps out')
    parser.add_argument('--report-only', action='store_true', help='run nothing; write the tables of the records that are there')
    parser.add_argument('--records', type=Path, default=Path('docs/better.csv'), help='records to report and to add to')
    parser.add_argument('--doc', type=Path, default=Path('docs/better.md'), help='document with the places for the tables')
    parser.add_argument('--figures', type=Path, default=Path('docs/images'), help='folder of the figures')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from better_study.figures import plot_decoupling, plot_scores
from better_study.plan import plan
from better_study.report import merge, ombria_scores, read_records, row_of, tables, write_records
from better_study.runs import Setup, execute_all
from decoupling_study.document import replace_between
from mmengine.config import Config

from decur.errors import ConfigError, DataError, exit_on_bad_input
from decur.explain.files import save_figure
from decur.writing import check_writable, output_folder, write_bytes

TOOLS = Path(__file__).parent


def generate(study: Config, runs: list, data: Path) -> None:
    """Generate the data of the runs that is not there, by the commands of the study. A generator that was stopped goes on.

    Raises:
        DataError: If a generator fails.
    """
    for name in dict.fromkeys(name for run in runs for name in (run.data, run.transfer_data) if name):
        made = data / name / 'made_by_study.txt'
        if made.is_file():
            continue
        for tool, *arguments in study.data[name]:
            command = [str(TOOLS / tool), *(part.format(data=data) for part in arguments)]
            print('$ python ' + ' '.join(command), flush=True)
            if subprocess.run([sys.executable, *command]).returncode:
                raise DataError(f'{tool} failed, see above: {data / name} is not whole. Start again, it goes on.')
        write_bytes(made, b'The generators of this folder were done.\n')


def report(study: Config, folder: Path, doc: Path, rows: list) -> dict:
    """Write the tables of a study in this folder into the document."""
    text, found = doc.read_text(encoding='utf-8'), tables(study, rows, ombria_scores(study, folder))
    for name, table in found.items():
        text = replace_between(text, name, table)
    write_bytes(doc, text.encode())
    return found


@exit_on_bad_input()
def main():
    """Run what is missing, then report."""
    args, start = parse_args(), time.time()
    for path in (args.study, args.doc):
        if not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --study and --doc.')
    study = Config.fromfile(args.study)
    runs = plan(study, args.tasks, args.arms, args.seeds)
    rows = read_records(args.records)
    report(study, args.study.parent, args.doc, rows)  # before hours of training: the document has all places
    if not args.report_only:
        check_writable(args.work_dir)
        check_writable(args.records.parent)
        generate(study, runs, args.data)
        output_folder(args.work_dir)
        for number, (run, record) in enumerate(execute_all(runs, Setup(args.study, args.data, args.work_dir, args.scale), args.jobs), 1):
            rows = merge(read_records(args.records), [row_of(run, record)])
            write_records(args.records, rows)
            print(f'[{number}/{len(runs)}] {run.name}: {record["score"]:.2f}, {record["seconds"]:.0f} s; '
                  f'{(time.time() - start) / 60:.1f} min so far', flush=True)
    print(report(study, args.study.parent, args.doc, rows)['scores'])
    output_folder(args.figures)
    save_figure(args.figures / 'better_scores.png', plot_scores(study, rows))
    blocks = plot_decoupling(study, rows, study.get('decoupling', ()))
    if blocks is not None:
        save_figure(args.figures / 'better_decoupling.png', blocks)
    print(f'records: {args.records}; tables: {args.doc}; figures: {args.figures}')


if __name__ == '__main__':
    main()

"""Repeat, in small, the experiments that the two baselines of docs/better.md were published with: does what stands here do what it is for?

DisentangledSSL on its simulation, CoMM on pairs of pictures. Runs that are done are not repeated. Records go to
docs/better_baselines.csv, a line for every number.
"""
import time
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='N', help='(default: 0 1 2)')
    parser.add_argument('--steps', type=int, default=400, help='of every training (default: 400)')
    parser.add_argument('--config', type=Path, default=Path('configs/decoupling/shapes_optical-radar_small-resnet_decur.py'),
                        help="the shapes world's, whose encoders CoMM's experiment uses")
    parser.add_argument('--records', type=Path, default=Path('docs/better_baselines.csv'), help='records to report and to add to')
    parser.add_argument('--doc', type=Path, default=Path('docs/better.md'), help='document with the places for the tables')
    parser.add_argument('--report-only', action='store_true', help='run nothing; write the tables of the records that are there')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from better_study.baselines import COLUMNS, execute, plan, read_records, tables
from decoupling_study.document import replace_between

from decur.errors import ConfigError, exit_on_bad_input
from decur.writing import check_writable, write_bytes, write_csv


@exit_on_bad_input()
def main():
    """Run what is missing, then write the tables."""
    args, begin = parse_args(), time.time()
    for path in (args.config, args.doc):
        if not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --config and --doc.')
    rows, text = read_records(args.records), args.doc.read_text(encoding='utf-8')
    for name in tables(rows):
        replace_between(text, name, '')  # before minutes of training: the document has all places
    check_writable(args.records.parent)
    runs = [] if args.report_only else plan(args.seeds)
    for number, run in enumerate(runs, 1):
        done = {(row['experiment'], row['setting'], row['seed']) for row in rows if row['steps'] == args.steps}
        if run in done:
            continue
        found = execute(*run, args.steps, args.config)
        rows = [row for row in rows if (row['experiment'], row['setting'], row['seed']) != run]
        rows += [dict(zip(COLUMNS, (*run, args.steps, what, round(value, 2)))) for what, value in found.items()]
        write_csv(args.records, COLUMNS, rows)
        print(f'[{number}/{len(runs)}] {" ".join(map(str, run))}; {(time.time() - begin) / 60:.1f} min so far', flush=True)
    for name, table in tables(rows).items():
        text = replace_between(text, name, table)
        print(f'\n{table}')
    write_bytes(args.doc, text.encode())
    print(f'\nrecords: {args.records}; tables: {args.doc}')


if __name__ == '__main__':
    main()

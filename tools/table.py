"""Collect the records of tools/test.py into the paper's tables, the published values beside them."""
import argparse
import sys
from pathlib import Path

from decur_command.arguments import answer_help


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folders', nargs='*', default=['work_dirs'], help='where to look for test.json, at any depth (default: work_dirs)')
    parser.add_argument('--out', nargs='+', default=[], metavar='FILE', help='write the tables to these files, .md or .csv')
    args = parser.parse_args()
    unknown = [name for name in args.out if Path(name).suffix not in ('.md', '.csv')]
    if unknown:
        parser.error(f'cannot write {unknown}: the file must end in .md or .csv')
    return args


answer_help(parse_args)  # before the imports that take seconds

from decur.cli import output_file
from decur.errors import exit_on_bad_input
from decur.evaluation.results import collect, read_runs, to_csv, to_markdown
from decur.writing import write_bytes

FORMATS = {'.md': to_markdown, '.csv': to_csv}


@exit_on_bad_input()
def main():
    """Read, print, write."""
    args = parse_args()
    for name in args.out:
        output_file(name)
    runs, left_out = read_runs(args.folders)
    tables = collect(runs)
    for line in left_out:
        print(line, file=sys.stderr)
    print(to_markdown(*tables), end='')
    for name in args.out:
        write_bytes(name, FORMATS[Path(name).suffix](*tables).encode())


if __name__ == '__main__':
    main()

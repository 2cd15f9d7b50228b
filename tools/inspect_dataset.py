"""Say what a folder or a store is: layout, bands, values, the statistics that fit, what is missing, and the config line to use it."""
import argparse

from decur_command.arguments import answer_help


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('path', help='a folder of data, or a store')
    parser.add_argument('--out', help='write a contact sheet of all modalities to this PNG')
    parser.add_argument('--count', type=int, default=16, help='samples of each modality to read')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.cli import output_file
from decur.errors import exit_on_bad_input
from decur.prepare.inspect import inspect, report
from decur.visualization import sheet
from decur.visualization.images import placeholder
from decur.writing import replacing


@exit_on_bad_input()
def main() -> None:
    """Parse the command line, look and print."""
    args = parse_args()
    if args.out:
        output_file(args.out)
    found = inspect(args.path, args.count)
    if args.out and found['pictures']:
        names = list(found['modalities'])
        empty = placeholder('not read or missing')
        with replacing(args.out) as temporary:
            sheet([[row.get(name, empty) for name in names] for row in found['pictures'][:8]], names).save(temporary, 'PNG')
    print(report(found))


if __name__ == '__main__':
    main()

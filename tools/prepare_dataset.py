"""Turn a public data set, as its authors release it, into the files that our data sets read. Goes on where it was stopped."""
import argparse

from decur.errors import exit_on_bad_input
from decur.prepare.commands import add_command
from decur.prepare.releases import RELEASES


@exit_on_bad_input()
def main():
    """Parse the command line and run the data set's command."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='dataset', required=True)
    for release in RELEASES:
        add_command(subparsers, release)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()

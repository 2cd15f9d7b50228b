"""Turn a public data set, as its authors release it, into the files that our data sets read. Goes on where it was stopped."""
import argparse

from decur.errors import exit_on_bad_input
from decur.prepare import bigearthnet, geonrw, nyudv2, ssl4eo, sunrgbd

#: Every data set adds its own command.
DATASETS = (sunrgbd, nyudv2, ssl4eo, bigearthnet, geonrw)


def main():
    """Parse the command line and run the data set's command."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='dataset', required=True)
    for dataset in DATASETS:
        dataset.add_parser(subparsers)
    args = parser.parse_args()
    with exit_on_bad_input():
        args.run(args)


if __name__ == '__main__':
    main()

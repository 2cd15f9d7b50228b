"""Turn a public data set, as its authors release it, into the files that our data sets read. Goes on where it was stopped."""
import argparse

from decur_command.arguments import answer_help

#: Data sets, as decur.prepare.releases has them; each has arguments of its own.
TITLES = {
    'sunrgbd': 'SUN-RGBD to colour, depth, HHA and labels',
    'nyudv2': 'NYU-Depth v2 to colour, depth, HHA and labels',
    'ssl4eo': 'SSL4EO-S12 v1.0 or v1.1 to the compact store',
    'bigearthnet': 'BigEarthNet-MM v1 or v2 to the compact store',
    'geonrw': 'GeoNRW to the compact store',
    'ombria': 'OMBRIA (floods, Sentinel-1 and -2) to stacks of before and after',
    'potholes': 'stereo pothole data sets (RGB, disparity) to smaller pictures',
}


def parse_args(releases=()):
    """Command line, with the arguments of the data sets that are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='dataset', required=True)
    for release in releases:
        add_command(subparsers, release)
    for name in () if releases else TITLES:
        subparsers.add_parser(name, help=TITLES[name])
    return parser.parse_args()


answer_help(parse_args, alone=True)  # before the imports that take seconds

from decur.errors import exit_on_bad_input
from decur.prepare.commands import add_command
from decur.prepare.releases import RELEASES


@exit_on_bad_input()
def main():
    """Parse the command line and run the data set's command."""
    args = parse_args(RELEASES)
    args.run(args)


if __name__ == '__main__':
    main()

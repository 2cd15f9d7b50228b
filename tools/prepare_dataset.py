"""Turn a public data set, as its authors release it, into the files that our data sets read. Goes on where it was stopped."""
import argparse
import json

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


def add_command(subparsers, release: type) -> None:
    """Add the command of a data set, a class of :data:`~decur.prepare.releases.RELEASES`."""
    parser = subparsers.add_parser(release.command, help=release.title, description=release.__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='the release: a folder, extracted or (for stores) of the archives, whole or in parts')
    parser.add_argument('out', help='the store or folder to write')
    parser.add_argument('--subset', type=float, help='share (to 1) or number of samples, drawn without replacement')
    parser.add_argument('--seed', type=int, default=0, help='of --subset')
    parser.add_argument('--limit', type=int, help='only the first so many samples of each split')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--dry-run', action='store_true', help='count samples, records, bytes, files and time; write nothing')
    parser.add_argument('--verify', action='store_true', help='check every record of OUT; write nothing')
    parser.add_argument('--repair', action='store_true', help='check every record of OUT and make again what is damaged')
    release.add_options(parser)
    parser.set_defaults(run=lambda args: verify(release, args) if args.verify else prepare(release, args))


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

from decur.errors import DataError, exit_on_bad_input
from decur.prepare import engine
from decur.prepare.releases import RELEASES


def verify(release: type, args) -> None:
    """Check what was prepared."""
    wrong = release.verify(args.out, args.workers, args.subset is args.limit is None)
    for problem in wrong[1:50]:
        print(problem)
    if wrong:
        raise DataError(f'{args.out}: {wrong[0]}' + (f' ({len(wrong)} problems)' if len(wrong) > 1 else '') + '. Run the same command with '
                        '--repair instead of --verify.')
    left_out = release.left_out(args.out)
    print(f'{args.out}: every record is whole' + (f'; {len(left_out)} were left out' if left_out else ''))


def prepare(release: type, args) -> None:
    """Prepare, and say what was left out."""
    data = release.from_options(args)
    figures = engine.prepare(data, args.out, args.subset, args.limit, args.seed, args.workers, args.dry_run, args.repair)
    for sample, problem in list(data.unpaired.items())[:20]:
        print(f'left out {sample}: {problem}')
    for key, problem in figures.get('skipped', {}).items():
        print(f'left out {key}: {problem}')
    print(json.dumps({key: len(value) if key == 'skipped' else value for key, value in figures.items()}))


@exit_on_bad_input()
def main():
    """Parse the command line and run the data set's command."""
    args = parse_args(RELEASES)
    args.run(args)


if __name__ == '__main__':
    main()

"""The command line that every public data set has."""
import argparse
import json

from decur.errors import DataError

from .engine import prepare
from .release import Release


def add_command(subparsers, release: type[Release]) -> None:
    """Add the command of a data set.

    Args:
        subparsers: Of the command line.
        release: Its class.
    """
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
    parser.set_defaults(run=lambda args: _verify(release, args) if args.verify else _prepare(release, args))


def _verify(release: type[Release], args) -> None:
    wrong = release.verify(args.out, args.workers, args.subset is args.limit is None)
    for problem in wrong[1:50]:
        print(problem)
    if wrong:
        raise DataError(f'{args.out}: {wrong[0]}' + (f' ({len(wrong)} problems)' if len(wrong) > 1 else '') + '. Run the same command with '
                        '--repair instead of --verify.')
    left_out = release.left_out(args.out)
    print(f'{args.out}: every record is whole' + (f'; {len(left_out)} were left out' if left_out else ''))


def _prepare(release: type[Release], args) -> None:
    data = release.from_options(args)
    figures = prepare(data, args.out, args.subset, args.limit, args.seed, args.workers, args.dry_run, args.repair)
    for sample, problem in list(data.unpaired.items())[:20]:
        print(f'left out {sample}: {problem}')
    for key, problem in figures.get('skipped', {}).items():
        print(f'left out {key}: {problem}')
    print(json.dumps({key: len(value) if key == 'skipped' else value for key, value in figures.items()}))

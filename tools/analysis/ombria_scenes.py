"""Find the scenes of OMBRIA again: the number of the first chip of each, which decur/prepare/ombria_scenes.py keeps.

    python tools/analysis/ombria_scenes.py SRC [--out DIR]

SRC is a clone of github.com/geodrak/OMBRIA. Says whether the scenes are those that are kept; with --out, writes the lists of ids there.
"""
from pathlib import Path

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', help='clone of the repository')
    parser.add_argument('--out', metavar='DIR', help='write the lists of ids to this folder')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.errors import DataError, exit_on_bad_input
from decur.prepare.ombria import OmbriaRelease
from decur.prepare.ombria_scenes import FIRST_CHIPS, find_scenes, splits
from decur.readers.files import PillowReader
from decur.writing import output_folder, write_bytes

#: Images whose borders are compared. Those of Sentinel-1 after a flood are left out: water changes within hours.
IMAGES = ('s1_before', 's2_before', 's2_after')


@exit_on_bad_input()
def main():
    """Read the chips, find, compare."""
    args = parse_args()
    units = OmbriaRelease(args.src).units(samples=True)
    read = PillowReader()
    chips = {int(unit.key[-4:]): [read(unit.files['paths'][name]) for name in IMAGES] for unit in units
             if unit.key.startswith(('train_', 'test_'))}
    found = find_scenes(chips)
    print(f'{len(chips)} chips, first chips of the scenes: {found}')
    if tuple(found) != FIRST_CHIPS:
        raise DataError(f'the scenes that are kept begin at {list(FIRST_CHIPS)}.')
    if args.out:
        for name, ids in splits([unit.key for unit in units]).items():
            write_bytes(output_folder(args.out) / f'{name}.txt', ''.join(f'{sample}\n' for sample in ids).encode())
        print(f'wrote the lists to {Path(args.out)}')


if __name__ == '__main__':
    main()

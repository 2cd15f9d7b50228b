"""Make the HHA images of a folder of depth files, in parallel. Goes on where it was stopped."""
import argparse

from decur_command.arguments import answer_help


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder of the data set')
    parser.add_argument('--depth', default='depth', help='its folder of depth files: 16-bit PNG, or .npy in metres')
    parser.add_argument('--out', default='hha', help='its folder to write to')
    parser.add_argument('--raw', help='its folder of depth before filling; pixels missing there are left out of the fits')
    parser.add_argument('--intrinsics', nargs='+', metavar='K',
                        help='fx fy cx cy in pixels of all images, or a JSON file {stem: [fx, fy, cx, cy]} under root; '
                        'default intrinsics.json')
    parser.add_argument('--unit', type=float, help='file values per metre (default: 1000, millimetres, checked)')
    parser.add_argument('--rotated', action='store_true', help="the bits are rotated as in SUN-RGBD's original files")
    parser.add_argument('--workers', type=int, default=2, help='processes')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.errors import ConfigError, exit_on_bad_input
from decur.prepare.hha_folder import make_hha


def numbers_or_file(values):
    """``--intrinsics`` as four numbers, or the name of a file.

    Raises:
        ConfigError: If it is neither.
    """
    if values is None or len(values) == 1:
        return values and values[0]
    try:
        return [float(value) for value in values]
    except ValueError:
        raise ConfigError(f'--intrinsics takes four numbers or one file, got {values}') from None


@exit_on_bad_input()
def main():
    """Parse the command line and make HHA."""
    args = parse_args()
    intrinsics = numbers_or_file(args.intrinsics)
    made = make_hha(args.root, args.depth, args.out, args.raw, intrinsics, args.unit, args.rotated, args.workers)
    print(f'{made} made')


if __name__ == '__main__':
    main()

"""Generate a synthetic data set of one of our worlds. Goes on where it was stopped."""
import argparse

from decur_command.arguments import answer_help

#: Worlds, as the modules below have them; each has arguments of its own.
TITLES = {
    'rooms': 'RGB-D rooms: colour, depth, HHA and labels',
    'landcover': 'land cover: Sentinel-1 and -2, or aerial RGB and elevation',
    'tiles': 'land cover as co-registered GeoTIFF tiles, a folder for each sensor',
    'shards': 'land cover in tar shards, as SSL4EO-S12 v1.1 and TerraMesh',
}


def parse_args(worlds=()):
    """Command line, with the arguments of the worlds that are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='world', required=True)
    for world in worlds:
        world.add_parser(subparsers)
    for name in () if worlds else TITLES:
        subparsers.add_parser(name, help=TITLES[name])
    return parser.parse_args()


answer_help(parse_args, alone=True)  # before the imports that take seconds

from decur.errors import exit_on_bad_input
from decur_worlds import landcover_layouts, rooms_dataset, shard_layouts, tiles


@exit_on_bad_input()
def main():
    """Parse the command line and run the world's command."""
    args = parse_args((rooms_dataset, landcover_layouts, tiles, shard_layouts))
    args.run(args)


if __name__ == '__main__':
    main()

"""Generate a synthetic data set of one of our worlds. Goes on where it was stopped."""
import argparse

from decur.errors import exit_on_bad_input
from decur_worlds import landcover_layouts, rooms_dataset, shard_layouts

#: Every world adds its own command.
WORLDS = (rooms_dataset, landcover_layouts, shard_layouts)


@exit_on_bad_input()
def main():
    """Parse the command line and run the world's command."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='world', required=True)
    for world in WORLDS:
        world.add_parser(subparsers)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()

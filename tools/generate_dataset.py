"""Generate a synthetic data set of one of our worlds. Goes on where it was stopped."""
import argparse
import sys

from decur.errors import ConfigError, DataError
from decur.synthetic import landcover_layouts, rooms_dataset

#: Every world adds its own command.
WORLDS = (rooms_dataset, landcover_layouts)


def main():
    """Parse the command line and run the world's command."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='world', required=True)
    for world in WORLDS:
        world.add_parser(subparsers)
    args = parser.parse_args()
    try:
        args.run(args)
    except (ConfigError, DataError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()

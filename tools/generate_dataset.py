"""Generate a synthetic data set of one of our worlds. Goes on where it was stopped."""
import argparse

from decur_command.arguments import answer_help

#: Worlds: what they are, and what is written.
WORLDS = {
    'rooms': ('RGB-D rooms: colour, depth, HHA and labels',
              'OUT/{rgb,depth,hha,label}/<stem>.png, OUT/intrinsics.json ({stem: [fx, fy, cx, cy]}, pixels), OUT/train.txt and\n'
              'OUT/test.txt (a stem a line), as the RGB-D configs read them. Depth is uint16 millimetres, 0 missing; HHA is made of that\n'
              'depth; label 0 is void.'),
    'landcover': ('land cover: Sentinel-1 and -2, or aerial RGB and elevation',
                  'In the layouts of SSL4EO-S12 v1.0, BigEarthNet v1 and v2, and GeoNRW: names, types, native resolutions and metadata\n'
                  'are those of the releases, so programs for the public data read these files too. change: two dates and what changed.'),
    'tiles': ('land cover as co-registered GeoTIFF tiles, a folder for each sensor',
              'OUT/{s1,s2,dem,label}/scene<i>_<j>.tif: VV and VH in dB (float32), thirteen bands of Sentinel-2 L1C (uint16), metres\n'
              'above the sea (float32), and classes from 0 (uint8: water, forest, built, open). Tiles of one scene lie side by side.'),
    'shards': ('land cover in tar shards, as SSL4EO-S12 v1.1 and TerraMesh',
               'OUT/{split}/{product}/{name}_shard_NNNNNN.tar with a member {key}.zarr.zip for each sample, as the releases are shipped.'),
}
#: Layouts of rooms and of land cover, and releases in shards, as decur_worlds has them.
ROOM_LAYOUTS = ['prepared', 'sunrgbd', 'nyudv2', 'cmx', 'dformer', 'esanet', 'numbered']
LANDCOVER_LAYOUTS = ['ssl4eo', 'bigearthnet', 'bigearthnet-v2', 'geonrw', 'change']
SHARD_RELEASES = ['ssl4eo', 'terramesh']


def add_options(parser: argparse.ArgumentParser, world: str) -> None:
    """Add the arguments of a world."""
    if world == 'rooms':
        parser.add_argument('--num-train', type=int, default=2000, help='training scenes (default: 2000)')
        parser.add_argument('--num-test', type=int, default=500, help='test scenes (default: 500)')
        parser.add_argument('--size', type=int, nargs=2, default=(128, 128), metavar=('H', 'W'),
                            help='height and width in pixels (default: 128 128)')
        parser.add_argument('--layout', choices=ROOM_LAYOUTS, default='prepared',
                            help='how a public data set comes instead of what our configs read; made in memory, so for small sets')
    elif world == 'landcover':
        parser.add_argument('--layout', choices=LANDCOVER_LAYOUTS, required=True)
        parser.add_argument('--num-train', type=int, default=64, help='locations (ssl4eo), or training patches or images (default: 64)')
        parser.add_argument('--num-validation', type=int, default=0)
        parser.add_argument('--num-test', type=int, default=0)
        parser.add_argument('--size', type=int, help='side in pixels; default: as released (264, 120, 1000; change 96)')
    elif world == 'tiles':
        parser.add_argument('--num', type=int, default=12, help='scenes, of four tiles each (default: 12)')
        parser.add_argument('--size', type=int, default=72, help='side of a tile in pixels, a multiple of 6 (default: 72)')
    else:
        parser.add_argument('--release', choices=SHARD_RELEASES, required=True)
        parser.add_argument('--num-train', type=int, default=64, help='samples to train with (default: 64)')
        parser.add_argument('--num-val', type=int, default=0)
        parser.add_argument('--per-shard', type=int, default=16, help='samples of a shard (default: 16)')
        parser.add_argument('--size', type=int, default=264, help='side in pixels (default: 264)')


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='world', required=True)
    for name, (title, about) in WORLDS.items():
        command = subparsers.add_parser(name, help=title, description=f'{title}.\n\n{about}',
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument('out', help='folder to write to')
        add_options(command, name)
        command.add_argument('--seed', type=int, default=0, help='the same seed gives the same files (default: 0)')
        command.add_argument('--workers', type=int, default=2, help='processes (default: 2)')
    return parser.parse_args()


answer_help(parse_args, subcommands=True)  # before the imports that take seconds

from decur.errors import exit_on_bad_input
from decur_worlds.landcover_layouts import write_landcover
from decur_worlds.rgbd_layouts import write_layout
from decur_worlds.rooms_dataset import write_rooms
from decur_worlds.shard_layouts import write_shards
from decur_worlds.tiles import write_tiles


@exit_on_bad_input()
def main():
    """Parse the command line and generate."""
    args = parse_args()
    if args.world == 'landcover':
        write_landcover(args.layout, args.out, args.num_train, args.num_test, args.num_validation, args.size, args.seed, args.workers)
    elif args.world == 'tiles':
        write_tiles(args.out, args.num, args.size, args.seed, args.workers)
    elif args.world == 'shards':
        write_shards(args.release, args.out, args.num_train, args.num_val, args.per_shard, args.size, args.seed, args.workers)
    elif args.layout == 'prepared':
        write_rooms(args.out, args.num_train, args.num_test, args.size, args.seed, args.workers)
    else:
        write_layout(args.layout, args.out, args.num_train, args.num_test, args.size, args.seed)


if __name__ == '__main__':
    main()

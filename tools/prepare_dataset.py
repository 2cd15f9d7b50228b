"""Turn a public data set, as its authors release it, into the files that our data sets read. Goes on where it was stopped."""
import argparse
import json

from decur_command.arguments import answer_help

#: Data sets by command, as decur.prepare.releases has them: what is made of them, and what SRC is.
DATASETS = {
    'sunrgbd': ('SUN-RGBD to colour, depth, HHA and labels', 'SRC holds SUNRGBD.zip and SUNRGBDtoolbox.zip, unpacked side by side.'),
    'nyudv2': ('NYU-Depth v2 to colour, depth, HHA and labels',
               'SRC is nyu_depth_v2_labeled.mat, or its folder; splits.mat and classMapping40.mat lie beside it.'),
    'ssl4eo': ('SSL4EO-S12 v1.0 or v1.1 to the compact store',
               'SRC of v1.0: {s1,s2a,s2c}/{id}/{scene}/{band}.tif, or the archives of these folders.\n'
               'SRC of v1.1: {train,val}/{S1GRD,S2L1C,S2L2A,S2RGB}/*.zarr.zip; a split becomes a store, see --split.'),
    'bigearthnet': ('BigEarthNet-MM v1 or v2 to the compact store',
                    'SRC of v1: BigEarthNet-v1.0 and BigEarthNet-S1-v1.0, folders or archives of these names.\n'
                    'SRC of v2: BigEarthNet-S2 and BigEarthNet-S1, folders or archives (gzip or zstd), and metadata.parquet.\n'
                    "CSV files in SRC, lists of patches, are copied to OUT, so that split='train.csv' names the same list there."),
    'geonrw': ('GeoNRW to the compact store', 'SRC: {city}/{e}_{n}_{rgb.jp2,dem.tif,seg.tif}, or its archive (nrw_dataset.tar.gz).'),
    'ombria': ('OMBRIA (floods, Sentinel-1 and -2) to stacks of before and after',
               'SRC is a clone of github.com/geodrak/OMBRIA, with OmbriaS1, OmbriaS2 and 2021.'),
    'potholes': ('stereo pothole data sets (RGB, disparity) to smaller pictures',
                 'SRC is a clone of github.com/ruirangerfan/stereo_pothole_datasets; its pictures have about 1700 x 1030 pixels.'),
}
_HHA = [('--no-hha', dict(dest='hha', action='store_false', help='leave HHA out (tools/make_hha.py makes it later)'))]
#: Arguments that only some data sets have; they are arguments of the release's class.
OPTIONS = {
    'sunrgbd': _HHA,
    'nyudv2': _HHA,
    'ssl4eo': [('--products', dict(nargs='+', default=['s1', 's2c'], choices=['rgb', 's1', 's2a', 's2c'],
                                   help='which of them (default: s1 s2c; rgb: of v1.1 only)')),
               ('--split', dict(choices=['train', 'val'], help='v1.1: which folder of SRC'))],
    'ombria': [('--any-version', dict(action='store_true', help='take the files even if they are not those that the splits are for'))],
    'potholes': [('--shrink', dict(type=int, default=4, help='pixels, along each side, that become one (default: 4)'))],
}


def parse_args():
    """Command line; ``options`` names the arguments in :data:`OPTIONS`."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(dest='dataset', required=True)
    for name, (title, about) in DATASETS.items():
        command = subparsers.add_parser(name, help=title, description=f'{title}.\n\n{about}',
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument('src', help='the release: a folder, extracted or (for stores) of the archives, whole or in parts')
        command.add_argument('out', help='the store or folder to write')
        command.add_argument('--subset', type=float, help='share (to 1) or number of samples, drawn without replacement')
        command.add_argument('--seed', type=int, default=0, help='of --subset')
        command.add_argument('--limit', type=int, help='only the first so many samples of each split')
        command.add_argument('--workers', type=int, default=2, help='processes')
        command.add_argument('--dry-run', action='store_true', help='count samples, records, bytes, files and time; write nothing')
        command.add_argument('--verify', action='store_true', help='check every record of OUT; write nothing')
        command.add_argument('--repair', action='store_true', help='check every record of OUT and make again what is damaged')
        own = [command.add_argument(flag, **rest) for flag, rest in OPTIONS.get(name, [])]
        command.set_defaults(options=[argument.dest for argument in own])
    return parser.parse_args()


answer_help(parse_args, subcommands=True)  # before the imports that take seconds

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
    data = release.from_options(args.src, **{name: getattr(args, name) for name in args.options})
    figures = engine.prepare(data, args.out, args.subset, args.limit, args.seed, args.workers, args.dry_run, args.repair)
    for sample, problem in list(data.unpaired.items())[:20]:
        print(f'left out {sample}: {problem}')
    for key, problem in figures.get('skipped', {}).items():
        print(f'left out {key}: {problem}')
    print(json.dumps({key: len(value) if key == 'skipped' else value for key, value in figures.items()}))


@exit_on_bad_input()
def main():
    """Parse the command line and run the data set's command."""
    args = parse_args()
    release = next(release for release in RELEASES if release.command == args.dataset)
    (verify if args.verify else prepare)(release, args)


if __name__ == '__main__':
    main()

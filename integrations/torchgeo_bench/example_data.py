"""Generated BigEarthNet as ``benv2``, a data set of GEO-Bench 2: to see the benchmark run before the download of the real one.

    pip install geobenchv2 "tacotoolbox<0.6"
    python integrations/torchgeo_bench/example_data.py data/geobenchv2/benv2

The file is written by GEO-Bench's own generator, with 40 training, 8 validation and 24 test patches. torchgeo-bench looks for it in
``data/geobenchv2/benv2``, or in the folder of the environment variable GEOBENCH_V2_ROOT.
"""
import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import pandas

from decur.errors import ConfigError, exit_on_bad_input, first_line
from decur_worlds.landcover_layouts import write_landcover

NAME = 'geobench_benv2.tortilla'


def write_benv2(folder: Path, train: int = 40, validation: int = 8, test: int = 24, size: int = 120) -> Path:
    """Generate patches and write them as ``FOLDER/geobench_benv2.tortilla``.

    Args:
        folder (Path): New or without that file.
        train (int), validation (int), test (int): Number of patches.
        size (int): Side of a patch, pixels of 10 m.

    Raises:
        ConfigError: If GEO-Bench or its writer is not installed, or the file exists.
    """
    try:
        from geobench_v2.generate_benchmark.benv2 import create_optimized_geotiffs, create_tortilla
    except ImportError as error:
        raise ConfigError(f'pip install geobenchv2 "tacotoolbox<0.6" is needed to write its format ({first_line(error)}).') from error
    if (folder / NAME).exists():
        raise ConfigError(f'{folder / NAME} exists; remove it, or give another folder.')
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        patches = Path(temporary) / 'patches'
        write_landcover('bigearthnet-v2', patches, train, test, validation, size)
        table = pandas.concat(map(pandas.read_parquet, patches.glob('*.parquet'))).sort_values('patch_id', ignore_index=True)
        table = table.assign(date='2017-06-01', lon=0., lat=0., is_additional_test=False)
        print(f'packing {len(table)} patches', flush=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            table = create_optimized_geotiffs(table, str(patches), temporary, num_workers=2)
            create_tortilla(temporary, table, temporary, NAME)
        (Path(temporary) / NAME).replace(folder / NAME)
    return folder / NAME


@exit_on_bad_input()
def main():
    """Write the file and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    print(write_benv2(parser.parse_args().folder))


if __name__ == '__main__':
    main()

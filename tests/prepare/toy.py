"""A data set as small as can be, as released: two files a sample."""
import numpy as np

from decur.errors import DataError
from decur.prepare.archives import find_archives
from decur.prepare.release import Release, Unit
from decur.prepare.store_writer import encode
from decur.readers.store import read_record, record_keys
from decur.readers.table import Table


def contents(count=12, size=900):
    rng = np.random.default_rng(0)
    return {f'root/{i:03d}/{name}.bin': rng.integers(0, 256, size, dtype=np.uint8).tobytes() for i in range(count) for name in 'ab'}


class Toy(Release):
    """``root/{key}/{a,b}.bin``."""

    command = dataset = 'toy'

    def units(self, samples):
        root = self.src / 'root'
        return [Unit(p.name, p.name, {n: p / f'{n}.bin' for n in 'ab'}) for p in sorted(root.iterdir())] if root.is_dir() else None

    def archives(self):
        return find_archives(self.src, 'toy')

    def member(self, archive, path):
        return (path[-2], path[-2], path[-1][0]) if len(path) > 1 and path[-1] in ('a.bin', 'b.bin') else None

    def needed(self, key):
        return frozenset('ab')

    def encode(self, key, files):
        if set(files) != set('ab'):
            raise DataError(f'only {sorted(files)}')
        return [(key, encode({name: np.frombuffer(data, np.uint8) for name, data in files.items()}))]

    def finish(self, writer, units, skipped):
        keys = writer.keys()
        writer.finish(dict(key_columns=dict(id=['{}']), skipped=skipped), Table(dict(id=keys)))
        return len(keys)


def write_folders(root, files):
    """The release extracted."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def store_of(out):
    return {f'root/{key}/{name}.bin': band.tobytes() for key in record_keys(out) for name, band in read_record(str(out), key).items()}

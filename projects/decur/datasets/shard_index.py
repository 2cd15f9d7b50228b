"""The index of a folder of tar shards: where every sample lies. Built once, kept beside the shards, and checked at every start."""
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from decur.errors import DataError
from decur.readers.shard_cache import ShardCache
from decur.readers.shards import ShardError, dates_of, scan_file, scan_shard
from decur.readers.table import Table
from decur.writing import output_folder, write_bytes

from .finding import file_names
from .kept_index import update_index

#: Name of the index of a product.
INDEX = 'decur_shards_{}.safetensors'
#: Shards whose headers are read at the same time.
READERS = 16
_RANGE = re.compile(r'\{(\d+)\.\.(\d+)\}')


def expand(pattern: str) -> list:
    """Names of shards: ``'ssl4eos12_shard_{000001..000477}.tar'`` stands for 477; several are separated by commas."""
    names = []
    for part in pattern.split(','):
        found = _RANGE.search(part)
        if not found:
            names.append(part.strip())
            continue
        first, last = found.groups()
        before, after = part[:found.start()].strip(), part[found.end():].strip()
        names += [f'{before}{i:0{len(first)}d}{after}' for i in range(int(first), int(last) + 1)]
    return names


def local_index(folder: Path, shards: str | None = None, damaged: str = 'error', index_folder: str | None = None,
                save: bool = True) -> Table:
    """Index of a product's folder.

    Args:
        folder (Path): ``.../{split}/{product}``.
        shards (str, optional): Names, see :func:`expand`. Defaults to all.
        damaged (str): ``'error'``, or ``'skip'`` for leaving damaged and missing shards out, with a message.
        index_folder (str, optional): Where the index is kept. Defaults to beside the folder.
        save (bool): Whether to keep it.

    Returns:
        Table: A row for each sample in the order of the shards: ``key``, ``shard`` (a number), ``offset``, ``size``; attributes ``files``,
        ``dates`` and ``stamps`` (size and time) by shard.

    Raises:
        ShardError: If a shard is damaged or missing.
        DataError: If there is none, or a key is in two.
    """
    names = [name for name in file_names(folder) if name.endswith('.tar')] if folder.is_dir() else []
    if not names:
        raise DataError(f'{folder} has no tar shards: download {folder.name}.')
    stats = {name: (folder / name).stat() for name in names}
    stamps = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    path = Path(index_folder or folder.parent) / INDEX.format(folder.name)
    table = _update(path, stamps, lambda name: scan_file(str(folder / name)), str(folder), damaged, save)
    return table if shards is None else _select(table, expand(shards), str(folder), damaged)


def remote_index(address: str, cache: ShardCache, shards: str | None = None, damaged: str = 'error') -> Table:
    """Index of a product's folder at an address, as :func:`local_index`; ``stamps`` are sizes.

    An index that lies at the address beside the folder (as a local start left it) is taken if it fits. Else the headers are read there,
    with a request for each sample, which takes long for a whole release: it is done once, and kept in the cache.
    """
    product = address.rpartition('/')[2]
    if shards is None:
        sizes = {name: size for name, size in sorted(cache.list(address).items()) if name.endswith('.tar')}
        if not sizes:
            raise DataError(f'{address} lists no tar shards. Servers that list nothing need their names: '
                            "shards='ssl4eos12_shard_{000001..000477}.tar'.")
    else:
        sizes = dict.fromkeys(expand(shards))
    with ThreadPoolExecutor(READERS) as pool:
        def size(name):
            try:
                return sizes[name] if sizes[name] is not None else cache.size(f'{address}/{name}')
            except ShardError as error:
                return _leave_out(error, damaged)
        sizes = {name: found for name, found in zip(sizes, pool.map(size, sizes)) if found is not None}
    stamps = {name: [size, 0] for name, size in sizes.items()}
    path = cache.path(f'{address}/{INDEX.format(product)}')
    output_folder(path.parent)
    if not path.exists():
        _fetch_index(f'{address.rpartition("/")[0]}/{INDEX.format(product)}', path, cache)

    def scan(name):
        shard = f'{address}/{name}'
        read = partial(cache.read, shard)
        keys, offsets, lengths = scan_shard(shard, sizes[name], lambda offset, size: read(offset, min(size, sizes[name] - offset)))
        return keys, offsets, lengths, dates_of(shard, keys[0], read, offsets[0], lengths[0])

    return _update(path, stamps, scan, address, damaged, same=lambda before, now: before[0] == now[0])


def _fetch_index(address: str, path: Path, cache: ShardCache) -> None:
    """Take the index at an address, if there is one."""
    try:
        write_bytes(path, cache.ask(address, lambda system, place: system.cat_file(place)))
    except ShardError as error:
        print_log(f'{error} The index is made from the headers of the shards.', logger='current')


def _leave_out(error: ShardError, damaged: str) -> None:
    if damaged != 'skip':
        raise error
    print_log(f'{error} It is left out (damaged="skip").', logger='current', level=30)


def _update(path: Path, stamps: Mapping, scan: Callable, where: str, damaged: str, save: bool = True, **kwargs) -> Table:
    """The index of the shards, of which those that changed are read again."""
    def rows(name):
        try:
            keys, offsets, sizes, dates = scan(name)
        except ShardError as error:
            return _leave_out(error, damaged)
        return dict(key=keys, offset=np.array(offsets, np.int64), size=np.array(sizes, np.int64)), dict(dates=dates)

    return update_index(path, stamps, rows, ('key', 'offset', 'size'), 'shard', where, save, READERS, **kwargs)


def _select(table: Table, names: list, where: str, damaged: str) -> Table:
    """Rows of some of the shards."""
    number = {name: i for i, name in enumerate(table.attributes['files'])}
    for name in names:
        if name not in number:
            _leave_out(ShardError(f'{where}/{name} does not exist, or was left out.', name), damaged)
    chosen = [number[name] for name in names if name in number]
    if not chosen:
        raise DataError(f'{where} has none of the shards {names[0]} ... {names[-1]}.')
    renumber = np.full(len(number), -1, np.int32)
    renumber[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(renumber[table['shard']] >= 0)
    columns = {name: values[rows] for name, values in table.columns.items()}
    columns['shard'] = renumber[columns['shard']]
    order = np.lexsort((columns['offset'], columns['shard']))
    return Table({name: values[order] for name, values in columns.items()},
                 {key: [values[i] for i in chosen] for key, values in table.attributes.items()})

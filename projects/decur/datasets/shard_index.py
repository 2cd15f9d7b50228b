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

from .finding import file_names

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
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _fetch_index(f'{address.rpartition("/")[0]}/{INDEX.format(product)}', path, cache)

    def scan(name):
        shard = f'{address}/{name}'
        read = partial(cache.read, shard)
        keys, offsets, lengths = scan_shard(shard, sizes[name], lambda offset, size: read(offset, min(size, sizes[name] - offset)))
        return keys, offsets, lengths, dates_of(shard, keys[0], read, offsets[0], lengths[0])

    return _update(path, stamps, scan, address, damaged, True, times=False)


def _fetch_index(address: str, path: Path, cache: ShardCache) -> None:
    """Take the index at an address, if there is one."""
    from decur.writing import write_bytes
    try:
        write_bytes(path, cache.ask(address, lambda system, place: system.cat_file(place)))
    except ShardError as error:
        print_log(f'{error} The index is made from the headers of the shards.', logger='current')


def _leave_out(error: ShardError, damaged: str) -> None:
    if damaged != 'skip':
        raise error
    print_log(f'{error} It is left out (damaged="skip").', logger='current', level=30)


def _update(path: Path, stamps: Mapping, scan: Callable, where: str, damaged: str, save: bool, times: bool = True) -> Table:
    """The kept index, if it is of these shards; else one in which only those that changed are read again."""
    names, kept = list(stamps), {}
    try:
        old = Table.load(path)
        before = dict(zip(old.attributes['files'], enumerate(old.attributes['stamps'])))
        for name, stamp in stamps.items():
            number, found = before.get(name, (None, None))
            if found is not None and (found == stamp if times else found[0] == stamp[0]):
                kept[name] = number
        if list(kept) == names == old.attributes['files']:
            return old
        print_log(f'{path}: {len(names) - len(kept)} of {len(names)} shards in {where} are new or have changed', logger='current')
    except (DataError, LookupError, TypeError):
        old = None
        print_log(f'{where}: the headers of {len(names)} shards are read for the index', logger='current')
    with ThreadPoolExecutor(READERS) as pool:
        def read(name):
            try:
                return scan(name) if name not in kept else None
            except ShardError as error:
                return _leave_out(error, damaged) or error
        found = dict(zip(names, pool.map(read, names)))
    files, dates, columns = [], [], dict(key=[], shard=[], offset=[], size=[])
    for name, result in found.items():
        if isinstance(result, ShardError):
            continue
        if result is None:
            own = np.flatnonzero(old['shard'] == kept[name])
            result = *(old[column][own] for column in ('key', 'offset', 'size')), old.attributes['dates'][kept[name]]
        keys, offsets, sizes, date = result
        columns['key'].append(np.asarray([key.encode() for key in keys] if isinstance(keys, list) else keys))
        columns['shard'].append(np.full(len(keys), len(files), np.int32))
        columns['offset'].append(np.asarray(offsets, np.int64))
        columns['size'].append(np.asarray(sizes, np.int64))
        files.append(name)
        dates.append(date)
    if not files:
        raise DataError(f'{where}: no shard can be read.')
    table = Table({name: np.concatenate(parts) for name, parts in columns.items()},
                  dict(files=files, stamps=[stamps[name] for name in files], dates=dates))
    _check_keys(table, where)
    if save:
        try:
            table.save(path)
        except OSError as error:
            print_log(f'the index cannot be kept at {path} ({error}): every start will read the headers. Set index_folder.',
                      logger='current')
    return table


def _check_keys(table: Table, where: str) -> None:
    keys, counts = np.unique(table['key'], return_counts=True)
    if counts.max() > 1:
        twice = keys[counts.argmax()]
        files = [table.attributes['files'][i] for i in table['shard'][table['key'] == twice]]
        raise DataError(f'{where}: sample {twice.decode()!r} is in two shards, {files[0]} and {files[1]}. Is one there twice?')


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

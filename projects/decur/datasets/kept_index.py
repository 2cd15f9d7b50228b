"""The index of a data set that lies in many files: kept for the next start, and brought up to date when files came, went or changed."""
import operator
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from decur.errors import DataError
from decur.readers.table import Table


def load_kept(path: Path, tell: bool = True) -> Table | None:
    """An index that an earlier start kept; None if there is none, or it cannot be read, which the log says if ``tell``."""
    try:
        return Table.load(path)
    except DataError as error:
        if tell:
            print_log(f'{error} It is made of the data.', logger='current')
    return None


def keep(index: Table, path: Path, option: str) -> None:
    """Keep an index for the next start; where it cannot be written, say by which ``option`` it could."""
    try:
        index.save(path)
    except OSError as error:
        print_log(f'the index cannot be kept at {path} ({error}): every start will list all data. Set {option}.', logger='current')


def update_index(path: Path, stamps: Mapping, scan: Callable, columns: Sequence[str], number: str, where: str, save: bool = True,
                 threads: int = 1, same: Callable = operator.eq) -> Table:
    """The kept index, if it is of these files; else one for which only the files that changed are read again.

    Args:
        path (Path): Where it is kept.
        stamps (dict): By file name, in order, what tells whether the file changed (JSON values).
        scan (Callable): From a file name to ``({column: values of its rows}, {attribute: JSON value})``, or None to leave the file out.
        columns (Sequence[str]): Those that ``scan`` gives; values of the first one may occur once only.
        number (str): The column for the number of a row's file.
        where (str): What the files are in, for messages.
        save (bool): Whether to keep the index, and to log what is read for it.
        threads (int): Files that are read at the same time.
        same (Callable): Whether two stamps are of the same file.

    Returns:
        Table: Rows in the order of the files; attributes ``files``, ``stamps`` and those of ``scan``, a list by file each.

    Raises:
        DataError: If no file can be read, or two have a row of one name.
    """
    old, kept = load_kept(path, save), {}
    if old is not None and set(old.columns) == {*columns, number} and {'files', 'stamps'} <= set(old.attributes):
        before = {name: (i, stamp) for i, (name, stamp) in enumerate(zip(old.attributes['files'], old.attributes['stamps']))}
        kept = {name: before[name][0] for name, stamp in stamps.items() if name in before and same(before[name][1], stamp)}
        if list(stamps) == list(kept) == old.attributes['files']:
            return old
    if save:
        print_log(f'{path}: {len(stamps) - len(kept)} of {len(stamps)} files in {where} are read: they are new or have changed',
                  logger='current')

    def rows(name):
        if name not in kept:
            return scan(name)
        own = np.flatnonzero(old[number] == kept[name])
        return ({column: old[column][own] for column in columns},
                {key: values[kept[name]] for key, values in old.attributes.items() if key not in ('files', 'stamps')})

    with ThreadPoolExecutor(threads) as pool:
        found = {name: result for name, result in zip(stamps, pool.map(rows, stamps)) if result is not None}
    if not found:
        raise DataError(f'{where}: no file can be read.')
    parts = [Table(part) for part, _ in found.values()]
    table = {column: np.concatenate([part[column] for part in parts]) for column in columns}
    table[number] = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    _check_unique(table[columns[0]], table[number], list(found), where)
    attributes = [attributes for _, attributes in found.values()]
    index = Table(table, dict(files=list(found), stamps=[stamps[name] for name in found],
                              **{key: [one[key] for one in attributes] for key in attributes[0]}))
    if save:
        keep(index, path, 'index_folder')
    return index


def _check_unique(names: np.ndarray, files: np.ndarray, file_names: Sequence, where: str) -> None:
    found, counts = np.unique(names, return_counts=True)
    if len(found) < len(names):
        twice = found[counts.argmax()]
        first, second, *_ = (file_names[i] for i in files[names == twice])
        raise DataError(f'{where}: {twice.decode()!r} is in two files, {first} and {second}. Is one there twice?')

"""What came out of the runs, as a table of text that can be kept: one line a run."""
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from decur.errors import DataError
from decur.writing import write_csv

from .plan import Pretraining, Transfer
from .scores import GROUPS

#: What is counted in every group: pixels of flood found, found but dry, and missed.
COUNTS = ('tp', 'fp', 'fn')
#: At the threshold 0.5, and at that which fits the labelled chips best.
THRESHOLDS = dict(areas='', fitted='_fitted')
_AREAS = tuple(f'{group}_{kind}{end}' for end in THRESHOLDS.values() for group in GROUPS for kind in COUNTS)
#: What tells one run from another, and its columns.
KEY = ('arm', 'protocol', 'sensors', 'labels', 'variant', 'subset')
COLUMNS = (*KEY, 'pretraining_seed', 'seconds', 'loss', 'threshold', *_AREAS)


def row_of(run: Pretraining | Transfer, record: Mapping) -> dict:
    """The line of a run; of a pretraining ``pretraining_seed`` is its seed and ``subset`` is empty."""
    row = dict(arm=run.arm, protocol=run.protocol, seconds=record['seconds'], loss=record.get('loss', ''))
    if isinstance(run, Pretraining):
        row.update(pretraining_seed=run.seed)
    else:
        row.update(sensors=run.sensors, labels=run.labels, variant=run.variant, subset=run.subset,
                   pretraining_seed='' if run.pretraining is None else run.pretraining.seed)
        row.update({f'{group}_{kind}{end}': value for name, end in THRESHOLDS.items() for group, values in record[name].items()
                    for kind, value in zip(COUNTS, values)}, threshold=record['threshold'])
    return {column: str(row.get(column, '')) for column in COLUMNS}


def merge(rows: Iterable[Mapping], newer: Iterable[Mapping]) -> list[dict]:
    """Both, in a fixed order; of two lines of one run the newer one."""
    found = {tuple(row[key] for key in (*KEY, 'pretraining_seed')): dict(row) for row in (*rows, *newer)}
    return [found[key] for key in sorted(found)]


def write_records(path: Path, rows: Sequence[Mapping]) -> None:
    """Write lines as CSV, at once."""
    write_csv(path, COLUMNS, rows)


def read_table(path: Path, columns: Sequence, counts: Callable, tool: str) -> list[dict]:
    """The lines of a table of runs, all values as text.

    Args:
        path: The CSV file.
        columns: Its columns.
        counts: ``row -> columns`` that are to be whole numbers in this row.
        tool: What writes such tables, for the messages.

    Raises:
        DataError: If the file does not exist, or is no such table.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding='utf-8'))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path} cannot be read ({error}): give the records that {tool} wrote.') from error
    for number, row in enumerate(lines, 2):
        if set(row) != set(columns) or not all((row.get(column) or '').isdigit() for column in counts(row)):
            raise DataError(f'{path}, line {number}: no record of {tool}, or damaged. Write the table again.')
    return lines


def read_records(path: Path) -> list[dict]:
    """The lines of :func:`write_records`; see :func:`read_table`.

    Raises:
        DataError: If the file does not exist, has no lines, or is no such table.
    """
    lines = read_table(path, COLUMNS, lambda row: _AREAS if row.get('protocol') != 'pretraining' else (), 'tools/ombria.py')
    if not lines:
        raise DataError(f'{path} has no records.')
    return lines

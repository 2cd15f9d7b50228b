"""Numbers and pictures on disk, whole or not at all."""
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from decur.errors import DataError
from decur.writing import write_bytes


def save_npz(path: Path, **arrays) -> None:
    """Write arrays; strings become unicode arrays, nothing is pickled."""
    buffer = io.BytesIO()
    np.savez(buffer, **{key: np.asarray(value) for key, value in arrays.items()})
    write_bytes(path, buffer.getvalue())


def load_npz(path: Path) -> dict:
    """Read what :func:`save_npz` wrote.

    Raises:
        DataError: If the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds on damaged files
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise DataError(f'{path} cannot be read ({reason}): delete it and run again.') from error


def save_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Write a table; floats with six significant digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows([f'{value:.6g}' if isinstance(value, float | np.floating) else value for value in row] for row in rows)
    write_bytes(path, buffer.getvalue().encode())


def save_figure(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Write a picture as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi, metadata=dict(Software=None))
    write_bytes(path, buffer.getvalue())

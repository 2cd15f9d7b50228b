"""A folder of files as the output of a preparation."""
from collections.abc import Mapping
from pathlib import Path

from decur.dataset_record import RECORD, start_record
from decur.writing import naming, write_bytes


class FolderWriter:
    """Write named files, each atomically; a name is a path below the folder.

    Args:
        folder (str | Path): New or empty, or one that was written to for the same ``record``.
        record (dict): What the files are of (:func:`~decur.dataset_record.start_record`).

    Raises:
        ConfigError: If the folder holds something else.
        DataError: If it cannot be written.
    """

    def __init__(self, folder: str | Path, record: Mapping):
        self.folder = Path(folder)
        start_record(self.folder, record)

    def __contains__(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def put(self, name: str, data: bytes) -> None:
        """Add or replace a file.

        Raises:
            WriteError: If it cannot be written; what was there stays.
        """
        path = self.folder / name
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)

    def is_empty(self) -> bool:
        """Whether nothing but its record is there."""
        return all(path.name == RECORD for path in self.folder.iterdir())

    def commit(self) -> None:
        """Every file is written when it is put."""

    def close(self) -> None:
        """Nothing is open."""

"""The record of what a folder of generated or prepared files holds, so that two data sets are not mixed in it."""
import os
from pathlib import Path

from decur.errors import ConfigError
from decur.writing import output_folder, read_json, remove_leftovers, write_json

#: The file that holds it.
RECORD = 'dataset.json'


def start_record(out, record):
    """Note in ``out`` (made if need be) what is written there, and refuse to mix two data sets in a folder.

    Half-written files of a killed run are removed from it and the folders below.

    Args:
        out (Path): The folder.
        record (dict): What every file depends on: what it is, the version of what makes it, seed, size, ... (JSON values).

    Raises:
        ConfigError: ``out`` holds a data set that was made with another ``record``, or other files.
        DataError: ``out`` is a file or cannot be written, or the record there is damaged.
    """
    out = Path(out)
    path = out / RECORD
    if not path.exists() and out.is_dir() and any(out.iterdir()):
        raise ConfigError(f'{out} is not empty and holds no {RECORD}; choose an empty or a new folder')
    if path.exists():
        found = read_json(path, 'Delete its folder and make the data again.')
        if found != record:
            different = {key: (found.get(key), record.get(key)) for key in {*found, *record} if found.get(key) != record.get(key)}
            raise ConfigError(f'{out} holds a data set that was made with other settings (there, asked for now): {different}; '
                              'choose another folder or delete this one')
    output_folder(out)
    for folder, _, _ in os.walk(out):
        remove_leftovers(folder)
    if not path.exists():
        write_json(path, record)

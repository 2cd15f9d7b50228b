"""Values on the command lines of ``tools/`` that are checked when they are parsed; the arguments are in :mod:`decur_command.arguments`."""
from pathlib import Path

import torch

from decur_command.arguments import add_argument, make_parser

from .errors import ConfigError
from .writing import output_folder

__all__ = ['add_argument', 'check_device', 'make_parser', 'output_file']


def check_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: If there is no such kind of device, or this machine has none.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f'--device {name}: no such kind of device; give cpu, cuda or cuda:N.') from None
    if device.type == 'cuda':
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            found = f'it has {count}, numbered from 0' if count else 'PyTorch finds none: use --device cpu, or a PyTorch build with CUDA'
            raise ConfigError(f'--device {name}: this machine has no such GPU; {found}.')
    elif device.type != 'cpu':
        try:
            torch.empty(1, device=device)
        except Exception as error:  # each backend has its own way to be absent
            raise ConfigError(f'--device {name}: this machine has no such device ({str(error).splitlines()[0]}).') from None
    return device


def output_file(path: str | Path) -> Path:
    """A file that is to be written at the end: that it can be is found out at the start, and its folder is made.

    Raises:
        ConfigError: If the path is a folder.
        WriteError: If its folder cannot be made or written.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f'{path} is a folder; give the name of a file to write.')
    output_folder(path.parent)
    return path

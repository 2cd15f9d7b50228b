"""What the command lines of ``tools/`` share: their arguments."""
import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from .engine.options import OptionText
from .errors import ConfigError
from .writing import output_folder


class _OptionsAction(argparse.Action):
    """Collect ``KEY=VALUE`` texts in a dict; :func:`~decur.engine.options.apply_options` gives them types when the config is known."""

    def __call__(self, parser, namespace, values, option_string=None):
        options = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, value = pair.partition('=')
            if not key or not equals:
                parser.error(f'{option_string} takes KEY=VALUE, got {pair!r}; quote values with spaces: "KEY=VALUE"')
            options[key] = OptionText(value)
        setattr(namespace, self.dest, options)


class _CheckedAction(argparse.Action):
    """Store a value that ``check`` lets pass, before anything is read or computed."""

    def __init__(self, *args, check: Callable, **kwargs):
        super().__init__(*args, **kwargs)
        self.check = check

    def __call__(self, parser, namespace, value, option_string=None):
        self.check(value)
        setattr(namespace, self.dest, value)


def make_parser(description: str, *names: str) -> argparse.ArgumentParser:
    """A parser with shared arguments, to which a tool adds its own.

    Args:
        description (str): The docstring of the tool; its line breaks are kept.
        *names (str): Of ``config``, ``checkpoint``, ``cfg-options``, ``work-dir``, ``seed``, ``out``, ``tta``, ``allow-missing``,
            ``device`` and ``launcher`` (which adds torchrun's ``--local_rank``).

    Returns:
        argparse.ArgumentParser: Values of ``--cfg-options`` arrive as :class:`~decur.engine.options.OptionText` by key.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in names:
        add_argument(parser, name)
    return parser


def add_argument(parser: argparse.ArgumentParser, name: str, **changes) -> None:
    """Add a shared argument (see :func:`make_parser`), with ``changes`` to what argparse is told about it."""
    flags, options = _ARGUMENTS[name]
    parser.add_argument(*flags, **{**options, **changes})
    if name == 'launcher':
        parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


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


#: Arguments by name, as OpenMMLab calls them: what argparse needs to add them.
_ARGUMENTS = {
    'config': (('config', ), dict(help='config file')),
    'checkpoint': (('checkpoint', ), dict(help='checkpoint file')),
    'cfg-options': (('--cfg-options', ), dict(
        action=_OptionsAction, nargs='+', metavar='KEY=VALUE', default={},
        help='override settings of the config. A value has the type that the config has there: a string is taken as it is typed')),
    'work-dir': (('--work-dir', ), dict(help='where logs and checkpoints go; default work_dirs/<config name>')),
    'seed': (('--seed', ), dict(type=int, help="seed of every random draw; default: the config's")),
    'out': (('--out', ), dict(
        action=_CheckedAction, check=output_file, metavar='FILE', help='write the metrics to this JSON file')),
    'tta': (('--tta', ), dict(action='store_true', help="test at several scales and flipped, as the config's tta_pipeline says")),
    'allow-missing': (('--allow-missing', ), dict(
        nargs='+', metavar='COMPONENT', default=[],
        help='components of the model that the checkpoint may lack, for example decode_head; they keep their initial values')),
    'device': (('--device', ), dict(
        action=_CheckedAction, check=check_device, default='cpu', help='where to compute: cpu (default), cuda or cuda:N')),
    'launcher': (('--launcher', ), dict(
        choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how the processes were started')),
}

"""What the command lines of ``tools/`` share: their arguments.

Only the standard library is imported here, and the package ``decur`` when a value is checked: a tool makes its parser and calls
:func:`answer_help` before it imports PyTorch and the package, so that ``--help`` answers at once.
"""
import argparse
import sys
from collections.abc import Callable


def answer_help(parse_args: Callable, subcommands: bool = False) -> None:
    """Print a tool's help and end the process, if it was asked for help; called before the imports that take seconds.

    Does nothing where the tool is imported instead of run.

    Args:
        parse_args (Callable): The tool's function that makes the parser and parses ``sys.argv``.
        subcommands (bool): Whether the first argument is a sub-command, whose help is asked for behind it. Defaults to False.
    """
    arguments = sys.argv[1:]
    arguments = arguments[:arguments.index('--')] if '--' in arguments else arguments
    if parse_args.__globals__['__name__'] != '__main__' or not {'-h', '--help'}.intersection(arguments):
        return
    sys.argv[1:] = [*arguments[:subcommands], '--help']  # nothing else is looked at
    parse_args()


class _OptionsAction(argparse.Action):
    """Collect ``KEY=VALUE`` texts in a dict; :func:`~decur.engine.options.apply_options` gives them types when the config is known."""

    def __call__(self, parser, namespace, values, option_string=None):
        from decur.engine.options import OptionText
        options = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, value = pair.partition('=')
            if not key or not equals:
                parser.error(f'{option_string} takes KEY=VALUE, got {pair!r}; quote values with spaces: "KEY=VALUE"')
            options[key] = OptionText(value)
        setattr(namespace, self.dest, options)


class _CheckedAction(argparse.Action):
    """Store a value that a function of :mod:`decur.cli` lets pass, before anything is read or computed."""

    def __init__(self, *args, check: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.check = check

    def __call__(self, parser, namespace, value, option_string=None):
        from decur import cli
        getattr(cli, self.check)(value)
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
        action=_CheckedAction, check='output_file', metavar='FILE', help='write the metrics to this JSON file')),
    'tta': (('--tta', ), dict(action='store_true', help="test at several scales and flipped, as the config's tta_pipeline says")),
    'allow-missing': (('--allow-missing', ), dict(
        nargs='+', metavar='COMPONENT', default=[],
        help='components of the model that the checkpoint may lack, for example decode_head; they keep their initial values')),
    'device': (('--device', ), dict(
        action=_CheckedAction, check='check_device', default='cpu', help='where to compute: cpu (default), cuda or cuda:N')),
    'launcher': (('--launcher', ), dict(
        choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how the processes were started')),
}

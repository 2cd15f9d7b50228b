"""Where the configs and tools are that come with the package, and a config by its path or its name in the package."""
from pathlib import Path

from .errors import ConfigError, closest

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The folder ``'configs'`` or ``'tools'``: of the installed package, or of the checkout that the package is imported from.

    Raises:
        FileNotFoundError: If neither is there: the package was copied from an installation in parts.
    """
    places = (_PACKAGE / '.mim' / name, _PACKAGE.parents[1] / name)
    for place in places:
        if place.is_dir():
            return place.resolve()
    raise FileNotFoundError(f'the {name} of the package are neither in {places[0]} nor in {places[1]}: install it again.')


def find_config(path: str | Path) -> Path:
    """The file of a config.

    Args:
        path (str | Path): A file; or the name of a config of this package, as ``decur::decur/decur_sunrgbd.py`` (with or without
            ``configs/``), ``configs/decur/decur_sunrgbd.py`` or ``decur_sunrgbd.py``, with or without ``.py``. A file that exists is taken
            first.

    Raises:
        ConfigError: If there is no such file and no such config.
    """
    given = Path(path)
    if given.is_file():
        return given
    text = str(path)
    unknown = f'config {text!r} does not exist.'
    if given.is_absolute() or given.exists() or '..' in given.parts:
        raise ConfigError(unknown)
    wanted = text.removeprefix('decur::').removeprefix('configs/').removesuffix('.py')
    configs = shipped('configs')
    known = {file.relative_to(configs).with_suffix('').as_posix(): file for file in configs.rglob('*.py')}
    if wanted in known:
        return known[wanted]
    named = [file for name, file in known.items() if '/' not in wanted and name.rpartition('/')[2] == wanted]
    if len(named) == 1:
        return named[0]
    near = closest(wanted if '/' in wanted else f'decur/{wanted}', [name for name in known if not name.startswith('_base_')])
    raise ConfigError(f'config {text!r} does not exist, and is no config of the package{near}')

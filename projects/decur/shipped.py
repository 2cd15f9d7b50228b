"""Where the configs are that come with the package, and a config by its path or its name in the package."""
import re
from pathlib import Path

from .errors import ConfigError, closest

_PACKAGE = Path(__file__).resolve().parent


def config_folder() -> Path:
    """The folder of the configs: of the installed package, or of the checkout that the package is imported from.

    Raises:
        ConfigError: If neither is there: the package was copied from an installation in parts.
    """
    places = (_PACKAGE / '.mim' / 'configs', _PACKAGE.parents[1] / 'configs')
    for place in places:
        if place.is_dir():
            return place.resolve()
    raise ConfigError(f'the configs of the package are neither in {places[0]} nor in {places[1]}: install it again.')


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
    unknown = f'config {text!r} does not exist.{_renamed(text)}'
    if given.is_absolute() or given.exists() or '..' in given.parts:
        raise ConfigError(unknown)
    wanted = text.removeprefix('decur::').removeprefix('configs/').removesuffix('.py')
    configs = config_folder()
    known = {file.relative_to(configs).with_suffix('').as_posix(): file for file in configs.rglob('*.py')}
    if wanted in known:
        return known[wanted]
    named = [file for name, file in known.items() if '/' not in wanted and name.rpartition('/')[2] == wanted]
    if len(named) == 1:
        return named[0]
    if _renamed(wanted):
        raise ConfigError(unknown)
    near = closest(wanted if '/' in wanted else f'decur/{wanted}', [name for name in known if not name.startswith('_base_')])
    raise ConfigError(f'config {text!r} does not exist, and is no config of the package{near}')


def _renamed(name: str) -> str:
    """The row of the table of earlier names in ``configs/README.md`` that a config is in, as a sentence; empty if there is none."""
    readme = config_folder() / 'README.md'
    table = readme.read_text(encoding='utf-8').partition('## Earlier names')[2] if readme.is_file() else ''
    wanted = name.replace('decur::', '').rpartition('configs/')[2].removesuffix('.py') + '.py'
    for earlier, now in re.findall(r'^\| `(\S+\.py)` \| (.+) \|$', table, re.MULTILINE):
        pattern = re.escape(earlier).replace(r'\{', '(?:').replace(r'\}', ')').replace(',', '|').replace(r'\*', '.*')
        if re.fullmatch(pattern, wanted):
            return f' Configs were renamed: {earlier} is {now.replace("`", "")} now ({readme}).'
    return ''

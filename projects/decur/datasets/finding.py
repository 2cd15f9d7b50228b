"""Which files a data set has: lists of ids, files by id, ids by file. Nothing is opened but the lists."""
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from decur.errors import ConfigError, DataError
from decur.readers.files import IMAGE_SUFFIXES

#: Suffixes of the files that a folder of images is searched for, in lower case.
RASTER_SUFFIXES = (*IMAGE_SUFFIXES, '.tif', '.tiff', '.jp2', '.npy')
#: Suffixes that mean the same.
_TWINS = {'.tif': '.tiff', '.tiff': '.tif', '.jpg': '.jpeg', '.jpeg': '.jpg'}
_KEYS = ('folder', 'suffix', 'pattern')


def same_suffixes(extension: str) -> tuple:
    """The spellings of a file's extension in lower case: ``'.TIF'`` is ``'.tif'`` and ``'.tiff'``."""
    extension = extension.lower()
    return (extension, _TWINS[extension]) if extension in _TWINS else (extension, )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden: ``.name``, and the ``._name`` that macOS leaves beside every file on other disks."""
    return name.startswith('.')


def file_names(folder: str | Path) -> list:
    """Names of the files in a folder, sorted, without the hidden ones.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_file())
    except OSError as error:
        raise DataError(f'{folder} cannot be read as a folder ({error.strerror}).') from error


def folder_names(folder: str | Path) -> list:
    """Names of the folders (linked ones too) in a folder, sorted, without the hidden ones; none where it is no folder."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:  # which knows folders without asking for each
        return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())


def split_folder(root: str | Path, split: str | None, splits: Sequence, products: Iterable, name: str) -> Path | None:
    """The folder of a release's products: ``root``, or that of a split below it; None where neither has one of the products.

    Args:
        root (str | Path): The release, or a split of it.
        split (str, optional): Which split.
        splits (Sequence[str]): Those that the release has.
        products (Iterable[str]): Names of its folders.
        name (str): Of the release, for errors.

    Raises:
        ConfigError: If the split is not there, or there are several to choose from.
    """
    root, products = Path(root), list(products)
    holds = [folder for folder in (root, *(root / part for part in splits)) if any((folder / product).is_dir() for product in products)]
    if not holds and split is None:
        return None
    if root in holds and split in (None, root.name):
        return root
    if split is None or root / split not in holds:
        there = [folder.name for folder in holds if folder != root] or 'none'
        raise ConfigError(f'split={split!r}: {root} holds the splits {there} of {name}; choose one (split={splits[0]!r}, --split '
                          f'{splits[0]}).')
    return root / split


def walk(folder: str | Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, with ``/``; linked folders are followed, hidden files and folders are not."""
    seen = set()
    for path, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:  # a link to a folder above itself
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        relative = Path(path).relative_to(folder)
        yield from ((relative / name).as_posix() for name in sorted(files) if not is_hidden(name))


def decode_text(data: bytes, path: str | Path) -> str:
    """The text of a list: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: If it is in another encoding.
    """
    try:
        if data.startswith((b'\xff\xfe', b'\xfe\xff')):
            return data.decode('utf-16')
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        raise DataError(f'{path}, line {line}: not UTF-8 ({error.reason}). Save the list as UTF-8.') from error
    if '\0' in text:
        raise DataError(f'{path} is no text in UTF-8 (it has zero bytes). Save the list as UTF-8.')
    return text


def read_list(path: str | Path) -> list:
    """The lines of a text file, without the empty ones and comments (``#``), and without white space around them.

    Raises:
        DataError: If there is no such file, it is no text in UTF-8 or UTF-16, or empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f'the list {path} cannot be read ({error.strerror or error}).') from error
    lines = [line.strip() for line in re.split(r'\r\n|\r|\n', decode_text(data, path))]
    lines = [line for line in lines if line and not line.startswith('#')]
    if not lines:
        raise DataError(f'the list {path} is empty: it should have one id a line.')
    return lines


def check_name(name: str, what: str) -> str:
    """Refuse a name that leads out of its folder by ``..`` or as an absolute path, whatever lies there.

    Args:
        name (str): A path relative to the folder.
        what (str): Where the name is from, for the error.

    Raises:
        DataError: If it does.
    """
    parts = re.split(r'[/\\]', name)
    if '..' in parts or name.startswith(('/', '\\')) or re.match(r'[A-Za-z]:[/\\]', name):
        raise DataError(f'{what}: {name!r} leads outside the folder of the data. Name files below it.')
    return name


def check_inside(path: Path, folders: Sequence, what: str) -> None:
    """Refuse a file that is a link out of the data set.

    Args:
        path (Path): The file. Its name was checked by :func:`check_name`.
        folders (Sequence[Path]): It must lie in one of them, or in the folder that its path names. So whole folders may be links out of
            the data set, single files may not.
        what (str): Named in the error.

    Raises:
        DataError: If it is.
    """
    resolved = path.resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in (*folders, path.parent)):
        raise DataError(f'{what}: {path} is a link to {resolved}, outside {folders[0]}. Copy the file into the folder, or link the folder.')


class FilePlace:
    """Where the files of one modality (or the labels) are: the ``files`` of its entry.

    ``dict(folder='s1', suffix='.tif')`` has the file ``s1/<id>.tif``; several suffixes may be given. ``dict(folder='s1',
    pattern='S1_after_{id}.png')`` is for names with more around the id; the pattern may have folders, before or after the id
    (``'{id}/S1.tif'``). Of an id with sub-folders, ``siteA/0001``, the folders stand before the part of the path that has ``{id}``:
    ``siteA/S1_after_0001.png``. Elsewhere they are ``{folder}``, and the rest ``{name}``: ``'{folder}/AFTER/S1_after_{name}.png'``.

    The extension is compared in any case, ``.tif`` is ``.tiff`` and ``.jpg`` is ``.jpeg``; hidden files are left out; names are compared
    as Unicode composes them (NFC).

    Args:
        root (Path): The folder of the data.
        files (dict): ``folder``, and ``suffix`` or ``pattern``.
        owner (str): Whose files, for errors: ``"modality 'sar'"``.
        prefix (str): Put before ``folder``.

    Raises:
        ConfigError: If ``files`` has other keys, or a pattern without an id.
    """

    def __init__(self, root: Path, files: Mapping, owner: str, prefix: str = ''):
        unknown = sorted(set(files) - set(_KEYS))
        if unknown or ('pattern' in files and 'suffix' in files):
            raise ConfigError(f'{owner}: files has {sorted(files)}; it takes folder, and suffix or pattern: '
                              "dict(folder='s1', suffix='.tif') or dict(folder='s1', pattern='S1_{id}.tif').")
        self.root, self.owner = root, owner
        self.folder = root / f'{prefix}{files.get("folder") or ""}'
        given = files.get('pattern')
        if given is None:
            suffixes = files.get('suffix', '')
            given = [f'{{id}}{suffix}' for suffix in ([suffixes] if isinstance(suffixes, str) else suffixes)]
        self.patterns = [self._parse(pattern) for pattern in ([given] if isinstance(given, str) else given)]
        self._listed: dict = {}

    def _parse(self, pattern: str) -> str:
        """A pattern with the fields ``{folder}`` and ``{name}`` only; ``{folder}`` ends with a slash or is empty."""
        fields = re.findall(r'\{(.*?)\}', pattern)
        if set(fields) == {'id'}:
            parts = pattern.split('/')
            first = next(i for i, part in enumerate(parts) if '{id}' in part)
            parts[first] = '{folder}' + parts[first]
            return '/'.join(parts).replace('{id}', '{name}')
        whole = len(re.findall(r'(?:^|/)\{folder\}(?=/)', pattern)) == fields.count('folder') <= 1  # {folder} is a part of its own
        if whole and 'name' in fields and set(fields) <= {'name', 'folder'}:
            return pattern.replace('{folder}/', '{folder}')
        raise ConfigError(f'{self.owner}: files has pattern={pattern!r}; put {{id}} where the id stands, or {{folder}}/ and {{name}}.')

    def check_folder(self) -> None:
        """Raise a DataError if the folder is not there."""
        if not os.path.isdir(self.folder):  # pathlib's raises for a name that is too long
            raise DataError(f'{self.folder} is not a folder; it should hold the files of {self.owner}.')

    def describe(self, sample_id: str = '<id>') -> str:
        """The paths that are looked for, for errors."""
        folder, slash, name = sample_id.rpartition('/')
        return ' or '.join(f'{self.folder}/{pattern.format(folder=folder + slash, name=name)}' for pattern in self.patterns)

    def find(self, sample_id: str) -> str | None:
        """The file of an id, or None.

        Raises:
            DataError: If there are two, or it leads out of the folder.
        """
        what = f'{self.owner}, sample {sample_id!r}'
        folder, slash, name = check_name(sample_id, what).rpartition('/')
        found: dict = {}
        for pattern in self.patterns:
            path = self.folder / pattern.format(folder=folder + slash, name=name)
            if path.parent not in self._listed:
                self._listed[path.parent] = self._index(path.parent)
            for spelling in _spellings(path.name):
                found.update(dict.fromkeys(self._listed[path.parent].get(spelling, ())))
        if len(found) > 1:
            raise DataError(f'{what}: {" and ".join(sorted(found))} are both its file. Take one away, or name one suffix.')
        for path in found:
            check_inside(Path(path), (self.folder, self.root), what)
            return path
        return None

    @staticmethod
    def _index(folder: Path) -> dict:
        """Paths of a folder's files by name in NFC with the extension in lower case."""
        index: dict = {}
        for name in file_names(folder) if os.path.isdir(folder) else ():
            index.setdefault(_plain(name), []).append(f'{folder}/{name}')
        return index

    def ids(self) -> list:
        """The ids of all files, sorted.

        Raises:
            DataError: If the folder is not there, or has no such file.
        """
        self.check_folder()
        expressions = [self._expression(pattern) for pattern in self.patterns]
        ids, others = set(), {}
        for path in walk(self.folder):
            match = next(filter(None, (expression.fullmatch(unicodedata.normalize('NFC', path)) for expression in expressions)), None)
            if match:
                ids.add(match['folder'] + match['name'])
            else:
                extension = os.path.splitext(path)[1] or 'no suffix'
                others[extension] = others.get(extension, 0) + 1
        if not ids:
            seen = ', '.join(f'{count} x {suffix}' for suffix, count in sorted(others.items())[:5]) or 'no files at all'
            raise DataError(f'found no samples: {self.owner} has no file {self.describe()}; the folder has {seen}.')
        return sorted(ids)

    @staticmethod
    def _expression(pattern: str) -> re.Pattern:
        """The regular expression of a file's path, with the groups ``folder`` and ``name``."""
        stem, extension = os.path.splitext(unicodedata.normalize('NFC', pattern))
        text, seen = '', set()
        for part in re.split(r'(\{folder\}|\{name\})', stem):
            field = part[1:-1]
            if part not in ('{folder}', '{name}'):
                text += re.escape(part)
            elif field in seen:
                text += f'(?P={field})'
            else:
                text += r'(?P<folder>(?:[^/]+/)*)' if field == 'folder' else r'(?P<name>[^/]+)'
                seen.add(field)
        text = text if 'folder' in seen else f'(?P<folder>){text}'
        return re.compile(f'{text}(?i:{"|".join(map(re.escape, same_suffixes(extension)))})')


def _plain(name: str) -> str:
    stem, extension = os.path.splitext(unicodedata.normalize('NFC', name))
    return stem + extension.lower()


def _spellings(name: str) -> tuple:
    stem, extension = os.path.splitext(_plain(name))
    return tuple(stem + twin for twin in same_suffixes(extension)) if extension else (stem, )

"""Archives (tar, gzip or zstd, whole or in parts) as a stream of files, without extracting them, and checked to their end.

What an archive says of itself is not believed: nothing is written anywhere under a member's name, only regular files are taken, sizes are
limits before they are memory, and the end of an archive counts only with its end mark and its checksum.
"""
import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from decur.datasets.finding import is_hidden
from decur.errors import DataError

_PART = re.compile(r'^(?P<stem>.+?\.tar(?:\.gz|\.zst)?)\.?(?:part)?-?(?P<part>[a-z]{2}|\d+)$')
_ARCHIVE = re.compile(r'\.(tar|tar\.gz|tgz|tar\.zst)$')
#: Bytes of the largest file that is taken; the released ones have at most 12 MB.
LARGEST_FILE = 64 << 20
#: Bytes that the headers of one member may take (long names, attributes).
_LARGEST_HEADER = 1 << 18
_SPARSE = 'it holds a sparse file, which no released archive does'


class ArchiveError(DataError):
    """An archive that is damaged, cut short or hostile. Nothing that was read from it can be trusted."""


def find_archives(folder: Path, pattern: str) -> list:
    """Archives in a folder whose name matches ``pattern``, each a list of its parts in order.

    ``NAME.tar``, ``.tar.gz``, ``.tgz``, ``.tar.zst``, or split: ``NAME.tar.gz.partaa``, ``.partab``, ..., ``NAME.tar.gzaa``, ...

    Raises:
        DataError: If a part is missing between the others.
    """
    groups: dict = {}
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            continue
        found = None if _ARCHIVE.search(path.name) else _PART.match(path.name)
        stem = found.group('stem') if found else path.name
        if path.is_file() and _ARCHIVE.search(stem) and re.match(pattern, stem):
            groups.setdefault(stem, []).append((found.group('part') if found else '', path))
    for stem, parts in groups.items():
        if not parts[0][0]:
            continue
        letters = parts[0][0].isalpha()
        numbers = [ord(part[0]) * 26 + ord(part[1]) - 97 * 27 if letters else int(part) for part, _ in parts]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or (letters and numbers[0] != 0) or numbers[0] > 1:
            raise DataError(f'{folder / stem}: a part is missing; there are {[part for part, _ in parts]}.')
    return [[path for _, path in parts] for parts in groups.values()]


def size_of(parts: Iterable) -> int:
    """Bytes of an archive."""
    return sum(path.stat().st_size for path in parts)


class _Parts(io.RawIOBase):
    """The concatenation of files as one stream, without writing it anywhere; ``position`` counts the bytes that were read."""

    def __init__(self, paths: Iterable):
        self.paths = [Path(path) for path in paths]
        self.file = None
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while True:
            if self.file is None:
                if not self.paths:
                    return 0
                self.file = open(self.paths.pop(0), 'rb')
            count = self.file.readinto(buffer)
            if count:
                self.position += count
                return count
            self.file.close()
            self.file = None

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
        super().close()


class _Stream:
    """What tarfile reads from: forwards only, and no more for headers than they may take."""

    def __init__(self, file):
        self.file = file
        self.position = self.allowance = 0

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        while self.position < position:
            if not self.take(min(1 << 20, position - self.position)):
                raise EOFError('it ends in the middle of a file')

    def read(self, size: int) -> bytes:
        self.allowance -= size
        if self.allowance < 0:
            raise tarfile.ReadError('the header of a file claims to be larger than any header is')
        return self.take(size)

    def take(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end only."""
        pieces = []
        while size:
            data = self.file.read(size)
            if not data:
                break
            pieces.append(data)
            size -= len(data)
            self.position += len(data)
        return b''.join(pieces)


class _Member(tarfile.TarInfo):
    """A member of an archive. tarfile alone takes a damaged header, or a missing end mark, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive):
        archive.fileobj.allowance = _LARGEST_HEADER
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.EmptyHeaderError as error:
            raise tarfile.ReadError('it ends without its end mark') from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f'the header of a file is damaged, {error}') from error

    @classmethod
    def frombuf(cls, buffer, encoding, errors):
        member = super().frombuf(buffer, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError('the header of a file is damaged, it claims a negative size')
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(_SPARSE)
        return member


def _decompressed(raw: _Parts, name: str):
    """The bytes of the tar archive in a stream. Reading to its end verifies the checksum that gzip always and zstd usually has."""
    buffered = io.BufferedReader(raw, 1 << 20)
    if name.endswith('.tgz') or '.tar.gz' in name:
        return io.BufferedReader(gzip.GzipFile(fileobj=buffered, mode='rb'), 1 << 20)
    if '.tar.zst' in name:
        try:
            import pyarrow
        except ImportError as error:
            raise DataError(f"{name}: reading zstd archives needs pyarrow: pip install 'decur[data]'.") from error
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(buffered, 'r'), 'zstd')
    return buffered


def read_members(parts: list, wanted: Callable, seen: Callable = lambda position: None) -> Iterator[tuple]:
    """Regular files of an archive, in one pass in the archive's order.

    After the last one the rest of the archive is read too, so the checksums of the whole have been verified when this ends.

    Args:
        parts: Files of the archive.
        wanted: Called with the path of a file, as a tuple of names; says whether to read it.
        seen: Is told before each file how many bytes of the archive were read; a true answer ends the reading.

    Yields:
        tuple: The path and the content.

    Raises:
        ArchiveError: If the archive is damaged, cut short, or holds what no released archive does; names the last file before that.
    """
    last = ''
    raw = _Parts(parts)
    try:
        with raw:
            stream = _Stream(_decompressed(raw, parts[0].name))
            archive = tarfile.TarFile(fileobj=stream, tarinfo=_Member)
            while (member := archive.next()) is not None:
                archive.members = []  # tarfile remembers every member: gigabytes for millions
                if seen(raw.position):
                    return
                if member.issparse():
                    raise tarfile.ReadError(_SPARSE)
                member.name.encode()  # bytes that are no UTF-8 cannot become the key of a record
                path = PurePosixPath(member.name).parts
                if member.isreg() and wanted(path):
                    content = _content(stream, member)
                    last = f' after {member.name}'
                    yield path, content
            while rest := stream.take(1 << 20):
                if rest.strip(b'\0'):
                    raise tarfile.ReadError('there is more after its end mark')
            seen(raw.position)
    except DataError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError, SystemError, zlib.error) as error:
        raise ArchiveError(f'{parts[0]} is damaged or cut short{last}: {error}. Nothing from it is kept: download it again and run the '
                           'same command.') from error


def _content(stream: _Stream, member: tarfile.TarInfo) -> bytes:
    if member.size > LARGEST_FILE:
        raise tarfile.ReadError(f'{member.name} claims {member.size} bytes, more than any released file has')
    data = stream.take(member.size)
    if len(data) < member.size:
        raise EOFError(f'it ends in the middle of {member.name}')
    return data

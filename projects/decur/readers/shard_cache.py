"""Shards at an address (``https://``, ``hf://``, ``s3://``, ... through fsspec), kept on a local disk in a folder of bounded size.

A shard is downloaded whole, in pieces, when the first sample of it is read; the sampler (:class:`~decur.engine.ShardSampler`) draws from a
few shards at a time. Any number of processes and runs may use one folder: a lock lets one of them download a shard while the others wait
for it, files appear whole, and one that is taken away stays readable for those that have it open.
"""
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.logging import print_log

from decur.errors import ConfigError, DataError, first_line
from decur.writing import WriteError, output_folder, replacing

from .zarr_members import ShardError

#: Bytes of a request.
PIECE = 32 << 20
#: Seconds that a full disk is given after a shard was taken away, before the next one is.
LET_GO = 12.
_systems: dict = {}


def is_address(root: str | Path) -> bool:
    """Whether a root is an address and not a folder."""
    return '://' in str(root)


@dataclass(frozen=True)
class ShardCache:
    """Where shards of an address are kept, and how they are fetched.

    Attributes:
        folder (str): Local folder; made if need be.
        limit (int): Bytes that it may hold. The least recently used shards make room for new ones.
        timeout (float): Seconds without an answer after which a request counts as lost (``https://``; other protocols have
            ``options`` of their own).
        attempts (int): How often a request is made before it is an error, each time after twice the wait.
        wait (float): Seconds before the second attempt.
        options (dict): Further arguments of the fsspec file system, such as credentials.
    """

    folder: str
    limit: int
    timeout: float = 60.
    attempts: int = 5
    wait: float = 1.
    options: Mapping = field(default_factory=dict, hash=False)

    def file_system(self, address: str) -> tuple:
        """The fsspec file system of an address, and its path there. A process keeps one for each protocol, and its connections with it.

        Raises:
            ConfigError: If a package that the protocol needs is not installed, or there is no such protocol.
        """
        protocol = address.partition('://')[0]
        key = os.getpid(), protocol, self.timeout, repr(self.options)  # none of them survives a fork
        system = _systems.get(key)
        if system is not None:
            return system, system._strip_protocol(address)
        try:
            import fsspec
            options = dict(self.options)
            if protocol in ('http', 'https'):
                import aiohttp
                options.setdefault('client_kwargs', dict(timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self.timeout, sock_read=self.timeout)))
            _systems[key], path = system, path = fsspec.core.url_to_fs(address, skip_instance_cache=True, **options)
            return system, path
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{address}: {first_line(error)}. Install what its protocol needs: pip install 'decur[stream]'.") from error

    def ask(self, address: str, request: Callable):
        """``request(file system, path)``, repeated with longer and longer waits while it fails.

        Raises:
            ShardError: Names the address and the last reason; at once if there is nothing at the address.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return request(*self.file_system(address))
            except (ConfigError, DataError):
                raise
            except Exception as error:  # each protocol has errors of its own
                # fsspec says so too of a server that could not answer, or was too slow; what it was is behind it.
                behind = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error
                if isinstance(error, FileNotFoundError) and (behind is error or _status(behind) in (404, 410)):
                    raise ShardError(f'{address} does not exist.', address) from error
                reason = first_line(behind)
                _systems.clear()  # the next attempt has connections of its own
                if attempt == self.attempts:
                    raise ShardError(f'{address} cannot be read after {attempt} attempts ({reason}). Check the address and the '
                                     'connection, or leave such shards out: damaged="skip".', address) from error
                pause = self.wait * 2**(attempt - 1)
                print_log(f'{address}: attempt {attempt} of {self.attempts} failed ({reason}); the next in {pause:g} s', logger='current')
                time.sleep(pause)

    def list(self, address: str) -> dict:
        """Sizes of the files in a folder at an address, by name."""
        def entries(system, path):
            return {entry['name'].rstrip('/').rpartition('/')[2]: entry.get('size') for entry in system.ls(path, detail=True)
                    if entry.get('type') != 'directory'}
        return self.ask(address, entries)

    def size(self, address: str) -> int:
        """Bytes of a file at an address.

        Raises:
            ShardError: If it does not exist, is out of reach, or its server does not say its size.
        """
        size = self.ask(address, lambda system, path: system.info(path).get('size'))
        if size is None:
            raise ShardError(f'{address}: the server does not say how large it is.', address)
        return size

    def read(self, address: str, offset: int, size: int) -> bytes:
        """A part of a file at an address."""
        def part(system, path):
            data = system.cat_file(path, start=offset, end=offset + size)
            if len(data) > size:
                raise ShardError(f'{address}: the server does not serve parts of files (range requests).', address)
            if len(data) < size:
                raise OSError(f'{len(data)} of {size} bytes came')
            return data
        return self.ask(address, part)

    def path(self, address: str) -> Path:
        """Where a file is kept."""
        root, _, name = address.rpartition('/')
        return Path(self.folder, hashlib.sha256(root.encode()).hexdigest()[:16], name)

    def open(self, address: str, size: int, release: Callable = lambda: None) -> int:
        """A file descriptor of a shard, which is downloaded if it is not there.

        Args:
            address (str): Of the shard.
            size (int): Its bytes, as it was indexed.
            release (Callable): Closes what this process has open of shards that were taken away; called where the disk is full.

        Raises:
            ShardError: If it cannot be fetched, or has another size.
            WriteError: If the disk is full.
            ConfigError: If it is larger than the cache.
        """
        path = self.path(address)
        while True:
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if os.fstat(handle).st_size == size:
                    os.utime(handle, (time.time(), os.fstat(handle).st_mtime))  # the order of use; file systems often do not keep it
                    return handle
                os.close(handle)
            except FileNotFoundError:
                pass
            self.fetch(address, size, release)

    def fetch(self, address: str, size: int, release: Callable = lambda: None) -> None:
        """Download a shard unless it is there, or another process does so."""
        path = self.path(address)
        output_folder(path.parent)
        with _locked(path.with_name(f'.{path.name}.lock')):
            if path.exists() and path.stat().st_size == size:
                return
            with replacing(path) as temporary:
                self._reserve(temporary, size, address, release)
                with open(temporary, 'r+b') as file:
                    for offset in range(0, size, PIECE):
                        file.write(self.read(address, offset, min(PIECE, size - offset)))

    def _reserve(self, temporary: Path, size: int, address: str, release: Callable) -> None:
        """Take the disk space of a shard, and make room for it."""
        if size > self.limit:
            raise ConfigError(f'{address} has {size / 2**30:.2f} GiB, the cache may hold {self.limit / 2**30:.2f}: raise cache_size.')
        with _locked(Path(self.folder, '.room.lock')):
            held = sorted(_held(self.folder), reverse=True)
            total = sum(count for _, count, _ in held)
            while held and total + size > self.limit:
                total -= _remove(held.pop())
            if not _allocated(temporary, size):
                release()
            while not _allocated(temporary, size):
                if not held:
                    temporary.unlink(missing_ok=True)
                    full = WriteError(f'the disk of the cache {self.folder} is full: {size / 2**20:,.1f} MiB for {address} are not free '
                                      'and no other shard is there to make room. Choose another cache_folder.')
                    full.errno = errno.ENOSPC
                    raise full
                _remove(held.pop())
                release()
                # Other processes that have it open close it when they have not read it for a while.
                deadline = time.monotonic() + LET_GO
                while not _allocated(temporary, size) and time.monotonic() < deadline:
                    time.sleep(.1)


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error of one of the libraries that fsspec uses."""
    return getattr(error, 'status', None) or getattr(getattr(error, 'response', None), 'status_code', None)


def _allocated(path: Path, size: int) -> bool:
    """Take disk space for a file; False if there is not enough."""
    try:
        with open(path, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
            file.truncate(size)
        return True
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def _held(folder: str) -> Iterator[tuple]:
    """Time of last use, bytes and path of the shards in a cache, those that are being downloaded too (which are never removed)."""
    for path in Path(folder).glob('*/*'):
        try:
            stat = path.stat()
        except FileNotFoundError:  # another process removed it
            continue
        if path.name.endswith('.tar'):
            yield stat.st_atime, stat.st_size, path
        elif path.name.endswith('.tmp'):
            yield float('inf'), stat.st_size, path


def _remove(entry: tuple) -> int:
    """Remove a shard; how many bytes that gives."""
    used, size, path = entry
    if used == float('inf'):
        return 0 if path.exists() else size
    path.unlink(missing_ok=True)
    return size


@contextmanager
def _locked(path: Path):
    """Hold a lock that ends with the process; one of a file descriptor, so that threads exclude each other too."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

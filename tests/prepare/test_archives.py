"""Archives: all their files or an error that names them, whatever is damaged, cut off or claimed; and nothing of a damaged one is kept."""
import gzip
import io
import os
import shutil
import subprocess
import tarfile
import tracemalloc

import numpy as np
import pytest
from toy import Toy, contents, store_of, write_folders

from decur.errors import DataError
from decur.prepare import archives, engine
from decur.prepare.archives import ArchiveError, find_archives, read_members
from decur.prepare.store_writer import verify_store
from decur.readers.store import record_keys

KINDS = ('tar', 'tar.gz', 'tgz', 'tar.zst')


def tar_of(files, **changes):
    """An archive in memory; ``changes`` go to every member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def compressed(data, kind):
    if kind in ('tar.gz', 'tgz'):
        return gzip.compress(data, 0)  # stored as it is: only the checksum can tell that a bit was flipped
    if kind == 'tar.zst':
        pyarrow = pytest.importorskip('pyarrow')
        sink = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(sink, 'zstd') as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    return data


def listed(path, wanted=lambda path: True):
    return {'/'.join(name): content for name, content in read_members([path] if not isinstance(path, list) else path, wanted)}


@pytest.mark.parametrize('kind', KINDS)
def test_all_files_come(tmp_path, kind):
    path = tmp_path / f'x.{kind}'
    path.write_bytes(compressed(tar_of(contents()), kind))
    seen = []
    assert dict(('/'.join(n), c) for n, c in read_members([path], lambda path: path[-1] == 'a.bin', seen.append)) == {
        name: data for name, data in contents().items() if name.endswith('a.bin')}
    assert seen[-1] == path.stat().st_size


def test_members_of_gzip_one_after_another_and_padding_are_one_archive(tmp_path):
    data = tar_of(contents())
    path = tmp_path / 'x.tar.gz'
    path.write_bytes(gzip.compress(data[:5000]) + gzip.compress(data[5000:]) + bytes(512))
    assert listed(path) == contents()


@pytest.mark.parametrize('kind', ['tar.gz', 'tgz'])
def test_every_flipped_bit_of_gzip_is_noticed(tmp_path, kind):
    whole = compressed(tar_of(contents(4, 300)), kind)
    path = tmp_path / f'x.{kind}'
    rng = np.random.default_rng(1)
    # The first ten bytes are the header; its time and system say nothing of the content.
    for place in [*rng.choice(np.arange(10, len(whole)), 60, replace=False), *range(len(whole) - 8, len(whole))]:
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match=f'x.{kind} is damaged'):
            listed(path)


def test_the_checksums_of_zstd_are_verified(tmp_path):
    """As the command line tool writes them; frames may follow each other."""
    pytest.importorskip('pyarrow')
    if shutil.which('zstd') is None:
        pytest.skip('no zstd command')
    data = tar_of(contents(4, 300))
    frames = [subprocess.run(['zstd', '-cq'], input=part, stdout=subprocess.PIPE, check=True, timeout=60).stdout
              for part in (data[:3000], data[3000:])]
    path = tmp_path / 'x.tar.zst'
    path.write_bytes(b''.join(frames))
    assert listed(path) == contents(4, 300)
    rng, whole = np.random.default_rng(1), path.read_bytes()
    for place in [*rng.choice(np.arange(len(frames[0]) + 6, len(whole)), 40, replace=False), *range(len(whole) - 4, len(whole)),
                  len(frames[0]) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match='x.tar.zst is damaged'):
            listed(path)
    path.write_bytes(frames[0])
    with pytest.raises(ArchiveError, match='x.tar.zst is damaged or cut short'):
        listed(path)


@pytest.mark.parametrize('kind', KINDS)
def test_every_truncation_is_noticed(tmp_path, kind):
    whole = compressed(tar_of(contents(4, 300)), kind)
    path = tmp_path / f'x.{kind}'
    if kind == 'tar':  # its end mark is two blocks of zeros, and more as padding
        whole = whole.rstrip(b'\0') + bytes(-len(whole.rstrip(b'\0')) % 512 + 1024)
    last = len(whole) - 1100 if kind == 'tar' else len(whole) - 1
    for end in [*np.random.default_rng(2).integers(0, last, 25), last]:
        path.write_bytes(whole[:end])
        with pytest.raises(ArchiveError, match=f'x.{kind} is damaged or cut short'):
            listed(path)


@pytest.mark.parametrize('padding', [0, 3 << 20])
def test_the_checksum_behind_the_end_mark_is_reached(tmp_path, padding):
    """However much padding stands between."""
    path = tmp_path / 'x.tar.gz'
    data = bytearray(gzip.compress(tar_of(contents()) + bytes(padding), 1))
    path.write_bytes(data)
    assert listed(path) == contents()
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match='CRC'):
        listed(path)


@pytest.mark.parametrize('place', [0, 5, 23])
def test_a_damaged_header_or_a_zeroed_block_is_not_the_end(tmp_path, place):
    data = bytearray(tar_of(contents(12, 512)))
    path = tmp_path / 'x.tar'
    start = place * 1024
    for block in (bytes(512), bytes(10) + b'\xff' * 20 + bytes(482), os.urandom(512)):
        path.write_bytes(data[:start] + block + data[start + 512:])
        with pytest.raises(ArchiveError, match='damaged'):
            listed(path)


def test_what_follows_the_end_mark_is_not_passed_over(tmp_path):
    path = tmp_path / 'x.tar'
    path.write_bytes(tar_of(contents(1)) + tar_of(contents(2)))
    with pytest.raises(ArchiveError, match='more after its end mark'):
        listed(path)


def special(kind, **values):
    member = tarfile.TarInfo('root/000/a.bin')
    member.type = kind
    for key, value in values.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize('member', [
    special(tarfile.SYMTYPE, linkname='/etc/passwd'), special(tarfile.LNKTYPE, linkname='../../secret'),
    special(tarfile.CHRTYPE, devmajor=1), special(tarfile.FIFOTYPE), special(tarfile.DIRTYPE)
])
def test_what_is_no_regular_file_is_never_taken(tmp_path, member):
    path = tmp_path / 'x.tar'
    path.write_bytes(member + tar_of({'root/000/b.bin': b'b'}))
    assert listed(path) == {'root/000/b.bin': b'b'}


@pytest.mark.parametrize('name', ['../../outside/a.bin', '/etc/a.bin', 'root/../../a.bin', './a.bin'])
def test_names_that_lead_outside_write_nothing(tmp_path, name):
    path = tmp_path / 'in' / 'x.tar'
    path.parent.mkdir()
    path.write_bytes(tar_of({name: b'x'}))
    assert list(listed(path).values()) == [b'x']  # a name is only a name: nothing is extracted
    assert [p.name for p in tmp_path.rglob('*')] == ['in', 'x.tar']


def peak(path):
    """Bytes at most while reading an archive that must be refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError) as error:
            listed(path)
        return tracemalloc.get_traced_memory()[1], str(error.value)
    finally:
        tracemalloc.stop()


BOMB = 128 << 20  # more than is allowed, and quick to decompress


def member(name='root/000/a.bin', form=tarfile.GNU_FORMAT, **values):
    """A header that claims, and nothing after it."""
    found = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(found, key, value)
    return found.tobuf(form)


def sparse_map():
    """A sparse file as newer archives have it: its list of pieces stands in the content."""
    listing = b'1000000000\n' + b'1\n' * (BOMB // 2)
    headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': str(1 << 40), 'GNU.sparse.name': 'a'}
    return member(form=tarfile.PAX_FORMAT, size=len(listing), pax_headers=headers) + listing


def negative():
    header = bytearray(member())
    header[124:136] = b'\xff' * 12
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    return bytes(header) + bytes(2048)


BOMBS = {
    'claims 134217728 bytes': lambda: member(size=BOMB) + bytes(BOMB),
    'claims 1152921504606846976 bytes': lambda: member(size=1 << 60) + bytes(2048),
    'claims to be larger than any header': lambda: member('pax', type=tarfile.XHDTYPE, size=BOMB) + bytes(BOMB),
    'claims to be larger than any  header': lambda: member('././@LongLink', type=tarfile.GNUTYPE_LONGNAME, size=BOMB) + bytes(BOMB),
    'larger than any header': sparse_map,
    'sparse': lambda: member(type=tarfile.GNUTYPE_SPARSE) + bytes(BOMB),
    'negative': negative,
    # Long names of long names of ..., which tarfile follows by recursion.
    'recursion': lambda: (member('././@LongLink', type=tarfile.GNUTYPE_LONGNAME, size=512) + bytes(512)) * 5000
}


@pytest.mark.parametrize('says', BOMBS)
def test_claims_are_limits_before_they_are_memory(tmp_path, says):
    path = tmp_path / 'x.tar.gz'
    path.write_bytes(gzip.compress(BOMBS[says](), 1))
    used, message = peak(path)
    assert used < 100 << 20, f'{used / 2**20:.0f} MiB'
    assert ' '.join(says.split()) in message and 'x.tar.gz' in message and '\n' not in message


def test_names_that_are_no_text_are_refused(tmp_path):
    member = tarfile.TarInfo('root/\udcff/a.bin')
    path = tmp_path / 'x.tar'
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape') + bytes(1024))
    with pytest.raises(ArchiveError, match='x.tar'):
        listed(path)


def test_hidden_files_are_no_archives(tmp_path):
    for name in ('nrw.tar.gz', '._nrw.tar.gz', '.nrw.tar.gz.partaa'):
        (tmp_path / name).write_bytes(b'')
    assert find_archives(tmp_path, '.*nrw') == [[tmp_path / 'nrw.tar.gz']]


@pytest.fixture
def lmdb():
    return pytest.importorskip('lmdb')


def write_toy(tmp_path, data, kind='tar.gz'):
    (tmp_path / 'src').mkdir(exist_ok=True)
    path = tmp_path / 'src' / f'toy.{kind}'
    path.write_bytes(compressed(data, kind))
    return path


def prepare(tmp_path, **kwargs):
    return engine.prepare(Toy(tmp_path / 'src'), tmp_path / 'out', **kwargs)


@pytest.mark.parametrize('damage', ['flip', 'trailer', 'cut'])
@pytest.mark.parametrize('workers', [1, 2])
def test_nothing_of_a_damaged_archive_is_kept_and_the_whole_one_gives_the_store(tmp_path, lmdb, damage, workers):
    path = write_toy(tmp_path, tar_of(contents(30, 60_000)))
    whole = path.read_bytes()
    data = bytearray(whole)
    if damage == 'flip':
        data[len(data) // 5] ^= 4  # more than a read-ahead before the end: records are written before it is known
    elif damage == 'trailer':
        data[-8] ^= 1
    path.write_bytes(data[:-2000] if damage == 'cut' else data)
    with pytest.raises(ArchiveError, match='toy.tar.gz is damaged or cut short.*download it again'):
        prepare(tmp_path, workers=workers)
    assert not (tmp_path / 'out' / 'manifest.json').exists()
    path.write_bytes(whole)
    assert prepare(tmp_path, workers=workers)['skipped'] == {}
    assert store_of(tmp_path / 'out') == contents(30, 60_000) and not verify_store(tmp_path / 'out')


def test_records_of_a_damaged_archive_are_not_kept_for_the_extracted_files(tmp_path, lmdb):
    files = contents(30, 60_000)
    path = write_toy(tmp_path, tar_of(files))
    data = bytearray(path.read_bytes())
    data[len(data) // 5] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        prepare(tmp_path)
    write_folders(tmp_path / 'src', files)
    prepare(tmp_path)
    assert store_of(tmp_path / 'out') == files


def test_records_of_an_archive_that_was_never_found_whole_are_not_kept_for_another(tmp_path, lmdb, monkeypatch):
    """A run that was killed before the end of a damaged archive, whose place another takes."""
    files = contents(6)
    path = write_toy(tmp_path, tar_of({name: data[::-1] for name, data in files.items()}))

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine._ArchiveLog, 'end', killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    monkeypatch.undo()
    path.unlink()
    write_toy(tmp_path, tar_of(files))
    prepare(tmp_path)
    assert store_of(tmp_path / 'out') == files


def test_a_killed_run_keeps_what_it_has_if_the_archive_is_the_same(tmp_path, lmdb, monkeypatch):
    write_toy(tmp_path, tar_of(contents(6)))

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine._ArchiveLog, 'end', killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    monkeypatch.undo()
    done = []
    monkeypatch.setattr(Toy, 'encode', lambda self, key, files: done.append(key))
    prepare(tmp_path)
    assert not done and store_of(tmp_path / 'out') == contents(6)


def test_damage_that_comes_later_takes_nothing_from_a_finished_store(tmp_path, lmdb):
    path = write_toy(tmp_path, tar_of(contents(6)))
    prepare(tmp_path)
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        prepare(tmp_path)
    path.write_bytes(compressed(tar_of(contents(6)), 'tar.gz'))
    prepare(tmp_path)
    assert store_of(tmp_path / 'out') == contents(6)


def test_files_of_many_samples_that_never_become_whole_are_not_piled_up(tmp_path, lmdb, monkeypatch):
    monkeypatch.setattr(engine, '_LARGEST_WAITING', 20_000)
    files = contents(30)
    write_toy(tmp_path, tar_of(dict(sorted(files.items(), key=lambda pair: pair[0][-5]))))  # all a.bin, then all b.bin
    with pytest.raises(DataError, match='Extract the archive'):
        prepare(tmp_path)


def test_names_too_long_for_a_record_are_an_error(tmp_path, lmdb):
    write_toy(tmp_path, tar_of({f'root/{"n" * 600}/{name}.bin': b'x' for name in 'ab'}))
    with pytest.raises(DataError, match="'nnn.*at most 511 bytes"):
        prepare(tmp_path)


def test_limit_and_subset_of_archives(tmp_path, lmdb):
    write_toy(tmp_path, tar_of(contents(9)))
    assert prepare(tmp_path, limit=2)['done'] == 2
    assert record_keys(tmp_path / 'out') == ['000', '001']
    assert prepare(tmp_path, subset=4, seed=3, limit=3)['samples'] == 3
    assert archives.size_of([tmp_path / 'src' / 'toy.tar.gz']) > 0


def test_what_macos_leaves_beside_files_is_passed_over(tmp_path, lmdb):
    files = contents(3)
    junk = {name.replace(name[-5:], f'._{name[-5:]}'): b'AppleDouble' for name in files}
    write_toy(tmp_path, tar_of({**{'root/._000': b'x', './.DS_Store': b'x'}, **files, **junk}))
    assert prepare(tmp_path)['skipped'] == {} and store_of(tmp_path / 'out') == files

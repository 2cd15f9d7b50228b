"""Tar shards at an address: the same samples as from the folder, a bounded cache for several runs, and clear errors where it fails."""
import errno
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context

import numpy as np
import pytest
from test_shards import ENTRIES, LOAD, make

from decur.datasets import ShardDataset
from decur.engine import ShardSampler
from decur.errors import ConfigError
from decur.readers import shard_cache, shards
from decur.readers.shard_cache import ShardCache
from decur.readers.shards import ShardError, close_shards
from decur.writing import WriteError

pytest.importorskip('zarr')
pytest.importorskip('aiohttp')


class Server(ThreadingHTTPServer):
    """Serves a folder with range requests and listings; ``fail`` says how often each file is refused first, ``stall`` for how long."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(('127.0.0.1', 0), Handler)
        self.folder, self.fail, self.stall, self.asked, self.ranges = folder, {}, 0, [], True
        threading.Thread(target=self.serve_forever, kwargs=dict(poll_interval=.02), daemon=True).start()
        self.address = f'http://127.0.0.1:{self.server_port}'


class Handler(BaseHTTPRequestHandler):

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server, path = self.server, self.server.folder / self.path.strip('/')
        server.asked.append((self.command, path.name, self.headers.get('Range')))
        if server.stall and path.suffix == '.tar':
            threading.Event().wait(server.stall)
        if server.fail.get(path.name, 0) > 0:
            server.fail[path.name] -= 1
            return self.send_error(503)
        if path.is_dir():
            return self.answer(200, ''.join(f'<a href="{self.path.rstrip("/")}/{child.name}">x</a>' for child in path.iterdir()).encode())
        if not path.is_file():
            return self.send_error(404)
        data = path.read_bytes()
        span = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range') or '')
        if not span or not server.ranges:
            return self.answer(200, data)
        start, end = int(span[1]), min(int(span[2]) + 1, len(data))
        self.answer(206, data[start:end], **{'Content-Range': f'bytes {start}-{end - 1}/{len(data)}'})

    def answer(self, status, data, **headers):
        self.send_response(status)
        for key, value in {'Content-Length': str(len(data)), 'Accept-Ranges': 'bytes' if self.server.ranges else 'none', **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == 'GET':
            self.wfile.write(data)


@pytest.fixture
def served(tmp_path):
    values = make(tmp_path / 'data' / 'train')
    server = Server(tmp_path / 'data')
    yield server, values
    close_shards()
    server.shutdown()
    server.server_close()


def remote(server, tmp_path, **kwargs):
    kwargs = dict(dict(cache_folder=str(tmp_path / 'cache'), split='train', wait=.01, timeout=20, pipeline=LOAD), **kwargs)
    return ShardDataset(ENTRIES, server.address, **kwargs)


def test_the_samples_are_those_of_the_folder(served, tmp_path):
    server, values = served
    dataset = remote(server, tmp_path)
    assert len(dataset) == 6 and dataset.shard_of_sample.tolist() == [0] * 3 + [1] * 3
    for sample in dataset:
        assert np.array_equal(sample['images']['optical'], values['S2L1C', sample['sample_id']][0].transpose(1, 2, 0))
    count = len(server.asked)
    again = remote(server, tmp_path)
    assert np.array_equal(again[3]['images']['sar'], dataset[3]['images']['sar'])
    assert len(server.asked) > count and not any(part for _, _, part in server.asked[count:]), 'index and shards come from the cache'
    # The index that a local start leaves is taken from the address: no header is asked for.
    ShardDataset(ENTRIES, str(tmp_path / 'data'), split='train', pipeline=LOAD)
    count = len(server.asked)
    other = remote(server, tmp_path, cache_folder=str(tmp_path / 'other'))
    assert not any(part for _, _, part in server.asked[count:]) and len(other) == 6
    named = remote(server, tmp_path, shards='ssl4eos12_shard_{000002..000002}.tar', cache_folder=str(tmp_path / 'third'))
    assert [s['sample_id'][-1] for s in named] == ['3', '4', '5']


def test_a_failing_server_is_asked_again_and_named_in_the_end(served, tmp_path):
    server, values = served
    dataset = remote(server, tmp_path, attempts=3)
    name = 'ssl4eos12_shard_000001.tar'
    server.fail[name] = 2
    assert np.array_equal(dataset[1]['images']['optical'], values['S2L1C', 'ssl4eos12_train_0000001'][0].transpose(1, 2, 0))
    lenient = remote(server, tmp_path, attempts=1, damaged='skip')
    server.fail['ssl4eos12_shard_000002.tar'] = 99
    with pytest.raises(ShardError, match='train/S1GRD/ssl4eos12_shard_000002.tar cannot be read after 3 attempts .*503'):
        dataset[4]
    assert lenient[4]['sample_id'] == 'ssl4eos12_train_0000000'
    with pytest.raises(ShardError, match='000002.tar cannot be read after 2 attempts .*503'):
        remote(server, tmp_path, attempts=2)
    server.fail.clear()
    with pytest.raises(ShardError, match='000003.tar does not exist'):
        remote(server, tmp_path, shards='ssl4eos12_shard_{000001..000009}.tar', cache_folder=str(tmp_path / 'b'))
    skipping = remote(server, tmp_path, shards='ssl4eos12_shard_{000001..000009}.tar', cache_folder=str(tmp_path / 'c'), damaged='skip',
                      attempts=1)
    assert len(skipping) == 6


def test_a_slow_shard_is_named(served, tmp_path):
    server, _ = served
    dataset = remote(server, tmp_path, attempts=2, timeout=.2)
    server.stall = 5
    with pytest.raises(ShardError, match='000001.tar cannot be read after 2 attempts .*[Tt]imeout'):
        dataset[0]
    with pytest.raises(ShardError, match='000001.tar cannot be read after 2 attempts .*[Tt]imeout'):  # when it is asked for its size
        remote(server, tmp_path, attempts=2, timeout=.2, cache_folder=str(tmp_path / 'other'), shards='ssl4eos12_shard_000001.tar')


def test_nobody_answers(tmp_path):
    with pytest.raises(ShardError, match=r'http://127.0.0.1:9/train/S1GRD cannot be read after 2 attempts') as caught:
        ShardDataset(ENTRIES, 'http://127.0.0.1:9', split='train', cache_folder=str(tmp_path), attempts=2, wait=.01, pipeline=LOAD)
    assert '\n' not in str(caught.value)
    with pytest.raises(ConfigError, match='nowhere://x/train/S1GRD: .*decur.stream'):
        ShardDataset(ENTRIES, 'nowhere://x', split='train', cache_folder=str(tmp_path), pipeline=LOAD)


def test_a_server_without_ranges(served, tmp_path):
    server, _ = served
    server.ranges = False
    with pytest.raises(ShardError, match='does not serve parts of files|cannot be read'):
        remote(server, tmp_path, attempts=1)


def test_the_cache_is_bounded(served, tmp_path):
    server, values = served
    sizes = {p: (tmp_path / 'data' / 'train' / p / 'ssl4eos12_shard_000001.tar').stat().st_size for p in ('S1GRD', 'S2L1C')}
    limit = 2 * sizes['S2L1C'] + 1000
    dataset = remote(server, tmp_path, cache_size=limit / 2**30)
    for index in (0, 5, 1, 4, 2, 3):
        sample = dataset[index]
        assert np.array_equal(sample['images']['optical'], values['S2L1C', sample['sample_id']][0].transpose(1, 2, 0))
        close_shards()
        assert sum(path.stat().st_size for path in (tmp_path / 'cache').rglob('*.tar')) <= limit
    with pytest.raises(ConfigError, match='raise cache_size'):
        remote(server, tmp_path, cache_size=1000 / 2**30, cache_folder=str(tmp_path / 'small'))[0]


def test_shards_that_are_taken_away_give_their_disk_space_back(served, tmp_path, monkeypatch):
    """A process that has them open goes on reading, and closes them when it looks again."""
    server, values = served
    size = (tmp_path / 'data' / 'train' / 'S2L1C' / 'ssl4eos12_shard_000001.tar').stat().st_size

    def open_and_removed():
        files = (f'/proc/self/fd/{number}' for number in os.listdir('/proc/self/fd'))  # that of the listing is closed by now
        return [file for file in files if os.path.lexists(file) and re.search(r'_shard_.*\(deleted\)', os.readlink(file))]

    for idle in (1e9, 0):
        monkeypatch.setattr(shards, 'IDLE', idle)
        dataset = remote(server, tmp_path, cache_size=(2 * size + 1000) / 2**30)
        for index in (0, 5, 1, 1):
            sample = dataset[index]
            assert np.array_equal(sample['images']['optical'], values['S2L1C', sample['sample_id']][0].transpose(1, 2, 0))
        assert bool(open_and_removed()) == bool(idle)


def test_a_full_disk(served, tmp_path, monkeypatch):
    server, _ = served
    dataset = remote(server, tmp_path)
    dataset[0]
    close_shards()
    held = len(list((tmp_path / 'cache').rglob('*.tar')))
    full = [True]

    def allocate(handle, offset, size):
        if full[0]:
            raise OSError(errno.ENOSPC, 'No space left on device')
        os.truncate(handle, size)

    monkeypatch.setattr(shard_cache.os, 'posix_fallocate', allocate)
    monkeypatch.setattr(shard_cache, 'LET_GO', 0)
    with pytest.raises(WriteError, match='the disk of the cache .*cache is full.*another cache_folder'):
        dataset[5]
    assert held == 2 and not list((tmp_path / 'cache').rglob('*.tar')), 'what was there made room'
    assert not list((tmp_path / 'cache').rglob('*.tmp')), 'nothing half-written stays'
    full[0] = False
    assert dataset[5]['sample_id'] == 'ssl4eos12_train_0000005'


def _read_all(address, cache, limit, order, queue):
    dataset = ShardDataset(ENTRIES, address, split='train', cache_folder=cache, cache_size=limit / 2**30, wait=.01, pipeline=LOAD)
    out = {}
    for index in order:
        sample = dataset[index]
        out[sample['sample_id']] = sample['images']['optical'].tobytes()
        close_shards()
    queue.put(out)


def test_two_runs_on_one_cache(served, tmp_path):
    """Each needs what the other takes away: both get every sample right."""
    server, values = served
    context = get_context('fork')
    queue = context.Queue()
    one_of_each = sum(path.stat().st_size for path in (tmp_path / 'data' / 'train').glob('*/ssl4eos12_shard_000001.tar'))
    runs = [context.Process(target=_read_all, args=(server.address, str(tmp_path / 'cache'), one_of_each + 1000, order, queue))
            for order in ((0, 3, 1, 4, 2, 5), (5, 2, 4, 1, 3, 0))]
    for run in runs:
        run.start()
    try:
        for _ in runs:
            found = queue.get(timeout=120)
            assert found == {key: values['S2L1C', key][0].transpose(1, 2, 0).tobytes() for key in found} and len(found) == 6
    finally:
        for run in runs:
            run.join(20)
            run.kill()


def test_a_download_that_was_killed_is_made_again(served, tmp_path):
    server, _ = served
    cache = ShardCache(str(tmp_path / 'cache'), 1 << 30, wait=.01)
    address = f'{server.address}/train/S2L1C/ssl4eos12_shard_000001.tar'
    path = cache.path(address)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'half')
    (path.parent / f'.{path.name}.4194305.tmp').write_bytes(b'left over')
    size = cache.size(address)
    os.close(cache.open(address, size))
    assert path.read_bytes() == (tmp_path / 'data/train/S2L1C/ssl4eos12_shard_000001.tar').read_bytes()
    assert not list(path.parent.glob('*.tmp'))


def test_the_sampler_fetches_ahead_and_asks_for_room(served, tmp_path):
    server, _ = served
    dataset = remote(server, tmp_path)
    sampler = ShardSampler(dataset, window=1, seed=0)
    draws = iter(sampler)
    next(draws)
    for thread in threading.enumerate():
        if getattr(thread, '_target', None) == dataset.fetch_shards:
            thread.join(30)
    names = {path.name for path in (tmp_path / 'cache').rglob('*.tar')}
    assert len(names) == 1 and sorted(draws)
    with pytest.raises(ConfigError, match='two windows of 1 shards'):
        ShardSampler(remote(server, tmp_path, cache_size=1000 / 2**30), window=1, seed=0)

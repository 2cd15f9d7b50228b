"""Reading files that may be anything, and MMEngine's own loading through the same door."""
import argparse
import os
import pickle
import resource
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint
from torch.utils.data import DataLoader

import decur  # noqa: F401  registers the loader
from decur.errors import WeightsError
from decur.weights import load_file, save_file, unwrap
from decur.weights.sources import download, fetch
from decur.writing import WriteError


class Bomb:
    """Pickles to a call of os.system."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


@pytest.fixture
def weights():
    return {'a.weight': torch.randn(3, 4), 'a.bias': torch.randn(3), 'steps': torch.tensor(7)}


def equal(a, b):
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize('name', ['w.pth', 'w.safetensors', 'deep/er/w.pt'])
def test_round_trip(tmp_path, weights, name):
    path = save_file(weights, tmp_path / name)
    assert equal(dict(sorted(load_file(path).items())), dict(sorted(weights.items())))
    assert os.listdir(path.parent) == [path.name], 'a temporary file stayed behind'


def test_old_format(tmp_path, weights):
    torch.save(weights, tmp_path / 'w.pth', _use_new_zipfile_serialization=False)
    assert equal(load_file(tmp_path / 'w.pth'), weights)


def test_failed_write_leaves_the_old_file(tmp_path, weights):
    path = save_file(weights, tmp_path / 'w.pth')
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save_file({'f': lambda: 0}, path)
    assert equal(load_file(path), weights)
    assert os.listdir(tmp_path) == ['w.pth']


def test_what_mmengine_stores(tmp_path):
    buffer = HistoryBuffer()
    for value in range(5):
        buffer.update(float(value))
    content = dict(
        state_dict=OrderedDict(w=torch.ones(2)),
        meta=dict(epoch=3, seed=np.int64(5), best=np.float32(.5), flag=np.bool_(True), palette=np.zeros((2, 3), np.uint8),
                  window=slice(1, 2), dataset_meta=ConfigDict(classes=('a', 'b'), palette=[[1, 2, 3]], name=np.array(['x'])),
                  args=argparse.Namespace(lr=.1)),
        message_hub=dict(log_scalars=OrderedDict({'train/loss': buffer})))
    torch.save(content, tmp_path / 'e.pth')
    back = load_file(tmp_path / 'e.pth')
    assert back['message_hub']['log_scalars']['train/loss'].mean() == 2
    assert back['message_hub']['log_scalars']['train/loss'].statistics('max') == 4
    assert back['meta']['dataset_meta'].classes == ('a', 'b') and back['meta']['args'].lr == .1
    assert back['meta']['palette'].dtype == np.uint8 and back['meta']['seed'] == 5


@pytest.mark.parametrize('legacy', [False, True])
def test_code_is_refused_and_not_run(tmp_path, legacy):
    marker = tmp_path / 'ran'
    torch.save(dict(state_dict=dict(w=torch.ones(1)), extra=Bomb(marker)), tmp_path / 'bad.pth', _use_new_zipfile_serialization=not legacy)
    for read in (load_file, _load_checkpoint):
        with pytest.raises(WeightsError, match=r'bad\.pth.*posix\.system.*not weights'):
            read(str(tmp_path / 'bad.pth'))
    assert not marker.exists()


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / 'p.pth').write_bytes(pickle.dumps(Bomb(tmp_path / 'ran'), protocol=2))
    with pytest.raises(WeightsError, match='p.pth'):
        load_file(tmp_path / 'p.pth')
    assert not (tmp_path / 'ran').exists()


class Attribute:
    """Pickles to getattr(HistoryBuffer, name)."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return getattr, (HistoryBuffer, self.name)


def test_getattr_reaches_only_statistics(tmp_path):
    torch.save(dict(w=torch.ones(1), f=Attribute('mean')), tmp_path / 'good.pth')
    assert load_file(tmp_path / 'good.pth')['f'] is HistoryBuffer.mean
    torch.save(dict(w=torch.ones(1), f=Attribute('__init__')), tmp_path / 'bad.pth')
    with pytest.raises(WeightsError, match='bad.pth.*__init__'):
        load_file(tmp_path / 'bad.pth')


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('share', [.03, .5, .97])
def test_truncated(tmp_path, weights, legacy, share):
    torch.save(weights, tmp_path / 'w.pth', _use_new_zipfile_serialization=not legacy)
    data = (tmp_path / 'w.pth').read_bytes()
    (tmp_path / 'w.pth').write_bytes(data[:int(len(data) * share)])
    with pytest.raises(WeightsError, match=r'w\.pth.*(truncated|damaged)'):
        load_file(tmp_path / 'w.pth')


def test_truncated_safetensors(tmp_path, weights):
    path = save_file(weights, tmp_path / 'w.safetensors')
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsError, match='w.safetensors.*truncated'):
        load_file(path)


@pytest.mark.parametrize('name', ['w.pth', 'w.safetensors'])
def test_every_flipped_bit_is_noticed(tmp_path, weights, name):
    """By the checksums that zip archives have, and by the one that this project adds to safetensors; torch.load looks at none."""
    path = save_file(dict(weights, empty=torch.zeros(0, 3), half=torch.randn(5).bfloat16(), flag=torch.tensor(True)), tmp_path / name)
    content, expected = path.read_bytes(), load_file(path)
    rng = np.random.default_rng(0)
    for place in rng.choice(len(content), 120, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = load_file(path)
        except WeightsError as error:
            assert name in str(error) and '\n' not in str(error)
        else:  # a byte between the records, a time stamp, the name of the checksum
            assert equal(found, expected)


def test_files_without_checksums_are_read(tmp_path, weights):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights, tmp_path / 'w.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert equal(load_file(tmp_path / 'w.pth'), weights)
    safetensors.torch.save_file(weights, tmp_path / 'w.safetensors')
    assert equal(dict(sorted(load_file(tmp_path / 'w.safetensors').items())), dict(sorted(weights.items())))


def test_another_name_or_note_in_the_head_is_noticed(tmp_path, weights):
    path = save_file(weights, tmp_path / 'w.safetensors', dict(decur='{"a": 1}'))
    content = path.read_bytes()
    for old, new in ((b'a.weight', b'b.weight'), (b'F32', b'I32'), (b'[3,4]', b'[4,3]'), (b'\\"a\\": 1', b'\\"a\\": 2')):
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
        with pytest.raises(WeightsError, match='w.safetensors: the file is damaged'):
            load_file(path)


@pytest.mark.parametrize('pack', ['compressed', 'overlapping', 'encrypted'])
def test_archives_that_torch_does_not_write(tmp_path, weights, pack):
    torch.save(dict(weights, large=torch.randn(100, 100)), tmp_path / 'w.pth')
    with zipfile.ZipFile(tmp_path / 'w.pth') as source, zipfile.ZipFile(tmp_path / 'x.pth', 'w') as target:
        for record in source.infolist():
            target.writestr(record.filename, source.read(record), zipfile.ZIP_DEFLATED if pack == 'compressed' else zipfile.ZIP_STORED)
        if pack == 'overlapping':  # many names for the same bytes
            target.filelist += target.filelist * 50
        if pack == 'encrypted':
            for record in target.filelist:
                record.flag_bits |= 1
    with pytest.raises(WeightsError, match='x.pth') as info:
        load_file(tmp_path / 'x.pth')
    assert '\n' not in str(info.value)


@pytest.mark.parametrize('tensor, says', [
    (lambda: torch.zeros(1).expand(1 << 20, 1 << 20), 'claim 4,398,046,511,104 bytes and the file holds 4'),
    (lambda: torch.zeros(2, 2).to_sparse(), 'sparse'), (lambda: torch.zeros(3, device='meta'), 'meta'),
    (lambda: torch.quantize_per_tensor(torch.zeros(3), .1, 0, torch.qint8), 'quantized')])
def test_tensors_that_are_no_plain_arrays(tmp_path, tensor, says):
    torch.save(dict(w=tensor()), tmp_path / 'w.pth')
    with pytest.raises(WeightsError, match=f'w.pth.*{says}'):
        unwrap(load_file(tmp_path / 'w.pth'), tmp_path / 'w.pth')


def test_tied_weights_and_small_expanded_buffers_are_taken(tmp_path):
    weight = torch.randn(40, 40)
    torch.save(dict(a=weight, b=weight, index=torch.zeros(1).expand(10, 100)), tmp_path / 'w.pth')
    found = unwrap(load_file(tmp_path / 'w.pth'))
    assert torch.equal(found['b'], weight) and found['index'].shape == (10, 100)


@pytest.mark.parametrize('name', ['x' * 300 + '.pth', 'a\0b.pth', 'x' * 5000])
def test_names_that_are_none(name):
    with pytest.raises(WeightsError, match='cannot be read|no such'):
        load_file(name)


@pytest.mark.parametrize('name', ['w.pth', 'w.safetensors', 'folder/w.pth'])
def test_a_full_disk_ends_with_one_line(tmp_path, name):
    """Here a limit of file sizes; what was there stays."""
    path = save_file(dict(w=torch.ones(3)), tmp_path / name)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(WriteError, match=rf'{path.name} cannot be written \(File too large\)') as info:
            save_file({f'w{i}': torch.randn(100, 100) for i in range(9)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert '\n' not in str(info.value) and path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / 'file').write_text('a file')
    with pytest.raises(WriteError, match='file'):
        save_file(dict(w=torch.ones(3)), tmp_path / 'file' / 'w.pth')


@pytest.mark.parametrize('content, match', [
    (b'', 'empty'), (b'<!DOCTYPE html><html>', 'web page'), (b'version https://git-lfs.github.com/spec/v1\noid', 'git lfs pull'),
    (b'\x89PNG\r\n', 'not a checkpoint'), (b'PK\x03\x04nonsense', 'truncated or damaged')])
def test_not_a_checkpoint(tmp_path, content, match):
    (tmp_path / 'w.pth').write_bytes(content)
    with pytest.raises(WeightsError, match=match):
        load_file(tmp_path / 'w.pth')


def test_missing_and_other_content(tmp_path):
    with pytest.raises(WeightsError, match='nothing.pth: no such'):
        load_file(tmp_path / 'nothing.pth')
    torch.save(torch.ones(2), tmp_path / 't.pth')
    with pytest.raises(WeightsError, match='holds a Tensor'):
        load_file(tmp_path / 't.pth')


@pytest.mark.filterwarnings('ignore')  # torch.jit is deprecated, the files are still about
def test_torchscript(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1, 1)), tmp_path / 's.pt')
    with pytest.raises(WeightsError, match='TorchScript'):
        load_file(tmp_path / 's.pt')


def test_another_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / 'z.pth', 'w') as archive:
        archive.writestr('a.txt', 'hello')
    with pytest.raises(WeightsError, match='z.pth'):
        load_file(tmp_path / 'z.pth')


def test_unwrap(weights):
    prefixed = {f'module.{k}': v for k, v in weights.items()}
    for wrapped in (weights, dict(state_dict=weights, epoch=1), dict(model=prefixed, optimizer={}), dict(module=dict(state_dict=weights)),
                    prefixed):
        assert equal(unwrap(wrapped), weights)
    with pytest.raises(WeightsError, match='f.pth: found no weights.*epoch'):
        unwrap(dict(epoch=1), 'f.pth')
    with pytest.raises(WeightsError, match='not tensors: b'):
        unwrap(dict(a=torch.ones(1), b=3))
    with pytest.raises(WeightsError, match='found no weights'):
        unwrap({})


def test_sha256(tmp_path, monkeypatch):
    path = tmp_path / 'hub' / 'checkpoints' / 'w.pth'
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    save_file(dict(w=torch.ones(1)), path)
    assert download('https://example.org/some/w.pth?download=1') == path
    with pytest.raises(WeightsError, match='SHA-256'):
        fetch('https://example.org/w.pth', sha256='0' * 64)


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(inputs)
        return dict(loss=out.mean()) if mode == 'loss' else out


DATA = [dict(inputs=torch.randn(2)) for _ in range(4)]


def runner(work_dir, epochs, **kwargs):
    return Runner(model=Toy(), work_dir=str(work_dir), train_dataloader=DataLoader(DATA, batch_size=2),
                  train_cfg=dict(by_epoch=True, max_epochs=epochs), optim_wrapper=dict(optimizer=dict(type='AdamW', lr=.1)),
                  param_scheduler=[dict(type='PolyLR', end=3)], default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
                  experiment_name=f'{work_dir.name}{epochs}{len(kwargs)}', default_scope='mmengine', **kwargs)


def test_runner_resumes_through_it_without_the_unsafe_reader(tmp_path, monkeypatch):
    first = runner(tmp_path, 1)
    first.train()
    real, calls = torch.load, []

    def spy(*args, **kwargs):
        calls.append(kwargs.get('weights_only'))
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', spy)
    second = runner(tmp_path, 2, load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    second.train()
    assert calls == [True]
    assert second.iter == 4
    assert second.optim_wrapper.optimizer.state_dict()['state'][0]['step'] == 4


@pytest.mark.parametrize('length', ['none', 'wrong', 'no number'])
def test_a_download_that_is_cut_is_not_kept(tmp_path, monkeypatch, length):
    """Without a length only the content tells; a length that is no number, or an over-long name, is no bare exception."""
    import http.server
    import threading
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    whole = save_file(dict(a=torch.arange(1000.)), tmp_path / 'file.pth').read_bytes()
    served = dict(body=whole[:len(whole) // 2])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if length != 'none':
                self.send_header('Content-Length', str(len(whole)) if length == 'wrong' else 'many')
            self.end_headers()
            self.wfile.write(served['body'])

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}/{"long" * 80}.pth'
        with pytest.raises(WeightsError, match='could not be fetched'):
            download(address)
        assert not [path for path in (tmp_path / 'torch').rglob('*') if path.is_file()]
        served['body'] = whole  # the next try succeeds
        if length != 'no number':
            assert torch.equal(load_file(download(address))['a'], torch.arange(1000.))
        server.shutdown()


@pytest.mark.parametrize('name', ['w.pth', 'w.safetensors'])
def test_files_may_be_read_by_whom_the_umask_lets(tmp_path, name):
    (tmp_path / 'plain').touch()
    path = save_file(dict(w=torch.zeros(2)), tmp_path / name)
    assert path.stat().st_mode == (tmp_path / 'plain').stat().st_mode

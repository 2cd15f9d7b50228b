import hashlib
import http.server
import threading

import pytest
import torch

from decur.errors import WeightsError
from decur.weights.sources import fetch


def test_local_file_and_digest(tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'weights')
    digest = hashlib.sha256(b'weights').hexdigest()
    assert fetch(path) == path and fetch(str(path), digest) == path and fetch(path, digest[:8].upper()) == path
    with pytest.raises(WeightsError, match='its SHA-256 is'):
        fetch(path, '0' * 64)
    with pytest.raises(WeightsError, match='no such checkpoint file'):
        fetch(tmp_path / 'b.pth')


def test_address(tmp_path, monkeypatch):
    (tmp_path / 'served').mkdir()
    (tmp_path / 'served' / 'w.pth').write_bytes(b'abc')
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    handler = lambda *a: http.server.SimpleHTTPRequestHandler(*a, directory=str(tmp_path / 'served'))  # noqa: E731
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f'http://127.0.0.1:{server.server_port}/w.pth'
        assert fetch(url, hashlib.sha256(b'abc').hexdigest()).read_bytes() == b'abc'
        (tmp_path / 'served' / 'w.pth').unlink()
        assert fetch(url).read_bytes() == b'abc'  # fetched once
        with pytest.raises(WeightsError, match='SHA-256'):
            fetch(url, 'ff')
    finally:
        server.shutdown()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves ``{path: bytes}``; an address that ends in ``?cut`` breaks off in the middle. Gives the mapping and the address."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_GET(self):
            path, _, query = self.path.partition('?')
            if path not in files:
                return self.send_error(404)
            self.send_response(200)
            self.send_header('Content-Length', str(len(files[path])))
            self.end_headers()
            self.wfile.write(files[path][:2] if query == 'cut' else files[path])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield files, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_what_went_wrong_is_not_kept(server, tmp_path):
    files, address = server
    files['/w.pth'] = b'abcdef'
    with pytest.raises(WeightsError, match=r'/w.pth\?cut: could not be fetched \(the connection ended after 2 of 6 bytes\)'):
        fetch(f'{address}/w.pth?cut')
    with pytest.raises(WeightsError, match=r'its SHA-256 is [0-9a-f]{64}, expected 00'):
        fetch(f'{address}/w.pth', '00')
    with pytest.raises(WeightsError, match='404'):
        fetch(f'{address}/nothing.pth')
    assert not list((tmp_path / 'hub' / 'checkpoints').iterdir())
    assert fetch(f'{address}/w.pth', hashlib.sha256(b'abcdef').hexdigest().upper()).read_bytes() == b'abcdef'


def test_two_addresses_that_end_alike(server):
    files, address = server
    files.update({'/a/model.safetensors': b'aa', '/b/model.safetensors': b'bb'})
    for _ in range(2):  # fetched, then from the folder
        assert [fetch(f'{address}/{name}/model.safetensors').read_bytes() for name in 'ab'] == [b'aa', b'bb']
        files.clear()


def test_torchvision_names():
    from decur.weights.sources import _torchvision_address
    assert _torchvision_address('resnet50').endswith('resnet50-0676ba61.pth')  # version 1
    with pytest.raises(WeightsError, match='no model of that name'):
        fetch('torchvision://resnet5000')


def test_hub(tmp_path, monkeypatch):
    hub = pytest.importorskip('huggingface_hub')
    asked = []

    def download(repository, file, revision=None):
        asked.append((repository, file, revision))
        if repository == 'a/none':
            raise OSError('404 Client Error\nmore')
        return tmp_path / 'x'

    monkeypatch.setattr(hub, 'hf_hub_download', download)
    assert fetch('hf://a/b/c/d.pth') == tmp_path / 'x'
    fetch('hf://a/b@v2/d.pth')
    assert asked == [('a/b', 'c/d.pth', None), ('a/b', 'd.pth', 'v2')]
    with pytest.raises(WeightsError, match='OSError: 404 Client Error'):
        fetch('hf://a/none/d.pth')
    with pytest.raises(WeightsError, match='expected hf://OWNER/REPO/FILE'):
        fetch('hf://a/b')
    with pytest.raises(WeightsError, match="unknown kind of source 's3'"):
        fetch('s3://bucket/file')

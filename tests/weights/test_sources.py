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

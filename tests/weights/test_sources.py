"""Where weights come from: what is fetched arrives whole, and nothing else is kept."""
import hashlib
import io

import pytest
import safetensors.torch
import torch

from decur.errors import WeightsError
from decur.weights import load_file, sources
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


def checkpoint(value, format='pth'):
    """The bytes of a small checkpoint."""
    content = dict(w=torch.full((3, ), float(value)))
    if format == 'safetensors':
        return safetensors.torch.save(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_an_address_is_fetched_once(server, hub):
    files, address = server
    files['/w.pth'] = checkpoint(1)
    url = f'{address}/w.pth'
    assert fetch(url, hashlib.sha256(files['/w.pth']).hexdigest().upper()).read_bytes() == checkpoint(1)
    files.clear()
    assert fetch(url).read_bytes() == checkpoint(1)
    with pytest.raises(WeightsError, match='SHA-256'):
        fetch(url, 'ff')


BODY = checkpoint(1)


@pytest.mark.parametrize('served, says', [
    ((BODY[:-200], {'Content-Length': str(len(BODY))}), rf'the connection ended after {len(BODY) - 200} of {len(BODY)} bytes'),
    ((BODY, {'Content-Length': str(len(BODY) + 1)}), 'the connection ended after'),
    ((BODY[:-200], {}), 'what was sent is no whole checkpoint: .*truncated or damaged'),  # cut, and no length was announced
    ((BODY, {'Content-Length': '300'}), 'what was sent is no whole checkpoint'),  # too small
    ((BODY[:300], {'Content-Length': 'many'}), 'what was sent is no whole checkpoint'),
    ((BODY[:300], {'Content-Length': '-5'}), 'could not be fetched'),
    ((b'<html>Sign in</html>', {}), 'looks like a web page'),
    ((b'', {'Content-Length': '0'}), 'the file is empty'),
    ((b'', {'Location': 'file:///etc/hostname'}), 'could not be fetched'),
    ((b'', {'Location': 'ftp://localhost/w.pth'}), 'could not be fetched'),
    ((b'', {'Location': '/w.pth'}), 'could not be fetched'),  # a circle
    ((b'x' * 10, {'Transfer-Encoding': 'chunked'}), 'could not be fetched'),
    (None, '404'),
])
def test_what_went_wrong_is_not_kept(server, hub, served, says):
    files, address = server
    if served is not None:
        files['/w.pth'] = served
    with pytest.raises(WeightsError, match=says) as info:
        fetch(f'{address}/w.pth')
    assert str(info.value).startswith(f'{address}/w.pth: could not be fetched (') and '\n' not in str(info.value)
    assert not list(hub.iterdir())
    files['/w.pth'] = BODY  # the next try finds nothing in its way
    assert fetch(f'{address}/w.pth').read_bytes() == BODY


def test_a_connection_that_breaks_off(server, hub, monkeypatch):
    files, address = server
    files['/w.pth'] = BODY

    def reset(*args):
        raise ConnectionResetError(104, 'Connection reset by peer')

    monkeypatch.setattr('http.client.HTTPResponse.read', reset)
    with pytest.raises(WeightsError, match=r'fetched .the connection broke off, ConnectionResetError: .*Fetch it by hand') as info:
        fetch(f'{address}/w.pth')
    assert 'cannot be written' not in str(info.value) and not list(hub.iterdir())


def test_another_digest_is_not_kept(server, hub):
    files, address = server
    files['/w.pth'] = BODY
    with pytest.raises(WeightsError, match=r'its SHA-256 is [0-9a-f]{64}, expected 00'):
        fetch(f'{address}/w.pth', '00')
    assert not list(hub.iterdir())


@pytest.mark.parametrize('name', ['x' * 300 + '.pth', 'x' * 300, '%2e%2e', 'a%2f..%2f..%2fb.pth', 'a%00.pth', 'a%0a.pth',
                                  'a.' + 'p' * 400, '%C3%BC.pth'])
def test_strange_names_stay_in_the_folder(server, hub, name):
    files, address = server
    files[f'/{name}'] = BODY
    path = fetch(f'{address}/{name}')
    assert path.parent == hub and path.read_bytes() == BODY and path.name.isprintable() and len(path.name) < 230
    files.clear()
    assert fetch(f'{address}/{name}') == path


def test_a_folder_that_cannot_be_written(server, hub):
    files, address = server
    files['/w.pth'] = BODY
    hub.parent.write_text('a file')
    with pytest.raises(WeightsError, match='could not be fetched'):
        fetch(f'{address}/w.pth')


def test_two_addresses_that_end_alike(server):
    files, address = server
    files.update({f'/{name}/model.safetensors': checkpoint(value, 'safetensors') for value, name in enumerate('ab')})
    for _ in range(2):  # fetched, then from the folder
        assert [load_file(fetch(f'{address}/{name}/model.safetensors'))['w'][0].item() for name in 'ab'] == [0, 1]
        files.clear()


@pytest.mark.parametrize('source', ['file:///etc/hostname', 'ftp://a/b.pth', 's3://bucket/file', 'data:,x://y', 'FILE:///etc/hostname'])
def test_other_kinds_of_address(source):
    with pytest.raises(WeightsError, match='unknown kind of source|no such checkpoint'):
        fetch(source)


def test_names_of_zoos(monkeypatch):
    monkeypatch.setattr(sources, 'download', lambda address, sha256=None: address)
    assert fetch('torchvision://resnet50').endswith('resnet50-0676ba61.pth')  # version 1
    assert fetch('torchvision://resnet50.imagenet1k_v2').endswith('resnet50-11ad3fa6.pth')
    assert fetch('torchvision://swin_t').endswith('swin_t-704ceda3.pth')
    assert fetch('open-mmlab://detectron2/resnet50_caffe').endswith('resnet50_msra-5891d200.pth')
    for source, close in (('torchvision://resnet5000', 'resnet'), ('mmcls://mobilenet_v22', 'mobilenet_v2')):
        with pytest.raises(WeightsError, match=f'{source}: .* has no weights of that name .did you mean .{close}'):
            fetch(source)


def test_hub(tmp_path, monkeypatch):
    hub = pytest.importorskip('huggingface_hub')
    asked = []

    def download(self, repository, file, revision=None):
        asked.append((repository, file, revision))
        if repository == 'a/none':
            raise OSError('404 Client Error\nmore')
        return tmp_path / 'x'

    monkeypatch.setattr(hub.HfApi, 'hf_hub_download', download)
    assert fetch('hf://a/b/c/d.pth') == tmp_path / 'x'
    fetch('hf://a/b@v2/d.pth')
    assert asked == [('a/b', 'c/d.pth', None), ('a/b', 'd.pth', 'v2')]
    with pytest.raises(WeightsError, match='OSError: 404 Client Error'):
        fetch('hf://a/none/d.pth')
    with pytest.raises(WeightsError, match='expected hf://OWNER/REPO'):
        fetch('hf://a')

"""Encoders to a folder and to a stand-in of the Hugging Face hub, and back; what goes wrong ends in one line."""
import base64
import http.server
import json
import re
import threading

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from safetensors import safe_open

import decur
from decur.apis.load import LoadedEncoder
from decur.errors import ConfigError, WeightsError
from decur.sensors import S2C_BANDS
from decur.weights import load_file, save_file
from decur.weights.sources import fetch

SMALL = dict(type='SmallResNet', stem_channels=8, base_channels=8, strides=(2, 2, 2, 2))
VIT = dict(type='mmpretrain.VisionTransformer', arch=dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=64), img_size=32,
           patch_size=16)
ENTRIES = dict(
    sar=dict(channels=2, bands=('VV', 'VH'), radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_s1')],
             mean=[0.], std=[255.], encoder=VIT, meta=dict(data='made up', licence='CC0-1.0')),
    optical=dict(channels=13, bands=S2C_BANDS, radiometry=[dict(type='RemoveOffset')], mean=[1500.], std=[1000.], encoder=SMALL))
RGB = dict(rgb=dict(channels=3, bands=('R', 'G', 'B'), channel_order='bgr', mean=[100., 110., 120.], std=[50., 60., 70.], encoder=SMALL))


def trained(entries=ENTRIES, **kwargs):
    """Encoders with random weights and running means."""
    torch.manual_seed(0)
    encoder = LoadedEncoder(entries, **kwargs)
    for key, value in encoder.backbone.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + .5 if key.endswith('running_var') else torch.randn_like(value) * .2)
    return encoder


def images(seed=0):
    rng = np.random.default_rng(seed)
    optical = rng.integers(300, 4000, (32, 32, 13)).astype(np.float32)
    optical[..., 10] = 20
    return dict(sar=rng.normal(-15, 4, (32, 32, 2)).astype(np.float32), optical=optical)


@torch.no_grad()
def features(encoder):
    return encoder.extract_feat({name: encoder.transforms[name](image)[None] for name, image in images().items()
                                 if name in encoder.modalities})


def assert_the_same(found, expected):
    assert list(found.modalities) == list(expected.modalities)
    for name, feature in features(expected).items():
        assert torch.allclose(features(found)[name], feature, atol=1e-5)


def test_a_folder_is_a_model(tmp_path):
    encoder = trained()
    folder = encoder.save_pretrained(tmp_path / 'model', licence='cc-by-4.0')
    assert sorted(path.name for path in folder.iterdir()) == ['README.md', 'config.json', 'example.safetensors', 'model.safetensors']
    for source in (folder, str(folder), folder / 'model.safetensors'):
        assert_the_same(decur.load(source), encoder)
    assert_the_same(decur.load(folder, modalities=['sar']), decur.load(folder, modalities=['sar']))
    config = json.loads((folder / 'config.json').read_text())
    assert config['library_name'] == 'decur' and config['modalities']['sar']['bands'] == ['VV', 'VH'] and config['version']
    backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=ENTRIES, pretrained=str(folder)))  # configs take it too
    backbone.init_weights()
    key = 'streams.sar.encoder.cls_token'
    assert torch.equal(backbone.state_dict()[key], encoder.backbone.state_dict()[key])
    encoder.save_pretrained(folder, licence='cc-by-4.0')  # again, over the first
    assert_the_same(decur.load(folder), encoder)


def test_other_bands_and_reversed_channels_are_kept(tmp_path):
    folder = trained().save_pretrained(tmp_path / 'all', licence='mit')
    few = decur.load(folder, bands=dict(optical=('B4', 'B3', 'B2')), missing='mean')
    again = decur.load(few.save_pretrained(tmp_path / 'few', licence='mit'))
    x = images()['optical'][..., [3, 2, 1]]
    with torch.no_grad():
        a, b = (encoder.extract_feat(dict(optical=encoder.transforms['optical'](x)[None]))['optical'] for encoder in (few, again))
    assert torch.allclose(a, b, atol=1e-6)
    assert 'here `mean` stands for them' in (tmp_path / 'few' / 'README.md').read_text()
    rgb = trained(RGB)
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = decur.load(rgb.save_pretrained(tmp_path / 'rgb', licence='mit'))
    assert torch.equal(found.transforms['rgb'](x), rgb.transforms['rgb'](x))
    assert 'channels in reverse order' in (tmp_path / 'rgb' / 'README.md').read_text()


def test_encoders_that_interact(tmp_path):
    crossed = {'3': dict(type='CrossDA', num_heads=8, groups=4, stride=1, kernel_size=3, map_size=7)}
    entries = {name: dict(entry, encoder=SMALL) for name, entry in ENTRIES.items()}
    encoder = trained(entries, interactions=crossed)
    assert_the_same(decur.load(encoder.save_pretrained(tmp_path / 'crossed', licence='mit')), encoder)


def test_the_card(tmp_path):
    results = [{'data': 'BigEarthNet-MM', 'mAP': 81.5}, {'data': 'five sites', 'mAP': 40}]
    folder = trained().save_pretrained(tmp_path / 'card', licence='CC-BY-4.0', results=results, citation='@misc{own}', data='Five sites.')
    text = (folder / 'README.md').read_text()
    assert text.startswith('---\nlicense: cc-by-4.0\nlibrary_name: decur\n') and 'sentinel-1' in text and 'sentinel-2' in text
    for part in ('# card', '| `sar` | 2 | VV, VH | VisionTransformer | 32 |', 'B8A, B9, B10', '| five sites | 40 |', 'Five sites.',
                 'VV mean -12.5485, std 5.25698', '- minus 1000 where band 10', '- minus mean 0, divided by standard deviation 255',
                 '@misc{own}', 'Decoupling Common and Unique Representations'):
        assert part in text, part
    example = load_file(folder / 'example.safetensors')
    # The numbers on the card are those of the example.
    row = next(line for line in text.splitlines() if line.startswith('| `sar` | 32 x 32'))
    assert f'{example["feature.sar"][0]:.4g}' in row and f'{example["image.sar"][10, 10, 1]:.4g}' in row
    assert f'{example["seen.sar"][1, 10, 10]:.4g}' in row
    assert 0 <= example['seen.sar'].min() and example['seen.sar'].max() <= 1
    own = trained().save_pretrained(tmp_path / 'own', licence='mit', example=images())
    assert torch.equal(load_file(own / 'example.safetensors')['image.sar'], torch.from_numpy(images()['sar']))
    assert 'made up (licence: CC0-1.0)' in (own / 'README.md').read_text()


def test_the_card_s_lines_give_the_card_s_numbers(tmp_path):
    """The code on the card, as it is written there, with the images of the example: the features of the example, and those in the table."""
    folder = trained().save_pretrained(tmp_path / 'card', licence='mit', example=images())
    text = (folder / 'README.md').read_text()
    code, = re.findall(r'```python\n(.*?)```', text, re.S)
    example = load_file(folder / 'example.safetensors')
    found = dict(FOLDER=str(folder), **{f'image_{name}': example[f'image.{name}'].numpy() for name in ENTRIES})
    exec(code, found)
    for name in ENTRIES:
        feature = found['features'][name][0].detach()
        assert torch.allclose(feature, example[f'feature.{name}'], atol=1e-5)
        row = next(line for line in text.splitlines() if line.startswith(f'| `{name}` | 32 x 32'))
        numbers = [float(number) for number in row.split('|')[-2].split(',')]
        assert np.allclose(numbers, feature[:4], rtol=2e-3, atol=1e-3)


def test_published_weights_keep_their_licence(tmp_path):
    encoder = trained()
    with pytest.raises(ConfigError, match="say under which licence the weights are: licence='cc-by-4.0'"):
        encoder.save_pretrained(tmp_path / 'model')
    assert not (tmp_path / 'model').exists()
    for metadata in encoder.metadata.values():
        metadata.update(weights='decur_of_somebody', weights_licence='Apache-2.0')
    encoder.train()
    text = (encoder.save_pretrained(tmp_path / 'model') / 'README.md').read_text()
    assert 'license: apache-2.0' in text and 'The weights are the published decur_of_somebody.' in text
    assert encoder.training and decur.load(tmp_path / 'model')  # the example is that of evaluation
    with pytest.raises(ConfigError, match='results must be rows with the same keys'):
        encoder.save_pretrained(tmp_path / 'model', results=[dict(a=1), dict(b=1)])
    with pytest.raises(ConfigError, match="the example names modality 'rgb'"):
        encoder.save_pretrained(tmp_path / 'model', example=dict(rgb=images()['sar']))


def test_a_folder_that_is_not_what_it_was(tmp_path):
    folder = trained().save_pretrained(tmp_path / 'model', licence='mit')
    example = load_file(folder / 'example.safetensors')

    def changed(key, factor):
        save_file({**example, key: example[key] * factor}, folder / 'example.safetensors')

    changed('seen.optical', 1.01)
    with pytest.raises(WeightsError, match="example is seen otherwise by modality 'optical' than when the model was written"):
        decur.load(folder)
    assert list(decur.load(folder, modalities=['sar']).modalities) == ['sar']
    changed('feature.sar', 1.01)
    with pytest.raises(WeightsError, match=r'the feature of its example is not what it was .*modality .sar.'):
        decur.load(folder)
    (folder / 'example.safetensors').unlink()
    assert decur.load(folder)  # nothing to compare with
    torch.manual_seed(5)
    other = trained().save_pretrained(tmp_path / 'other', licence='mit')
    weights = {key: value + 1 if value.is_floating_point() else value for key, value in load_file(other / 'model.safetensors').items()}
    with safe_open(other / 'model.safetensors', 'pt') as file:
        save_file(weights, folder / 'model.safetensors', dict(decur=file.metadata()['decur']))
    with pytest.raises(WeightsError, match='model.safetensors has not the SHA-256 that config.json names'):
        decur.load(folder)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(WeightsError, match='empty: a folder without model.safetensors and config.json'):
        decur.load(tmp_path / 'empty')


class Hub(http.server.BaseHTTPRequestHandler):
    """The few calls of the hub with which a repository is made, written and read; ``refuse`` holds a status by kind of call."""

    def log_message(self, *args):
        pass

    def answer(self, status, body=b'', **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {'Content-Length': str(len(body)), **{key.replace('_', '-'): value for key, value in headers.items()}}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        server = self.server
        server.asked.append((self.command, self.path, self.headers.get('Authorization')))
        if server.refuse.get('POST'):
            return self.answer(server.refuse['POST'], dict(error='You do not have the required permissions'),
                               X_Error_Message='You do not have the required permissions')
        if self.path == '/api/repos/create':
            return self.answer(200, dict(url=f'{server.address}/{server.repository}', id=server.repository))
        if '/preupload/' in self.path:
            return self.answer(200, dict(files=[dict(path=file['path'], uploadMode='regular', shouldIgnore=False)
                                                for file in json.loads(body)['files']]))
        if '/commit/' in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry['key'] == 'file':
                    server.files[entry['value']['path']] = base64.b64decode(entry['value']['content'])
            url = f'{server.address}/{server.repository}/commit/{"a" * 40}'
            return self.answer(200, dict(commitUrl=url, commitOid='a' * 40, success=True))
        if self.path == '/api/validate-yaml':
            return self.answer(200, dict(errors=[], warnings=[]))
        self.answer(404)

    def do_GET(self):
        server = self.server
        server.asked.append((self.command, self.path, self.headers.get('Authorization')))
        match = re.fullmatch(rf'/{server.repository}/resolve/(\w+)/(.+)', self.path)
        if server.refuse.get('GET'):
            code = {401: 'RepoNotFound', 403: 'GatedRepo'}[server.refuse['GET']]
            return self.answer(server.refuse['GET'], X_Error_Code=code, X_Error_Message='Access is restricted')
        if not match:
            return self.answer(404, X_Error_Code='RepoNotFound')
        data = server.files.get(match[2])
        if match[1] == 'none':
            return self.answer(404, X_Error_Code='RevisionNotFound')
        if data is None:
            return self.answer(404, X_Error_Code='EntryNotFound', X_Repo_Commit='a' * 40)
        self.answer(200, data, ETag=f'"{hash(data) & 0xffffffff:08x}"', X_Repo_Commit='a' * 40)

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of its own with one repository, a cache of its own, and nobody logged in but by ``HF_TOKEN``."""
    constants = pytest.importorskip('huggingface_hub.constants')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    server.files, server.refuse, server.asked, server.repository = {}, {}, [], 'someone/encoders'
    server.address = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=.02), daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', server.address)
    monkeypatch.setenv('HF_TOKEN', 'hf_of_someone')
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(constants, 'HF_HUB_DISABLE_XET', True, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def test_pushed_and_loaded(hub, tmp_path, monkeypatch):
    encoder = trained()
    assert encoder.push_to_hub('someone/encoders', licence='cc-by-4.0') == f'{hub.address}/someone/encoders'
    assert set(hub.files) == {'README.md', 'config.json', 'example.safetensors', 'model.safetensors'}
    assert b'# encoders\n' in hub.files['README.md'] and ('POST', '/api/repos/create', 'Bearer hf_of_someone') in hub.asked
    assert_the_same(decur.load('hf://someone/encoders'), encoder)
    assert_the_same(decur.load(fetch('hf://someone/encoders/model.safetensors')), encoder)
    assert fetch('hf://someone/encoders@main').name == 'model.safetensors'
    few = decur.load('hf://someone/encoders', modalities=['optical'], bands=('B4', 'B3', 'B2'), missing='drop')
    assert few.metadata['optical']['bands'] == ['B4', 'B3', 'B2']
    # Without network what was fetched is taken from the cache.
    hub.files.clear()
    hub.refuse['GET'] = None
    hub.shutdown()
    hub.server_close()
    assert_the_same(decur.load('hf://someone/encoders'), encoder)


def test_a_hub_that_refuses(hub):
    encoder = trained()
    for status, says in ((403, r'has no permission to write to someone/encoders: log in with `hf auth login`'),
                         (401, r'Nobody is logged in, or the token is not valid: run `hf auth login`')):
        hub.refuse['POST'] = status
        with pytest.raises(WeightsError, match=says) as info:
            encoder.push_to_hub('someone/encoders', licence='mit')
        assert '\n' not in str(info.value) and str(info.value).startswith('hf://someone/encoders: could not be written (')
    assert not hub.files
    for status, says in ((401, 'There is no repository someone/encoders, or it is private'),
                         (403, 'Its owner grants access one by one: ask on the page of someone/encoders')):
        hub.refuse['GET'] = status
        with pytest.raises(WeightsError, match=says) as info:
            decur.load('hf://someone/encoders')
        assert '\n' not in str(info.value)


def test_what_is_not_there(hub, monkeypatch):
    for source, says in (('hf://someone/encoders', 'someone/encoders is no model that push_to_hub wrote: name one of its files'),
                         ('hf://someone/encoders/a.pth', 'The repository someone/encoders has no file a.pth'),
                         ('hf://someone/encoders@none/a.pth', 'has no such revision'),
                         ('hf://someone/else', 'There is no repository someone/else'),
                         ('hf://someone', 'expected hf://OWNER/REPO'), ('hf://someone/encoders/', 'expected hf://OWNER/REPO'),
                         ('hf://some one/en coders', 'The name of a repository is OWNER/NAME')):
        with pytest.raises(WeightsError, match=says) as info:
            decur.load(source)
        assert '\n' not in str(info.value)
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr('time.sleep', lambda seconds: None)  # the client waits longer and longer before it gives up
    with pytest.raises(WeightsError, match='Without network: run `hf download someone/encoders --local-dir FOLDER` where there is one'):
        decur.load('hf://someone/encoders')
    with pytest.raises(WeightsError, match=r'could not be written .* save_pretrained.FOLDER. writes the same files'):
        trained().push_to_hub('someone/encoders', licence='mit')

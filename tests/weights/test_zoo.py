"""Published weights by name: small files of the published layouts, served here, become encoders that see images as in their training."""
import copy
import dataclasses
import hashlib
import importlib.util
import io
import logging
import sys

import numpy as np
import published
import pytest
import torch
from helpers import ROOT, run_tool
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader

import decur
from decur.apis.model import read_config
from decur.binding import bind
from decur.errors import WeightsError
from decur.modalities import encoder_order
from decur.sensors import STATISTICS
from decur.weights import load_file, zoo
from decur.weights.convert import convert
from decur.weights.metadata import describe_config
from decur.weights.sources import fetch

sys.path.insert(0, str(ROOT / 'tools'))  # where a tool finds what it is made of
for script in ('docs/weights_zoo.py', 'tools/reproduce.py'):
    spec = importlib.util.spec_from_file_location(script.split('/')[1].removesuffix('.py'), ROOT / script)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
page, reproduce = sys.modules['weights_zoo'], sys.modules['reproduce']


def test_the_page_is_of_today():
    assert page.PAGE.read_text(encoding='utf-8') == page.page(), 'run: python docs/weights_zoo.py'
    text = page.PAGE.read_text(encoding='utf-8')
    assert all(f'| `{name}` |' in text and entry.file in text and entry.licence in text for name, entry in zoo.WEIGHTS.items())


@pytest.mark.parametrize('name', zoo.WEIGHTS)
def test_the_table_says_what_the_config_does(name):
    """Bands, order, statistics and scaling in words are those of the config that the encoder is built from."""
    entry = zoo.WEIGHTS[name]
    entries = describe_config(read_config(entry.config, entry.options))['modalities']
    assert set(entry.modalities) == set(entry.inputs) <= set(entries)
    for modality, inputs in entry.inputs.items():
        found = entries[modality]
        assert list(inputs.bands) == found['bands']
        assert (encoder_order(found) == [2, 1, 0]) == ('reversed' in inputs.scaling) == inputs.reversed
        steps = {step['type']: step for step in found.get('radiometry', ())}
        assert (steps.get('ToEightBit') or {}).get('statistics', '') == inputs.statistics
        assert not inputs.statistics or STATISTICS[inputs.statistics].bands == inputs.bands
        assert ('RemoveOffset' in steps) == ('it is taken off first' in inputs.scaling) == (modality == 'optical')
        assert ('CutOutliers' in steps) == ('1 % of the image cut' in inputs.scaling)
        assert ('PercentilesToEightBit' in steps) == ('percentile' in inputs.scaling)
        assert found['std'] == ([255.] if 'divided by 255' in inputs.scaling else [58.395, 57.12, 57.375])
    assert (not entry.sha256) == (not entry.digest) and (not entry.sha256 or set(entry.sha256) <= set('0123456789abcdef'))
    assert entry.address.endswith(entry.file) or not entry.address
    assert entry.digest != "end of the file's name" or entry.file.endswith(f'-{entry.sha256}.pth')


def test_names_and_files_are_all_different():
    entries = list(zoo.WEIGHTS.values())
    for names in ([entry.name for entry in entries], [entry.file for entry in entries],
                  [other for entry in entries for other in (entry.name, *entry.also)]):
        assert len(set(names)) == len(names)
    assert decur.list_weights() == list(zoo.WEIGHTS) and len(decur.list_weights('decur_*geonrw*')) == 9
    assert decur.list_weights('nothing') == []


# Layouts as published, of small encoders; what makes the config's encoders as small.
RESNET = {'stem_channels': 8, 'base_channels': 8}
VIT = {'arch': dict(_delete_=True, embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=128)}
CHANNELS = dict(sar=2, optical=13, rgb=3, dem=3, hha=3)


def resnet(prefix, modality):
    return published.resnet(prefix, CHANNELS[modality], width=8)


def vit(prefix, modality):
    return published.vit(prefix, CHANNELS[modality], width=32, depth=4)


def mit(prefix, modality):
    return published.mit(prefix)


def attention(prefix, entry, modality):
    """The two deformable attentions of one encoder, out of one that is built."""
    cfg = describe_config(read_config(entry.config, entry.options))['modalities'][modality]['attention']
    return {f'{prefix}_l{int(stage) + 1}.{key}': torch.randn_like(value) * .1
            for stage, channels in ((2, 128), (3, 256))
            for key, value in MODELS.build(dict(cfg[str(stage)], channels=channels)).state_dict().items()}


def made(name):
    """A file as published for a name, and the entry with the options that make its encoders as small."""
    torch.manual_seed(0)
    entry = zoo.WEIGHTS[name]
    make, small = (mit, {'arch': 'b0'}) if 'MiT' in entry.encoder else (vit, VIT) if 'ViT' in entry.encoder else (resnet, RESNET)
    entry = dataclasses.replace(entry, options={**entry.options, **{
        f'modalities.{modality}.encoder.{key}': value for modality in entry.modalities for key, value in copy.deepcopy(small).items()}})
    if name.startswith('cmx'):
        return entry, published.cmx(40)
    if name.startswith('segformer'):
        return entry, published.mit(classes=1000)
    if len(entry.modalities) == 2:
        encoders = [make('', modality) for modality in entry.modalities]
        if make is mit:
            for encoder in encoders:
                encoder.update({'head.weight': torch.randn(2048, 256), 'head.bias': torch.randn(2048)})
        content = published.decur(encoders, 2048 if make is mit else 256)
        if 'RDA' in entry.encoder:
            for i, modality in enumerate(entry.modalities, 1):
                content['model'].update(attention(f'module.da{i}', entry, modality))
        return entry, content
    modality, = entry.modalities
    if 'RDA' not in entry.encoder:
        return entry, make('', modality)
    both = list(describe_config(read_config(entry.config, entry.options))['modalities'])
    return entry, {**make('backbone.', modality), **attention(f'da{both.index(modality) + 1}', entry, modality)}


def as_bytes(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture
def publish(server, monkeypatch):
    """Serves the file of a name; gives what it holds."""
    files, address = server

    def publish(name, sha256=None):
        entry, content = made(name)
        body = as_bytes(content)
        files[f'/{entry.file}'] = body
        digest = hashlib.sha256(body).hexdigest() if sha256 is None else sha256
        monkeypatch.setitem(zoo.WEIGHTS, name, dataclasses.replace(
            entry, address=entry.address and f'{address}/{entry.file}', sha256=digest[:len(entry.sha256)] if sha256 is None else sha256))
        return content

    return publish


def image(modality, size=64):
    rng = np.random.default_rng(0)
    if modality == 'sar':
        return rng.normal((-12, -20), 4, (size, size, 2)).astype(np.float32)
    if modality == 'optical':
        x = rng.integers(200, 4000, (size, size, 13)).astype(np.uint16)
        x[..., 10] = rng.integers(0, 60, (size, size))
        return x
    return (rng.random((size, size, 1)).repeat(3, -1) * 90 if modality == 'dem' else rng.integers(0, 256, (size, size, 3))).astype(
        np.float32 if modality == 'dem' else np.uint8)


ONE_OF_EACH = [
    'decur_resnet50_ssl4eo-s12', 'decur_resnet50_ssl4eo-s12_sar', 'decur_resnet50_ssl4eo-s12_optical', 'decur_resnet50-rda_ssl4eo-s12',
    'decur_resnet50-rda_ssl4eo-s12_sar', 'decur_resnet50-rda_geonrw_dem', 'decur_vit-s16_ssl4eo-s12', 'decur_vit-s16_geonrw_rgb',
    'decur_resnet50_geonrw', 'decur_mit-b2_sunrgbd', 'decur_mit-b2_sunrgbd_hha', 'torchgeo_resnet50_sentinel1_grd_decur',
    'torchgeo_resnet50_sentinel2_all_decur', 'segformer_mit-b0_imagenet'
]


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_a_name_is_enough(publish, name):
    content = publish(name)
    encoder = decur.load(name)
    entry = zoo.WEIGHTS[name]
    assert tuple(encoder.modalities) == entry.modalities
    state = {key.removeprefix('module.'): value for key, value in content.get('model', content).items()}
    for i, modality in enumerate(entry.modalities, 1):
        prefix = f'backbone_{i}.' if len(entry.modalities) == 2 else 'backbone.' if 'backbone.conv1.weight' in state else ''
        first = next(state[prefix + key] for key in ('conv1.weight', 'patch_embed.proj.weight', 'patch_embed1.proj.weight')
                     if prefix + key in state)
        assert torch.equal(next(encoder.backbone.streams[modality].encoder.parameters()), first) or any(
            torch.equal(value, first) for value in encoder.backbone.streams[modality].encoder.parameters())
        x = encoder.transforms[modality](image(modality, 224 if 'ViT' in entry.encoder else 64))
        with torch.no_grad():
            feature = encoder.extract_feat({modality: x[None]})[modality]
        assert feature.shape == (1, encoder.feature_dims[modality]) and feature.isfinite().all() and feature.abs().sum() > 0
        assert encoder.metadata[modality]['weights'] == name and encoder.metadata[modality]['weights_licence'] == entry.licence
        if 'divided by 255' in entry.inputs[modality].scaling:
            assert 0 <= x.min() and .8 < x.max() <= 1
        if modality == 'optical':  # newer products
            newer = encoder.transforms[modality](image(modality, len(x[0])) + np.uint16(1000))
            assert torch.equal(newer, x)
        if 'reversed' in entry.inputs[modality].scaling:
            raw = torch.from_numpy(image(modality).astype(np.float32)).flip(-1).permute(2, 0, 1)[:, :64, :64]
            mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (encoder.metadata[modality][key] for key in ('mean', 'std')))
            assert torch.allclose(encoder.transforms[modality](image(modality)), (raw - mean) / std, atol=1e-5)
    assert decur.load(f'decur://{name}').feature_dims == encoder.feature_dims
    for other in entry.also[:1]:
        assert fetch(other) == fetch(name)


def test_encoders_of_the_joint_attention_files_use_the_one_that_was_trained(publish):
    content = publish('decur_resnet50-rda_ssl4eo-s12')['model']
    encoder = decur.load('decur_resnet50-rda_ssl4eo-s12')
    for modality in ('sar', 'optical'):
        assert torch.equal(encoder.backbone.streams[modality].attention['2'].proj_q.weight, content['module.da1_l3.proj_q.weight'])
    alone = decur.load('decur_resnet50-rda_ssl4eo-s12', modalities=['optical'])
    assert list(alone.modalities) == ['optical']
    assert torch.equal(alone.backbone.streams['optical'].encoder.conv1.weight, content['module.backbone_2.conv1.weight'])
    assert torch.equal(alone.backbone.streams['optical'].attention['2'].proj_q.weight, content['module.da1_l3.proj_q.weight'])


@pytest.mark.parametrize('name, config', [
    ('decur_resnet50-rda_ssl4eo-s12', 'classification/bigearthnet_s1-s2_r50-rda_frozen'),
    ('decur_resnet50-rda_ssl4eo-s12_sar', 'classification/bigearthnet_s1_r50-rda_finetune'),
    ('decur_vit-s16_ssl4eo-s12_sar', 'classification/bigearthnet_s1_vit-s16_frozen'),
    ('decur_resnet50-rda_geonrw', 'fcn/geonrw_rgb-dem_r50-rda_finetune'), ('decur_vit-s16_geonrw_rgb', 'fcn/geonrw_rgb_vit-s16_frozen'),
    ('decur_mit-b2_sunrgbd', 'cmx/sunrgbd_rgb-hha_mit-b2_finetune'), ('decur_mit-b5_sunrgbd', 'cmx/nyudv2_rgb-hha_mit-b5_finetune'),
    ('segformer_mit-b2_imagenet', 'cmx/sunrgbd_rgb-hha_mit-b2_finetune')])
def test_transfers_start_from_the_encoders_that_a_name_gives(publish, name, config):
    """docs/results.md: with the options of tools/reproduce.py every encoder is that of decur.load; without them nothing is loaded."""
    publish(name)
    small = {'arch': 'b0'} if 'mit' in name else VIT if 'vit' in name else RESNET
    cfg = read_config(ROOT / f'configs/{config}.py')
    first, always = reproduce.start_options(cfg, name, 'decur')
    options = {f'modalities.{modality}.encoder.{key}': value for modality, entry in cfg.modalities.items() if entry is not None
               for key, value in copy.deepcopy(small).items()}

    def build(more):
        bound = bind(read_config(cfg, {**options, **dict(text.split('=', 1) for text in (*first, *more))}))
        backbone = MODELS.build({key: value for key, value in bound.model.backbone.items() if key in ('type', 'modalities', 'pretrained')})
        backbone.init_weights()
        return backbone

    backbone, loaded = build(always), decur.load(name)
    assert {start['file'] for start in backbone.started_from.values()} == {name} and set(backbone.started_from) == set(backbone.streams)
    for modality, stream in backbone.streams.items():
        expected = loaded.backbone.streams[modality if modality in loaded.modalities else next(iter(loaded.modalities))].state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in stream.state_dict().items())
    if always:
        with pytest.raises(WeightsError, match="another order.*channel_order='bgr'"):
            build([])


def test_a_model_that_interacts_and_only_a_browser_downloads(publish, hub):
    content = publish('cmx_mit-b2_nyudv2')
    with pytest.raises(WeightsError, match=r'^cmx_mit-b2_nyudv2: only a browser can download .* Open https://drive.google.com/\S+, and '
                       r'save the file as \S+checkpoints/cmx_mit-b2_nyudv2.pth\.$'):
        decur.load('cmx_mit-b2_nyudv2')
    hub.mkdir(parents=True)
    (hub / 'cmx_mit-b2_nyudv2.pth').write_bytes(as_bytes(content))
    encoder = decur.load('cmx_mit-b2_nyudv2')
    with torch.no_grad():
        features = encoder.extract_feat({name: encoder.transforms[name](image(name))[None] for name in ('rgb', 'hha')})
    assert {name: feature.shape for name, feature in features.items()} == dict(rgb=(1, 256), hha=(1, 256))


def test_configs_take_names(publish, tmp_path):
    """``pretrained=``, ``init_cfg`` and the conversion."""
    name, both = 'decur_resnet50_ssl4eo-s12_sar', 'decur_resnet50_ssl4eo-s12'
    single, joint = publish(name), publish(both)
    entries = read_config(zoo.WEIGHTS[both].config, zoo.WEIGHTS[both].options).modalities
    backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=entries, pretrained=both))
    backbone.init_weights()
    assert torch.equal(backbone.streams['optical'].encoder.conv1.weight, joint['model']['module.backbone_2.conv1.weight'])
    entries.sar.encoder.init_cfg = dict(type='Pretrained', checkpoint=name)
    backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=entries))
    backbone.init_weights()
    assert torch.equal(backbone.streams['sar'].encoder.conv1.weight, single['conv1.weight'])
    assert torch.equal(CheckpointLoader.load_checkpoint(f'decur://{name}')['conv1.weight'], single['conv1.weight'])  # load_from
    cfg = read_config(zoo.WEIGHTS[name].config, {**zoo.WEIGHTS[both].options, 'model.neck.hid_channels': 16, 'model.neck.out_channels': 16})
    converted = convert(name, cfg)[0]['state_dict']
    assert torch.equal(converted['backbone.streams.sar.encoder.conv1.weight'], single['conv1.weight'])


def test_a_config_that_reads_channels_in_another_order_is_told(publish):
    name = 'decur_mit-b2_sunrgbd'
    content = publish(name)['model']
    small = {f'modalities.{modality}.encoder.arch': 'b0' for modality in ('rgb', 'hha')}
    published_order = {f'modalities.{modality}.channel_order': 'bgr' for modality in ('rgb', 'hha')}
    for options in (small, {**small, **published_order}):
        entries = read_config('cmx/sunrgbd_rgb-hha_mit-b2_finetune', options).modalities
        backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=entries, pretrained=name))
        if options is small:
            with pytest.raises(WeightsError, match=r"trained on the bands B, G, R, modality 'rgb' gives it R, G, B: the same bands in "
                               r"another order. Set modalities.rgb.channel_order='bgr'"):
                backbone.init_weights()
        else:
            backbone.init_weights()
            assert torch.equal(backbone.streams['rgb'].encoder.layers[0][0].projection.weight,
                               content['module.backbone_1.patch_embed1.proj.weight'])


def test_unknown_names_show_the_closest():
    with pytest.raises(WeightsError, match=r"no such checkpoint file, and no published weights are called so .did you mean "
                       r"'decur_resnet50_ssl4eo-s12_sar'.*decur.list_weights"):
        decur.load('decur_resnet50_ssl4eo-s12_s1')
    with pytest.raises(WeightsError, match="no published weights are called 'decur_resnet51_geonrw' .did you mean 'decur_resnet50_geonrw'"):
        fetch('decur://decur_resnet51_geonrw')
    with pytest.raises(WeightsError, match=r"no such checkpoint file\. A file of that name is published: give 'decur_resnet50_geonrw_dem'"):
        decur.load('weights/rn50_geonrw_dem_decur_ep100.pth')
    with pytest.raises(WeightsError, match=r'no such checkpoint file\.$'):
        decur.load('epoch_100.pth')


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'decur_resnet50_geonrw_dem'
    torch.save(dict(w=torch.zeros(1)), name)
    assert str(fetch(name)) == name


def test_without_network_it_says_what_to_do(publish, server, hub):
    name = 'decur_resnet50_ssl4eo-s12_sar'
    publish(name)
    server[0].clear()
    with pytest.raises(WeightsError) as info:
        decur.load(name)
    text = str(info.value)
    assert text.startswith(f'{name}: {zoo.WEIGHTS[name].address}: could not be fetched (') and '\n' not in text
    assert f'Fetch it by hand to {hub / zoo.WEIGHTS[name].file}.' in text


def test_a_wrong_digest_is_found(publish, server, hub):
    name = 'decur_resnet50_ssl4eo-s12_sar'
    publish(name, sha256='0' * 64)
    with pytest.raises(WeightsError, match=r'its SHA-256 is [0-9a-f]{64}, expected 0+'):
        decur.load(name)
    assert not list(hub.iterdir())
    hub.joinpath(zoo.WEIGHTS[name].file).write_bytes(server[0][f'/{zoo.WEIGHTS[name].file}'])  # by hand
    with pytest.raises(WeightsError, match=r'the SHA-256 of \S+ is [0-9a-f]{64}, but https://huggingface.co/wangyi111/DeCUR publishes 0+ '
                       r".Git LFS details on the hub's page.\. Delete the file"):
        decur.load(name)


def test_an_unknown_digest_is_noted_on_first_use(publish, server, hub, caplog, monkeypatch):
    name = 'decur_vit-s16_ssl4eo-s12'
    assert not zoo.WEIGHTS[name].sha256
    publish(name)
    said = []
    monkeypatch.setattr('decur.weights.sources.print_log', lambda text, level=logging.INFO, **kwargs: said.append((level, text)))
    path = fetch(name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(level == logging.WARNING and digest in text and 'no digest' in text for level, text in said)
    note = hub / f'.{path.name}.sha256'
    note.write_text('damaged')
    fetch(name)
    assert note.read_text().split()[0] == digest
    said.clear()
    fetch(name)
    assert not said  # said once
    path.write_bytes(as_bytes(dict(w=torch.zeros(1))))
    with pytest.raises(WeightsError, match=f'but the file had {digest} when it was first used'):
        fetch(name)
    path.unlink()
    assert hashlib.sha256(fetch(name).read_bytes()).hexdigest() == digest


def test_what_must_be_known_is_said(publish, monkeypatch):
    said = []
    monkeypatch.setattr('decur.weights.sources.print_log', lambda text, level=logging.INFO, **kwargs: said.append(text))
    publish('decur_resnet50-rda_geonrw_dem')
    decur.load('decur_resnet50-rda_geonrw_dem')
    assert any('was never trained' in text for text in said)


def test_a_mirror_of_the_hub(server, monkeypatch, hub):
    files, address = server
    monkeypatch.setenv('HF_ENDPOINT', address + '/')
    body = as_bytes(dict(w=torch.zeros(1)))
    files['/wangyi111/DeCUR/resolve/main/vits16_ssl4eo-s12_joint_decur_ep100.pth'] = body
    assert load_file(fetch('decur_vit-s16_ssl4eo-s12')).keys() == {'w'}


def test_the_tool(tmp_path):
    listed = run_tool('tools/list_weights.py', 'decur_mit*').stdout.splitlines()
    assert len(listed) == 6 and listed[0].startswith('decur_mit-b2_sunrgbd ')

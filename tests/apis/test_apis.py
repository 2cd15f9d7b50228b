"""The whole way of a trained model: missing modalities in one table, inference on files and arrays, ONNX."""
import contextlib
import io
import json
import runpy
import shutil
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT
from PIL import Image

from decur.apis import SegmentationInferencer, check_onnx, export_checked, export_onnx, load_model
from decur.apis.export import ExportableSegmentor, example_input
from decur.apis.inferencer import pair_files, parse_sources
from decur.apis.model import label_meta
from decur.engine import load_config
from decur.errors import ConfigError, DataError, WeightsError
from decur.evaluation.missing import format_table, subsets_to_test
from decur.weights.convert import build_model
from decur_worlds.rooms_dataset import write_rooms

CONFIG = str(ROOT / 'configs' / 'quickstart' / 'rooms_rgb-hha_small-resnet_finetune.py')


def tool(monkeypatch, name, *options):
    """Run a tool here; the error that it ends with, None if it ends well."""
    monkeypatch.setattr(sys, 'argv', [name, *map(str, options)])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    except SystemExit as error:
        if error.code:
            return error.code if isinstance(error.code, str) else said.getvalue()
    return None


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A checkpoint with random weights and statistics; what it predicts does not matter, that all ways agree does."""
    root = tmp_path_factory.mktemp('trained')
    model = build_model(load_config(CONFIG))
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, .2, generator=generator)
            module.running_var.uniform_(.5, 2, generator=generator)
    torch.save(dict(state_dict=model.state_dict()), root / 'model.pth')
    write_rooms(root / 'rooms', 1, 3, (64, 64), seed=5)
    return root


@pytest.fixture(scope='module')
def segment(trained):
    return SegmentationInferencer(CONFIG, str(trained / 'model.pth'))


def read(path):
    return np.asarray(Image.open(path))


def test_one_table(trained, tmp_path, monkeypatch, capsys):
    rooms = trained / 'rooms'
    out = tmp_path / 'metrics.json'
    options = [f'test_dataloader.dataset.data_root={rooms}', 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False']
    assert tool(monkeypatch, 'test_modalities.py', CONFIG, trained / 'model.pth', '--out', out, '--work-dir', tmp_path,
                '--cfg-options', *options) is None
    table = capsys.readouterr().out
    results = json.loads(out.read_text())
    assert list(results) == ['rgb+hha', 'rgb', 'hha']
    assert table.rstrip().endswith(format_table(results).splitlines()[-1])
    # The same from predictions made one by one, counted here.
    segment = SegmentationInferencer(CONFIG, str(trained / 'model.pth'))
    stems = (rooms / 'test.txt').read_text().split()
    for names in (('rgb', 'hha'), ('rgb', ), ('hha', )):
        confusion = np.zeros((7, 7))
        for stem in stems:
            prediction = segment({name: rooms / name / f'{stem}.png' for name in names})['prediction']
            label = read(rooms / 'label' / f'{stem}.png').astype(int) - 1
            np.add.at(confusion, (label[label >= 0], prediction[label >= 0]), 1)
        hits = np.diag(confusion)
        iou = 100 * hits / (confusion.sum(0) + confusion.sum(1) - hits)
        metrics = results['+'.join(names)]
        assert metrics['aAcc'] == pytest.approx(100 * hits.sum() / confusion.sum(), abs=.02)
        assert metrics['mIoU'] == pytest.approx(np.nanmean(iou), abs=.02)
        assert metrics['mAcc'] == pytest.approx(np.nanmean(100 * hits / confusion.sum(1)), abs=.02)
        found = [metrics[f'IoU.{name}'] for name in segment.classes]
        assert found == pytest.approx(iou, abs=.02, nan_ok=True)
    assert len({results[name]['aAcc'] for name in results}) == 3


def test_table_errors(trained, tmp_path, monkeypatch):
    assert 'thermal' in tool(monkeypatch, 'test_modalities.py', CONFIG, trained / 'model.pth', '--subsets', 'rgb+thermal', '--work-dir',
                             tmp_path, '--cfg-options', f'test_dataloader.dataset.data_root={trained / "rooms"}')
    pretraining = ROOT / 'configs' / 'quickstart' / 'rooms_rgb-hha_small-resnet_decur.py'
    assert 'pretraining config' in tool(monkeypatch, 'test_modalities.py', pretraining, trained / 'model.pth')
    entries = dict(a=dict(channels=1), b=dict(channels=1))
    assert subsets_to_test(entries) == [('a', 'b'), ('a', ), ('b', )] and subsets_to_test(entries, [['b', 'a']]) == [('a', 'b')]


def test_hiding_a_modality(segment):
    preprocessor = segment.model.data_preprocessor
    image = torch.rand(6, 8, 8) * 255
    whole = preprocessor(dict(inputs=[image]))['inputs']
    preprocessor.hide(['hha'])
    try:
        part = preprocessor(dict(inputs=[image]))['inputs']
    finally:
        preprocessor.hide(())
    assert torch.equal(part[:, :3], whole[:, :3]) and whole[:, 3:].any() and not part[:, 3:].any()
    with pytest.raises(ConfigError, match='thermal'):
        preprocessor.hide(['thermal'])
    with pytest.raises(ConfigError, match='all modalities'):
        preprocessor.hide(['rgb', 'hha'])


def test_files_arrays_and_depth_agree(trained, segment):
    rooms = trained / 'rooms'
    stem = (rooms / 'test.txt').read_text().split()[0]
    files = {name: rooms / name / f'{stem}.png' for name in ('rgb', 'hha', 'depth')}
    camera = json.loads((rooms / 'intrinsics.json').read_text())[stem]
    first = segment(dict(rgb=files['rgb'], hha=files['hha']), scores=True)
    assert first['prediction'].shape == (64, 64) and first['prediction'].dtype == np.uint8
    assert first['scores'].shape == (7, 64, 64) and np.allclose(first['scores'].sum(0), 1, atol=1e-5)
    assert np.array_equal(first['scores'].argmax(0), first['prediction'])
    arrays = segment(dict(rgb=read(files['rgb']), hha=read(files['hha'])), scores=True)
    assert np.array_equal(first['scores'], arrays['scores'])
    for depth in (files['depth'], read(files['depth']) / 1000.):
        made = segment(dict(rgb=files['rgb'], depth=depth), camera, scores=True)
        assert np.array_equal(first['scores'], made['scores'])
    # The model by hand, on another road: mmseg's own normalisation left out.
    image = np.concatenate([read(files['rgb']), read(files['hha'])], -1).astype(np.float32)
    mean, std = np.tile([123.675, 116.28, 103.53], 2), np.tile([58.395, 57.12, 57.375], 2)
    x = torch.from_numpy(((image - mean) / std).astype(np.float32).transpose(2, 0, 1))[None]
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(segment.model(x, mode='tensor'), size=(64, 64), mode='bilinear')
    assert np.abs(logits.softmax(1)[0].numpy() - first['scores']).max() < 1e-5


def test_images_of_any_size(segment):
    rng = np.random.default_rng(0)
    for size in ((64, 64), (50, 71), (33, 90)):
        image = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
        assert segment(dict(rgb=image, hha=image))['prediction'].shape == size


def test_folder_to_pictures(trained, tmp_path, monkeypatch, capsys):
    rooms = trained / 'rooms'
    assert tool(monkeypatch, 'infer.py', CONFIG, trained / 'model.pth', f'rgb={rooms / "rgb"}', f'depth={rooms / "depth"}', '--intrinsics',
                rooms / 'intrinsics.json', '--out', tmp_path) is None
    assert '4 segmented' in capsys.readouterr().out
    segment = SegmentationInferencer(CONFIG, str(trained / 'model.pth'))
    for path in sorted((rooms / 'rgb').iterdir()):
        result = segment(dict(rgb=path, hha=rooms / 'hha' / path.name))
        saved = Image.open(tmp_path / 'predictions' / path.name)
        assert saved.mode == 'P' and np.array_equal(np.asarray(saved), result['prediction'])
        assert np.array_equal(np.asarray(saved.convert('RGB')), np.array(segment.palette, np.uint8)[result['prediction']])
        overlay = read(tmp_path / 'overlays' / path.name).astype(int)
        blend = (read(path).astype(int) + np.asarray(saved.convert('RGB'))) / 2
        assert np.abs(overlay - blend).max() <= 1
        assert read(tmp_path / 'pictures' / path.name).shape[1] > 4 * 190


@pytest.mark.parametrize('sample, intrinsics, says', [
    (dict(rgb=np.zeros((8, 8), np.uint8)), None, r"'rgb' takes images \(H, W, 3\)"),
    (dict(rgb=np.zeros((8, 8, 3), np.uint8), hha=np.zeros((8, 9, 3), np.uint8)), None, 'differ in size'),
    (dict(rgb=np.zeros((8, 8, 3), np.uint8), depth=np.ones((8, 8))), None, 'give intrinsics'),
    (dict(rgb=np.zeros((8, 8, 3), np.uint8), depth=np.full((8, 8), 2000.)), (9, 9, 4, 4), 'millimetres'),
    (dict(rgb=np.zeros((8, 8, 3), np.uint8), depth=np.ones((8, 8))), (9, 9, 4), r'\(3,\)'),
    (dict(rgb=np.zeros((8, 8, 3), np.uint8), depth=np.full((8, 8), 9, np.uint8)), (9, 9, 4, 4), '8 bits'),
    (dict(thermal=np.zeros((8, 8, 3), np.uint8)), None, 'thermal.*rgb'),
    (dict(), None, 'empty'),
    (dict(rgb='absent.png'), None, 'absent.png'),
])
def test_bad_samples(segment, sample, intrinsics, says):
    with pytest.raises(DataError, match=says):
        segment(sample, intrinsics)


def test_bad_sources(trained, tmp_path):
    rooms = trained / 'rooms'
    broken = shutil.copytree(rooms, tmp_path / 'rooms')
    (broken / 'hha' / 'test_000001.png').unlink()
    with pytest.raises(DataError, match=r"hha has no file 'test_000001'"):
        pair_files(dict(rgb=broken / 'rgb', hha=broken / 'hha'))
    with pytest.raises(DataError, match='all of one kind'):
        pair_files(dict(rgb=rooms / 'rgb', hha=rooms / 'hha' / 'test_000001.png'))
    with pytest.raises(DataError, match='does not exist'):
        pair_files(dict(rgb=rooms / 'nowhere'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match='no images'):
        pair_files(dict(rgb=tmp_path / 'empty'))
    assert parse_sources(['rgb=a/b', 'depth=c=d']) == dict(rgb='a/b', depth='c=d')
    for wrong in (['rgb'], ['rgb='], ['=a'], ['rgb=a', 'rgb=b']):
        with pytest.raises(ConfigError, match='NAME=PATH'):
            parse_sources(wrong)


def test_a_checkpoint_must_fit(trained, tmp_path):
    state = torch.load(trained / 'model.pth', weights_only=True)['state_dict']
    key = next(iter(state))
    for change, says in ((lambda s: s.pop(key), f'1 missing .*{key}'), (lambda s: s.update(extra=torch.zeros(1)), '1 surplus .* extra'),
                         (lambda s: s.update({key: torch.zeros(1, 2)}), r'\(1, 2\)')):
        changed = dict(state)
        change(changed)
        torch.save(dict(state_dict=changed), tmp_path / 'changed.pth')
        with pytest.raises(WeightsError, match=f'changed.pth.*{says}'):
            load_model(CONFIG, str(tmp_path / 'changed.pth'))


def test_label_meta():
    meta = label_meta(load_config(CONFIG))
    assert meta['classes'][0] == 'wall' and len(meta['palette']) == 7
    cfg = load_config(CONFIG)
    for key in ('test_dataloader', 'train_dataloader'):
        cfg[key].dataset.pop('metainfo')
    meta = label_meta(cfg)
    assert meta['classes'] == tuple('0123456') and len({tuple(c) for c in meta['palette']}) == 7


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_what_is_exported_normalises_as_the_preprocessor(order):
    model = build_model(load_config(CONFIG, {'modalities.rgb.channel_order': order})).eval()
    pixels = example_input(model, (64, 96), batch=2)
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=list(pixels)))['inputs']
        logits = torch.nn.functional.interpolate(model(inputs, mode='tensor'), size=(64, 96), mode='bilinear')
        found = ExportableSegmentor(model)(pixels)
    assert torch.allclose(found, logits, atol=1e-5) and (model.data_preprocessor.order[0] == 2) == (order == 'bgr')


@pytest.mark.slow
def test_onnx_of_any_size(trained, tmp_path):
    model, _ = load_model(CONFIG, str(trained / 'model.pth'))
    path = export_onnx(model, tmp_path / 'fcn.onnx', (64, 64), dynamic=True)
    found = check_onnx(model, path, [(64, 64), (96, 160)], batch=3)
    assert found['difference'] < 1e-4 * found['scale'] and found['agreement'] > .999
    # The check is one: another model's file does not pass.
    with torch.no_grad():
        next(model.decode_head.parameters()).add_(.1)
    assert check_onnx(model, path, [(64, 64)])['difference'] > 1e-3


@pytest.mark.slow
def test_export_tool(trained, tmp_path, monkeypatch, capsys):
    options = [CONFIG, trained / 'model.pth', tmp_path / 'fcn.onnx', '--size', '64', '96']
    assert tool(monkeypatch, 'export_onnx.py', *options) is None
    assert '100.000 %' in capsys.readouterr().out and [p.name for p in tmp_path.iterdir()] == ['fcn.onnx']
    before = (tmp_path / 'fcn.onnx').read_bytes()
    assert 'tolerance' in tool(monkeypatch, 'export_onnx.py', *options, '--tolerance', '-1')
    # What differs from the model is not written, and what was there stays.
    assert (tmp_path / 'fcn.onnx').read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ['fcn.onnx']


@pytest.mark.parametrize('options, says', [
    (dict(size=(0, 64)), 'positive'), (dict(size=(-64, 64)), 'positive'), (dict(size=(64, 100), dynamic=True), 'multiples of 32'),
    (dict(size=(32, 32), dynamic=True), 'from 64'), (dict(opset=5), 'from 16 to'), (dict(opset=99), 'from 16 to')])
def test_what_cannot_be_exported(trained, tmp_path, options, says):
    model = build_model(load_config(CONFIG)).eval()
    with pytest.raises(ConfigError, match=says):
        export_onnx(model, tmp_path / 'a.onnx', **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_no_agreement(trained, tmp_path, monkeypatch, value):
    """NaN compares false with everything, also with a tolerance."""
    class Session:
        def __init__(self, *args, **kwargs):
            pass

        def run(self, names, inputs):
            pixels = inputs['pixels']
            return [np.full((len(pixels), 7, *pixels.shape[2:]), value, np.float32)]

    monkeypatch.setattr('onnxruntime.InferenceSession', Session)
    monkeypatch.setattr('decur.apis.export._export', lambda model, path, *options: path.write_bytes(b'onnx'))
    model = build_model(load_config(CONFIG)).eval()
    with pytest.raises(WeightsError, match='differ by inf'):
        export_checked(model, tmp_path / 'a.onnx', (64, 64))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_onnx_of_cmx(tmp_path):
    small = {f'modalities.{name}.encoder.{key}': value for name in ('rgb', 'hha')
             for key, value in dict(arch='b0', num_layers=(1, 1, 1, 1)).items()}
    cfg = load_config(str(ROOT / 'configs' / 'cmx' / 'nyudv2_rgb-hha_mit-b2_published.py'),
                      {**small, 'model.decode_head.in_channels': (32, 64, 160, 256), 'model.decode_head.channels': 32})
    model = build_model(cfg).eval()
    assert model.data_preprocessor.order == [2, 1, 0, 5, 4, 3]
    found = check_onnx(model, export_onnx(model, tmp_path / 'cmx.onnx', (96, 128)), [(96, 128)])
    assert found['difference'] < 1e-4 * max(found['scale'], 1) and found['agreement'] > .999


def test_encoders_of_three_stages_are_loaded():
    from decur import load
    encoder = load(str(ROOT / 'configs' / 'decoupling' / 'shapes_optical-radar_small-resnet_decur.py'))
    maps = encoder.extract_maps(dict(optical=torch.zeros(1, 3, 24, 24)))
    assert [tuple(x.shape[2:]) for x in maps['optical']] == [(12, 12), (6, 6), (3, 3)]

"""The analysis tools, as a user types them."""
import json

import numpy as np
import pytest
import torch
from helpers import ROOT, entries, run_tool, write_pairs
from mmengine.config import Config
from mmengine.registry import MODELS

import decur
from decur.apis.complexity import build_for_analysis, count_flops, count_parameters, example_inputs
from decur.apis.features import build_image_dataset, extract_features
from decur.errors import DataError
from decur.weights import load_file, save_file
from decur.weights.metadata import describe


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Data, a config of them and a checkpoint."""
    root = tmp_path_factory.mktemp('features')
    write_pairs(root / 'data', ids='abcdefg')
    (root / 'data' / 's2' / 'c.tif').unlink()
    modalities = entries()
    cfg = Config(dict(
        model=dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities)),
        train_dataloader=dict(dataset=dict(
            type='PairedRasterDataset', modalities=modalities, data_root=str(root / 'data'), missing='keep',
            pipeline=[dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')]))))
    # cfg.dump would sort the modalities, and the first one's files say which samples there are.
    (root / 'config.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items()))
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model.backbone)).eval()
    save_file(dict(meta=dict(decur=describe(cfg.model)), state_dict=model.state_dict()), root / 'model.pth')
    return root, cfg


def test_complexity_agrees_with_counting_by_hand():
    cfg = Config.fromfile(ROOT / 'configs' / 'decur' / 'ssl4eo_s1-s2_r50_decur.py')
    cfg.model.neck.update(hid_channels=16, out_channels=16)
    model, modalities = build_for_analysis(cfg)
    parameters = count_parameters(model)
    # torchvision's ResNet50 without fc has 23,508,032 with 3 channels; a channel more or less is 64 * 49 weights.
    assert parameters['parts']['backbone.streams.sar'] == 23_508_032 - 3136
    assert parameters['parts']['backbone.streams.optical'] == 23_508_032 + 10 * 3136
    inputs = example_inputs(model, modalities, (224, 224))
    only_sar = count_flops(model, dict(sar=inputs['sar']))
    # 4.089 G multiply-adds at 224x224 with 3 channels (torchvision's table: 4.09), the first layer's share per channel 64 * 49 * 112^2.
    assert only_sar / 2 == pytest.approx(4.089e9 - 64 * 49 * 112**2, rel=2e-3)
    assert count_flops(model, inputs) > 2 * only_sar


def test_attention_is_counted():
    cfg = Config.fromfile(ROOT / 'configs' / 'decur' / 'ssl4eo_s1-s2_vit-s16_decur.py')
    cfg.model.neck.update(hid_channels=16, out_channels=16)
    model, modalities = build_for_analysis(cfg)
    # Per layer: 12 d^2 multiply-adds per token, and 2 n^2 d for the two products of attention (n = 197 tokens, d = 384).
    n, d = 197, 384
    expected = 2 * (12 * (12 * n * d**2 + 2 * n * n * d) + 196 * d * 256 * 2)
    assert count_flops(model, dict(sar=example_inputs(model, modalities, (224, 224))['sar'])) == pytest.approx(expected, rel=1e-3)


def test_complexity_tool(tmp_path, world):
    done = run_tool('tools/analysis/get_complexity.py', 'configs/quickstart/rooms_rgb-hha_small-resnet_finetune.py', '--size', 64, 64,
                    '--repeats', 2, '--json', tmp_path / 'c.json')
    assert 'torch.utils.flop_counter' in done.stdout and 'backbone.streams.hha' in done.stdout and 'ms median' in done.stdout
    figures = json.loads((tmp_path / 'c.json').read_text())
    assert figures['parameters']['total'] == sum(figures['parameters']['parts'].values()) and figures['flops'] > 0
    done = run_tool('tools/analysis/get_complexity.py', 'no/such.py', check=False)
    assert done.returncode == 1 and "config 'no/such.py' does not exist" in done.stderr


def test_features_equal_the_encoder_and_a_stopped_run_goes_on(world, tmp_path):
    root, cfg = world
    encoder = decur.load(root / 'model.pth')
    dataset = build_image_dataset(cfg)
    options = dict(size=(32, 32), batch_size=2, part_size=3)
    whole = extract_features(encoder, dataset, tmp_path / 'whole.safetensors', **options)
    assert whole == dict(sar=(7, 64), optical=(7, 64))
    calls = []

    def stop(done, total):
        calls.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(encoder, dataset, tmp_path / 'stopped.safetensors', progress=stop, **options)
    assert not (tmp_path / 'stopped.safetensors').exists()
    with pytest.raises(DataError, match='parts of another run'):
        extract_features(encoder, dataset, tmp_path / 'stopped.safetensors', **dict(options, size=(64, 64)))
    resumed = []
    extract_features(encoder, dataset, tmp_path / 'stopped.safetensors', progress=lambda done, total: resumed.append(done), **options)
    assert resumed[0] == 3 and resumed[-1] == 7  # the first part was not computed again
    a, b = load_file(tmp_path / 'whole.safetensors'), load_file(tmp_path / 'stopped.safetensors')
    assert all(torch.equal(a[name].nan_to_num(9), b[name].nan_to_num(9)) for name in a)
    assert a['optical'].isnan().all(1).tolist() == [False, False, True, False, False, False, False] and not a['sar'].isnan().any()
    image = dataset[4]['images']['optical']
    x = torch.nn.functional.interpolate(encoder.transforms['optical'](image)[None], (32, 32), mode='bilinear', antialias=True)
    with torch.no_grad():
        assert torch.allclose(encoder.extract_feat(dict(optical=x))['optical'][0], a['optical'][4], atol=1e-5)
    assert not list(tmp_path.glob('.*.parts'))


def test_parts_of_another_run_are_not_taken_over(world, tmp_path):
    root, cfg = world
    encoder, dataset = decur.load(root / 'model.pth', modalities=['sar']), build_image_dataset(cfg)
    options = dict(size=(32, 32), batch_size=3, part_size=3)
    out, parts = tmp_path / 'x.safetensors', tmp_path / '.x.safetensors.parts'

    def stop(done, total):
        if done > 3:
            raise KeyboardInterrupt

    def stopped():
        with pytest.raises(KeyboardInterrupt):
            extract_features(encoder, dataset, out, progress=stop, **options)

    stopped()
    first = load_file(parts / '000000000.safetensors')['sar']
    # Another file under the same name.
    with torch.no_grad():
        encoder.backbone.streams['sar'].encoder.conv1.weight.mul_(2)
    with pytest.raises(DataError, match='parts of another run'):
        extract_features(encoder, dataset, out, **options)
    # Stopped while the parts were removed: what is left belongs to nobody.
    (parts / 'run.json').unlink()
    extract_features(encoder, dataset, out, **options)
    assert not torch.equal(load_file(out)['sar'][:3], first)


def test_feature_tool(world, tmp_path):
    root, _ = world
    out = tmp_path / 'features'
    done = run_tool('tools/analysis/extract_features.py', root / 'model.pth', root / 'config.py', out, '--modalities', 'optical',
                    '--size', 32, 32, '--num-workers', 0)
    assert 'optical 7 x 64' in done.stdout and '7/7 samples' in done.stderr
    assert np.load(out / 'optical.npy').shape == (7, 64) and json.loads((out / 'sample_ids.json').read_text()) == list('abcdefg')
    done = run_tool('tools/analysis/extract_features.py', root / 'model.pth', root / 'config.py', out, '--split', 'test', check=False)
    assert done.returncode == 1 and 'has no test_dataloader' in done.stderr
    done = run_tool('tools/analysis/extract_features.py', root / 'model.pth', root / 'config.py', out, '--size', 0, 32, check=False)
    assert done.returncode == 2 and '--size 0 32: give two positive numbers' in done.stderr

"""The analysis tools, as a user types them."""
import json
import os
import signal

import numpy as np
import pytest
import torch
from helpers import ROOT, entries, run_code, run_tool, write_pairs
from mmengine.config import Config
from mmengine.registry import MODELS
from torch.nn.attention import SDPBackend, sdpa_kernel

import decur
from decur.apis.complexity import build_for_analysis, count_flops, count_parameters, example_inputs, training_memory
from decur.apis.features import build_image_dataset, extract_features
from decur.errors import ConfigError, DataError
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


@pytest.mark.parametrize('config', ['decoupling/shapes_optical-radar_small-resnet_decur', 'decur/geonrw_rgb-dem_vit-s16_decur'])
def test_training_memory_is_what_autograd_keeps(config):
    """On the meta device as in a real pass, where storages are told apart by their address."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    cfg.model.neck.update(hid_channels=16, out_channels=16)
    model, modalities = build_for_analysis(cfg)
    inputs = example_inputs(model, modalities, (224, 224) if 'vit' in config else (24, 24), 2)
    memory, kept = training_memory(model, cfg, inputs, 2), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), sdpa_kernel(SDPBackend.MATH):
        embeddings = model.train().extract_embeddings(inputs)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    # Both views; libraries keep a little more where an empty workspace has an address.
    assert memory['sample'] * 2 == pytest.approx(2 * sum(s.nbytes() for p, s in kept.items() if p not in own), rel=.01)
    assert embeddings
    # Weights, gradients and the moments of the optimiser; and the buffers.
    numbers = sum(p.numel() for p in model.parameters())
    copies = 4 if 'Adam' in cfg.optim_wrapper.optimizer.type else 3
    assert memory['state'] == 4 * copies * numbers + sum(b.numel() * b.element_size() for b in model.buffers())


@pytest.mark.parametrize('size, batch', [((0, 64), 1), ((64, -1), 1), ((64, 64), 0)])
def test_sizes_that_are_none(size, batch):
    with pytest.raises(ConfigError, match='must be positive'):
        example_inputs(torch.nn.Identity(), dict(a=dict(channels=1)), size, batch)


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


@pytest.mark.parametrize('damage', [b'', b'cut', None])
def test_a_damaged_part_is_computed_again(world, tmp_path, damage):
    root, cfg = world
    encoder, dataset = decur.load(root / 'model.pth', modalities=['sar']), build_image_dataset(cfg)
    options = dict(size=(32, 32), batch_size=3, part_size=3)
    extract_features(encoder, dataset, tmp_path / 'whole.safetensors', **options)
    out, part = tmp_path / 'x.safetensors', tmp_path / '.x.safetensors.parts' / '000000000.safetensors'

    def stop(done, total):
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(encoder, dataset, out, progress=stop, **options)
    content = bytearray(part.read_bytes())
    content[-5] ^= 64
    part.write_bytes(content if damage is None else damage)
    extract_features(encoder, dataset, out, **options)
    assert torch.equal(load_file(out)['sar'], load_file(tmp_path / 'whole.safetensors')['sar'])


@pytest.mark.parametrize('content', [b'{', b'\xff\xfe', b'[' * 100000, b'[1]'])
def test_a_damaged_record_of_a_run(world, tmp_path, content):
    root, cfg = world
    parts = tmp_path / '.x.safetensors.parts'
    parts.mkdir()
    (parts / 'run.json').write_bytes(content)
    with pytest.raises(DataError, match='(run.json is damaged|parts of another run).*Remove'):
        extract_features(decur.load(root / 'model.pth'), build_image_dataset(cfg), tmp_path / 'x.safetensors')


class Images(list):
    """A data set in memory."""

    def get_data_info(self, index):
        return dict(sample_id=f'sample{index}')


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('workers', [0, 1])
def test_values_that_are_not_finite_are_named(world, tmp_path, value, workers):
    images = [dict(images=dict(sar=np.zeros((32, 32, 2), np.float32), optical=None)) for _ in range(3)]
    images[1]['images']['sar'][3, 4, 1] = value
    with pytest.raises(DataError, match="sar.*sample1|sample1.*sar"):
        extract_features(decur.load(world[0] / 'model.pth'), Images(images), tmp_path / 'x.safetensors', size=(32, 32), num_workers=workers)
    assert not (tmp_path / 'x.safetensors').exists()


def test_features_that_overflow_are_named(world, tmp_path):
    encoder = decur.load(world[0] / 'model.pth')
    with torch.no_grad():
        encoder.backbone.streams['sar'].encoder.conv1.weight.mul_(1e38)
    images = [dict(images=dict(sar=np.full((32, 32, 2), value, np.float32), optical=None)) for value in (-12, 3000)]  # the mean, and not
    with pytest.raises(DataError, match="the features of modality 'sar' are not finite .* sample1. Look"):
        extract_features(encoder, Images(images), tmp_path / 'x.safetensors', size=None)


def test_errors_of_samples_and_ends_of_workers_are_one_line(world, tmp_path):
    class Broken(Images):
        def __getitem__(self, index):
            if index == 2 and len(self) == 4:
                raise DataError('s1/c.tif cannot be read.')
            if index == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return dict(images=dict(sar=np.zeros((32, 32, 2), np.float32), optical=None))

    encoder = decur.load(world[0] / 'model.pth')
    with pytest.raises(DataError) as info:
        extract_features(encoder, Broken(range(4)), tmp_path / 'x.safetensors', num_workers=1)
    assert str(info.value) == 's1/c.tif cannot be read.'
    with pytest.raises(DataError, match='a process that reads samples ended.*fewer workers') as info:
        extract_features(encoder, Broken(range(6)), tmp_path / 'y.safetensors', num_workers=1, batch_size=1, part_size=2)
    assert '\n' not in str(info.value)


def test_a_limit_of_file_sizes_ends_with_one_line(world, tmp_path):
    """It used to wait for ever: a worker could not make the file through which it passes a batch on."""
    code = f"""
import resource
import decur
from decur.apis.features import build_image_dataset, extract_features
from decur.errors import ConfigError, DataError
from mmengine.config import Config
encoder = decur.load({str(world[0] / 'model.pth')!r})
dataset = build_image_dataset(Config.fromfile({str(world[0] / 'config.py')!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    extract_features(encoder, dataset, {str(tmp_path / 'x.safetensors')!r}, num_workers=2)
except DataError as error:
    print(error)
"""
    done = run_code(code)
    assert done.returncode == 0 and 'x.safetensors' in done.stdout and 'cannot be written (File too large)' in done.stdout, done.stderr
    assert not (tmp_path / 'x.safetensors').exists() and not list(tmp_path.rglob('*.tmp'))


@pytest.mark.parametrize('name, folder', [('x.safetensors', True), ('x', False)])
def test_an_output_of_another_kind(world, tmp_path, name, folder):
    (tmp_path / name).mkdir() if folder else (tmp_path / name).write_text('a file')
    with pytest.raises(DataError, match=f'{name} is a {"folder" if folder else "file"};'):
        extract_features(decur.load(world[0] / 'model.pth'), build_image_dataset(world[1]), tmp_path / name)


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


def test_suggest_common_dim(tmp_path):
    """Of untrained encoders on linear mixtures of four shared and four private coordinates."""
    config = 'configs/decoupling/gaussian_first-second_small-resnet_decur.py'
    done = run_tool('tools/analysis/suggest_common_dim.py', config, 'random', '--level', 'embedding', '--out', tmp_path / 'found.json')
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['across'] == {'first-second': 4} and min(found['within'].values()) >= 8
    assert found['share'] == pytest.approx(4 / np.mean(list(found['within'].values())))
    assert f'model.head.common_dim={round(256 * found["share"])}' in done.stdout
    values, chance = found['correlations']['first-second'].values()
    assert sum(value > chance for value in values) == 4
    config = 'configs/quickstart/rooms_rgb-hha_small-resnet_finetune.py'
    wrong = run_tool('tools/analysis/suggest_common_dim.py', config, 'random', check=False)
    assert wrong.returncode == 1 and 'is no pretraining config' in wrong.stderr and len(wrong.stderr.splitlines()) == 1

"""Every config of the repository: it builds as written, and its model takes one optimisation step with its own optimiser."""
import copy
import re

import pytest
import torch
from helpers import ROOT, bound_config
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS, init_default_scope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

import decur

# Files that set or inherit a model; a table of runs (configs/decoupling/study.py) does neither.
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in path.parts and re.search(r'^(model|_base_) = ', path.read_text(), re.M))
LARGE = ('mit-b4', 'mit-b5')  # over 100 million parameters


def parameter(path):
    return pytest.param(path, marks=[pytest.mark.slow] if any(name in path for name in LARGE) else [], id=path.removeprefix('configs/'))


def tiny_batch(cfg):
    """Two samples for a config's model, and the size at which its optimiser is tried."""
    generator = torch.Generator().manual_seed(0)

    def image(*shape):
        return torch.rand(shape, generator=generator) * 255

    backbone = cfg.model.backbone
    entries = {name: entry for name, entry in (backbone.get('modalities') or {}).items() if entry}
    if cfg.model.type == 'MultimodalPretraining':
        return dict(inputs={name: [image(4, entry.channels, 64, 64) for _ in range(2)] for name, entry in entries.items()},
                    data_samples=None)
    if cfg.model.type == 'MultimodalSegmentor':
        channels = sum(entry.channels for entry in entries.values()) or backbone.get('in_channels', 3)
        samples = []
        for _ in range(2):
            labels = torch.randint(0, cfg.model.decode_head.num_classes, (1, 64, 64), generator=generator)
            samples.append(SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=dict(img_shape=(64, 64))))
        return dict(inputs=[image(channels, 64, 64) for _ in range(2)], data_samples=samples)
    if cfg.model.type == 'MultimodalPixelRegressor':
        samples = [SegDataSample(gt_depth_map=PixelData(data=image(1, 64, 64)), metainfo=dict(img_shape=(64, 64))) for _ in range(2)]
        return dict(inputs=[image(sum(entry.channels for entry in entries.values()), 64, 64) for _ in range(2)], data_samples=samples)
    if cfg.model.type == 'MultimodalClassifier' and cfg.model.head.get('task') == 'single-label':
        samples = [DataSample().set_gt_label(i) for i in range(2)]
        return dict(inputs={name: image(2, entry.channels, 64, 64) for name, entry in entries.items()}, data_samples=samples)
    if cfg.model.type == 'MultimodalClassifier':
        samples = [DataSample().set_gt_score(torch.randint(0, 2, (cfg.model.head.num_classes, ), generator=generator).float())
                   for _ in range(2)]
        return dict(inputs={name: image(2, entry.channels, 64, 64) for name, entry in entries.items()}, data_samples=samples)
    pytest.fail(f'no tiny batch is known for models of type {cfg.model.type}: add one here')


@pytest.mark.parametrize('path', [parameter(path) for path in CONFIGS])
def test_it_builds_and_takes_one_step(path):
    cfg = decur.bind(Config.fromfile(ROOT / path))
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    torch.manual_seed(0)
    model_cfg = copy.deepcopy(cfg.model)
    neck, head = model_cfg.get('neck'), model_cfg.get('head')
    if neck and neck.get('type') == 'MultimodalProjector':  # 8192 wide: a gigabyte that the step does not need
        neck.update(hid_channels=64, out_channels=64)
        if head.get('common_dim'):
            head.common_dim = 48
        if head.get('blocks'):
            head.blocks = {subset: dims // 4 for subset, dims in head.blocks.items()}
    if model_cfg.get('data_preprocessor', {}).get('size'):
        model_cfg.data_preprocessor.size = (64, 64)
    model = MODELS.build(model_cfg).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    assert isinstance(optim_wrapper, OPTIM_WRAPPERS.get('OptimWrapper'))
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad and p.numel() < 10**5}
    for group in optim_wrapper.param_groups:
        group['lr'] = max(group['lr'], 1e-3)  # a warm-up's first step may be too small to see
        group['weight_decay'] = 0.  # it would move parameters that no gradient reaches
    losses = model.train_step(tiny_batch(cfg), optim_wrapper)
    assert losses['loss'].isfinite()
    moved = {name for name, p in model.named_parameters() if name in before and not torch.equal(before[name], p)}
    for name, entry in (cfg.model.backbone.get('modalities') or {}).items():
        if entry is not None and not cfg.model.backbone.get('frozen'):
            stream = (cfg.model.backbone.get('shared') or {}).get(name, name)
            assert any(f'streams.{stream}.' in key for key in moved), f'no parameter of the encoder of {name!r} was trained'
    assert moved


@pytest.mark.parametrize('path', CONFIGS)
def test_a_child_holds_only_what_differs(path):
    own = Config._file2dict(str(ROOT / path), use_environment_variables=False)[0]
    text = (ROOT / path).read_text()
    bases = Config._get_base_files(str(ROOT / path))
    assert bases, f'{path} has no _base_'
    if '{{' in text:
        pytest.skip('uses variables of its base')
    base = {}
    for file in bases:
        base.update(Config.fromfile(str((ROOT / path).parent / file))._cfg_dict.to_dict())
    namespace = {}
    exec(compile(text, path, 'exec'), namespace)  # a config is Python
    repeated = []

    def walk(new, old, where):
        for key, value in new.items():
            if key == '_delete_' or key not in old:
                continue
            if isinstance(value, dict):
                if not value.get('_delete_') and isinstance(old[key], dict):
                    walk(value, old[key], f'{where}{key}.')
            elif value == old[key]:
                repeated.append(f'{where}{key}')

    walk({key: value for key, value in namespace.items() if not key.startswith('_')}, base, '')
    assert not repeated, f'{path} repeats what its base says: {repeated}'
    assert own


def test_the_published_values():
    """Supplement B.1 and the published scripts, in numbers."""
    def get(name):
        return bound_config(f'decur/{name}.py')

    for data, common, pair, epochs, lr in (
            ('ssl4eo_s1-s2', 7168, ('sar', 'optical'), 100, 0.2), ('geonrw_rgb-dem', 6144, ('rgb', 'dem'), 100, 0.2)):
        cfg = get(f'{data}_r50_decur')
        assert (cfg.model.head.common_dim, cfg.model.head.lambd) == (common, 0.0051)
        assert (cfg.model.neck.hid_channels, cfg.model.neck.out_channels) == (8192, 8192)
        assert tuple(cfg.model.backbone.modalities) == pair
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.lr, cfg.optim_wrapper.paramwise_cfg.lr_1d, optimizer.weight_decay, optimizer.momentum) == (lr, 0.0048, 1e-6, 0.9)
        assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (epochs, 64)
        assert [s.type for s in cfg.param_scheduler] == ['CosineAnnealingLR']
        for name in ('r50-rda', 'vit-s16'):
            optimizer = get(f'{data}_{name}_decur').optim_wrapper.optimizer
            assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.01)
        for name, kind in (('rda', 'RDA'), ('da', 'DA')):
            for entry in get(f'{data}_r50-{name}_decur').model.backbone.modalities.values():
                assert entry.attention == {'2': dict(type=kind, num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
                                           '3': dict(type=kind, num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)}
        crossed = get(f'{data}_r50-cross-da_decur').model.backbone
        assert crossed.interactions['3'] == dict(type='CrossDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)
        assert all(entry.attention is None for entry in crossed.modalities.values())
    for name, arch in (('decur_sunrgbd', 'b2'), ('sunrgbd_rgb-hha_mit-b5_decur', 'b5')):
        cfg = get(name)
        assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size, cfg.model.head.common_dim) == (200, 32, 6144)
        assert (cfg.optim_wrapper.optimizer.type, cfg.optim_wrapper.optimizer.lr) == ('AdamW', 1e-4)
        for entry in cfg.model.backbone.modalities.values():
            assert (entry.encoder.arch, entry.feature_channels) == (arch, 2048) and f'mit_{arch}' in entry.encoder.init_cfg.checkpoint
    assert get('sunrgbd_rgb-hha_r50_decur').optim_wrapper.optimizer.lr == 0.05
    for name in ('geonrw_rgb-dem_r50_decur', 'sunrgbd_rgb-hha_r50_decur'):
        for entry in get(name).model.backbone.modalities.values():
            assert entry.encoder.init_cfg == dict(type='Pretrained', checkpoint='torchvision://resnet50')

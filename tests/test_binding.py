"""One top-level ``modalities`` reaches every part, however a config is run; what a checkpoint then says of itself is what was built."""
import copy
import shutil
import sys
from pathlib import Path
from subprocess import run

import pytest
from forked import run_program
from helpers import ROOT, entries, run_tool, tiny_encoder, write_pairs
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import decur
from decur.binding import bind
from decur.engine import MultimodalRunner
from decur.errors import ConfigError, WeightsError

PIPELINE = [dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')]


def config(**parts):
    """A pretraining config in which parts say nothing about modalities."""
    return Config(dict(
        default_scope='mmpretrain', runner_type='MultimodalRunner', modalities=entries(),
        model=dict(
            type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone'),
            neck=dict(type='MultimodalProjector', hid_channels=8, out_channels=8), head=dict(type='DeCURHead', common_dim=6)),
        train_dataloader=dict(dataset=dict(type='PairedRasterDataset', pipeline=PIPELINE)), **parts))


def names(part):
    return list(part['modalities'])


def test_every_part_gets_the_entries_and_the_config_stays_as_it_was():
    loader = dict(dataset=dict(type='PairedRasterDataset'))
    cfg = config(
        val_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[dict(type='PairedRasterDataset')] * 2)),
        test_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='SSL4EODataset'))),
        custom_hooks=[dict(type='ProbeHook', train_dataloader=loader, test_dataloader=loader)],
        score_dataset=dict(type='RenderedFactorsDataset', factors={}),
        tta_model=dict(type='mmseg.SegTTAModel', module=dict(
            type='EncoderDecoder', backbone=dict(type='MultimodalBackbone'), data_preprocessor=dict(type='MultimodalSegDataPreprocessor'))))
    before = copy.deepcopy(cfg.to_dict())
    bound = bind(cfg)
    probe = bound.custom_hooks[0]
    parts = [bound.model.backbone, bound.train_dataloader.dataset, *bound.val_dataloader.dataset.datasets,
             bound.test_dataloader.dataset.dataset, probe.train_dataloader.dataset, probe.test_dataloader.dataset, bound.score_dataset,
             bound.tta_model.module.backbone, bound.tta_model.module.data_preprocessor]
    assert all(part.modalities == cfg.modalities for part in parts)
    # No part shares an entry with another.
    parts[0].modalities.sar.mean = None
    assert parts[1].modalities.sar.mean and cfg.to_dict() == before
    # Parts without modalities are left alone.
    assert 'modalities' not in bound.model and 'modalities' not in bound.model.head and 'modalities' not in PIPELINE[0]


def test_a_part_says_what_differs_for_it():
    cfg = config()
    cfg.merge_from_dict({'train_dataloader.dataset.modalities.sar.augmentation.size': 8, 'model.backbone.modalities.optical': None})
    bound = bind(cfg)
    dataset = bound.train_dataloader.dataset.modalities
    assert names(bound.model.backbone) == ['sar'] and list(dataset) == ['sar', 'optical']
    assert dataset.sar.augmentation == dict(cfg.modalities.sar.augmentation, size=8)
    # _delete_ replaces, one entry or all.
    cfg.merge_from_dict({'train_dataloader.dataset.modalities': dict(sar=dict(augmentation=dict(_delete_=True, type='NoiseAugmentation')))})
    assert bind(cfg).train_dataloader.dataset.modalities.sar.augmentation == dict(type='NoiseAugmentation')
    cfg.train_dataloader.dataset.modalities = dict(_delete_=True, rgb=dict(channels=3))
    assert bind(cfg).train_dataloader.dataset.modalities == dict(rgb=dict(channels=3))
    # A whole entry is taken as it is: the shared std does not come into it.
    cfg.train_dataloader.dataset.modalities = dict(sar=dict(channels=2), dem=dict(channels=1))
    assert bind(cfg).train_dataloader.dataset.modalities == dict(sar=dict(channels=2), optical=cfg.modalities.optical, dem=dict(channels=1))


def test_added_changed_and_removed_in_one_place(tmp_path):
    (tmp_path / 'base.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in config().to_dict().items()))
    (tmp_path / 'child.py').write_text(
        "_base_ = './base.py'\n"
        "dem = dict(channels=1, encoder=dict(type='SmallResNet'))\n"
        "modalities = dict(sar=dict(encoder=dict(base_channels=16)), optical=None, dem=dem)\n")
    bound = bind(Config.fromfile(tmp_path / 'child.py'))
    for part in (bound.model.backbone, bound.train_dataloader.dataset):
        assert names(part) == ['sar', 'dem']
        assert part.modalities.sar.encoder == dict(tiny_encoder(), base_channels=16)
    # What a part changed of a modality that a child removed is no error.
    cfg = Config.fromfile(tmp_path / 'child.py')
    cfg.merge_from_dict({'model.backbone.modalities.optical.encoder.base_channels': 4})
    assert names(bind(cfg).model.backbone) == ['sar', 'dem']


def test_options_of_the_command_line():
    cfg = config()
    cfg.merge_from_dict({'modalities.sar.encoder.init_cfg': None, 'modalities.optical.mean': [1.]})
    bound = bind(cfg)
    assert bound.model.backbone.modalities.sar.encoder.init_cfg is None and bound.train_dataloader.dataset.modalities.optical.mean == [1.]
    model = decur.build_model(config(), {'modalities.sar.encoder.base_channels': 16})
    assert model.backbone.feature_dims['sar'] == 2 * model.backbone.feature_dims['optical']


def test_binding_twice_changes_nothing():
    once = bind(config())
    assert bind(once).to_dict() == once.to_dict()
    # Configs whose parts have whole entries, as all had before, stay as they are, whatever their top level says.
    old = config().to_dict()
    old['modalities']['sar']['encoder'] = dict(type='ResNet', depth=50)
    for part in (old['model']['backbone'], old['train_dataloader']['dataset']):
        part['modalities'] = entries()
    assert bind(old) == old
    without = dict(model=dict(backbone=dict(type='MultimodalBackbone', modalities=entries())))
    assert bind(without) == without


def test_what_is_built_already_is_not_copied(tmp_path):
    class Model(BaseModel):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            return {}

    model, hook = Model(), Hook()
    runner = MultimodalRunner(model=model, work_dir=str(tmp_path), custom_hooks=[hook], cfg=Config(dict(modalities=entries())))
    assert runner.model is model and hook in runner.hooks


@pytest.mark.parametrize('options, message', [
    ({'model.backbone.modalities.otical.encoder.depth': 18}, r"model\.backbone\.modalities\.otical .*did you mean 'optical'"),
    ({'modalities.otical.encoder.depth': 18}, r"modality 'otical' has no channels \(did you mean 'optical'"),
    ({'modalities.sar.radiometrie': []}, r"modality 'sar': unknown key 'radiometrie' \(did you mean 'radiometry'"),
    ({'train_dataloader.dataset.modalities.sar.encodr': None}, r"'sar': unknown key 'encodr' \(did you mean 'encoder'"),
    ({'modalities.sar.mean': [1., 2., 3.]}, r"'sar': mean has 3 values for 2 channels"),
    ({'modalities.sar.bands': ['VV', 'VH'],
      'test_dataloader.dataset': dict(type='PairedRasterDataset', modalities=dict(sar=dict(bands=['VH', 'vv'])))},
     r'test_dataloader.dataset.modalities.sar has the bands VH, VV, modalities.sar the same in the order VV, VH'),
    ({'modalities': [1]}, 'modalities must be a dict'),
    ({'modalities': dict(_delete_=True, sar=None)}, 'modalities is empty'),
])
def test_what_is_wrong_is_said_before_anything_is_built(options, message):
    cfg = config()
    for key, value in options.items():
        cfg.merge_from_dict({key: value}) if key != 'modalities' or isinstance(value, dict) else cfg.update({key: value})
    with pytest.raises(ConfigError, match=message):
        bind(cfg)


def test_the_runner_builds_bound_parts_and_keeps_the_config_as_it_was(tmp_path):
    write_pairs(tmp_path / 'data')
    cfg = config(work_dir=str(tmp_path / 'run'), train_cfg=dict(by_epoch=True, max_epochs=1),
                 optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'), collate_fn=dict(type='multimodal_collate'))
    cfg.merge_from_dict({'train_dataloader.dataset.data_root': str(tmp_path / 'data'), 'modalities.sar.augmentation.size': 16,
                         'modalities.sar.bands': ['VV', 'VH'], 'default_hooks': dict(metadata=dict(type='MetadataHook'))})
    # As MMPretrain's and MMSegmentation's train.py do it, and as MMSegmentation's test.py and ours do.
    for build in (RUNNERS.build, Runner.from_cfg):
        runner = build(copy.deepcopy(cfg))
        assert isinstance(runner, MultimodalRunner) and list(runner.model.backbone.modalities) == ['sar', 'optical']
        dumped = Config.fromstring(runner.cfg.pretty_text, '.py')
        assert dumped.to_dict() == cfg.to_dict() and 'modalities' not in dumped.model.backbone
    runner.train()
    path = tmp_path / 'run' / 'epoch_1.pth'
    meta = decur.weights.load_file(path)['meta']
    assert Config.fromstring(meta['cfg'], '.py').to_dict() == cfg.to_dict()
    assert meta['decur']['modalities']['sar']['mean'] == [-12.0, -12.0] and meta['decur']['trained_on'] == {}
    # Weights that name their bands are not given images in another order, in silence or otherwise.
    cfg.merge_from_dict({'modalities.sar.bands': ['VH', 'VV'], 'load_from': str(path), 'work_dir': str(tmp_path / 'swapped')})
    for act in (lambda runner: runner.train(), lambda runner: runner.load_checkpoint(str(path))):
        with pytest.raises(WeightsError, match="trained on the bands VV, VH, modality 'sar' gives it VH, VV: the same bands in another"):
            act(Runner.from_cfg(copy.deepcopy(cfg)))
    assert not list((tmp_path / 'swapped').rglob('*.pth'))
    assert isinstance(Runner.from_cfg(dict(model=dict(type='ResNet', depth=18), work_dir=str(tmp_path / 'plain'),
                                           default_scope='mmpretrain')), Runner)


@pytest.mark.slow
def test_the_command_lines_of_openmmlab(tmp_path):
    """MMPretrain's and MMSegmentation's own train.py and test.py (what `mim train` starts) do what ours do."""
    import mmpretrain
    import mmseg
    tools = {library.__name__: Path(library.__file__).parent / '.mim' / 'tools' for library in (mmpretrain, mmseg)}
    rooms, light = tmp_path / 'rooms', ('num_workers=0', 'persistent_workers=False')
    run_tool('tools/generate_dataset.py', 'rooms', rooms, '--num-train', 8, '--num-test', 4, '--size', 48, 48, '--workers', 1)
    options = {name: [f'{name}_dataloader.dataset.data_root={rooms}', *(f'{name}_dataloader.{option}' for option in light)]
               for name in ('train', 'test')}

    def call(tool, config, *args):
        environment = dict(PYTHONPATH=str(ROOT / 'projects'), OMP_NUM_THREADS='1', PATH='/usr/bin:/bin', PYTHONWARNINGS='ignore')
        command = [str(part) for part in (tool, ROOT / 'configs' / 'quickstart' / config, *args)]
        if tool.is_relative_to(ROOT / 'tools'):
            done = run_program(command, tmp_path, environment, timeout=200)
        else:  # theirs import what they need themselves
            done = run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    def figures(log):
        return [line.split('aAcc')[1].split('data_time')[0] for line in log.splitlines() if 'mIoU:' in line and 'aAcc' in line][-1]

    small = ['model.neck.hid_channels=64', 'model.neck.out_channels=64', 'model.head.common_dim=48', 'train_cfg.max_epochs=1',
             'train_dataloader.batch_size=4', *options['train']]
    losses = set()
    for name, tool in (('ours', ROOT / 'tools' / 'train.py'), ('mmpretrain', tools['mmpretrain'] / 'train.py')):
        log = call(tool, 'rooms_rgb-hha_small-resnet_decur.py', '--work-dir', tmp_path / name, '--cfg-options', *small,
                   'default_hooks.logger.interval=1')
        losses.add(tuple(line.split('loss:')[1].split()[0] for line in log.splitlines() if 'Epoch(train)' in line))
    assert len(losses) == 1 and len(losses.pop()) == 2
    config = 'rooms_rgb-hha_small-resnet_frozen.py'
    log = call(tools['mmseg'] / 'train.py', config, '--work-dir', tmp_path / 'fcn', '--cfg-options', *options['train'],
               'train_cfg.max_iters=2', 'default_hooks.checkpoint.interval=2', 'train_dataloader.batch_size=4',
               'train_dataloader.dataset.num_samples=8', f'model.backbone.pretrained={tmp_path / "mmpretrain" / "epoch_1.pth"}')
    assert "loaded the encoder of 'rgb'" in log and "loaded the encoder of 'hha'" in log
    testing = tmp_path / 'fcn' / 'iter_2.pth', '--work-dir', tmp_path / 'test', '--cfg-options', *options['test']
    found = {figures(call(tool / 'test.py', config, *testing)) for tool in (ROOT / 'tools', tools['mmseg'], tools['mmpretrain'])}
    # The config that the run wrote, and a child of it.
    dumped = tmp_path / 'fcn' / config
    shutil.copy(dumped, tmp_path / 'dumped.py')
    (tmp_path / 'child.py').write_text("_base_ = './dumped.py'\nmodalities = dict(hha=None)\n")
    found.add(figures(call(ROOT / 'tools' / 'test.py', dumped, *testing)))
    assert len(found) == 1
    child = decur.build_model(tmp_path / 'child.py')
    assert list(child.backbone.modalities) == list(child.data_preprocessor.modalities) == ['rgb']

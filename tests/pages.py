"""The pages of the documents, run: what stands on a page, in its order and on small data, in an empty folder that looks like the checkout.

Commands are those that a shell makes of the page (:mod:`documented`); each tool runs in a fork of a process that has imported the package.
:data:`PAGES` says for each page what it takes for granted, what is made smaller, and what cannot be run here and why.
The tutorials need nothing of that: tests/test_tutorials.py.
"""
import contextlib
import dataclasses
import glob
import hashlib
import importlib.util
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import documented
import numpy as np
import torch
from documented import ROOT

sys.path.insert(0, str(ROOT / 'docs'))
import tutorials  # noqa: E402


class Page(NamedTuple):
    """How a page is run.

    Args:
        prepare (callable, optional): Writes what the page takes for granted into the current folder; returns names for its Python.
        first (tuple): Words of commands that the page uses before it shows them; they are run first.
        smaller (dict): Words and what stands in their place, before anything else.
        options (dict): What is added to the commands of a tool.
        not_run (dict): Words of a command or of a block of Python that is not run here, and why.
        after (callable, optional): Looks at what the page's Python defined, given by name.
        needs (tuple): Packages without which the page is skipped.
    """

    prepare: Callable | None = None
    first: tuple = ()
    smaller: dict = {}
    options: dict = {}
    not_run: dict = {}
    after: Callable | None = None
    needs: tuple = ()


def encoders(path: str, backbone: dict, **meta) -> Path:
    """A checkpoint of random encoders that describes itself, as training writes it."""
    from mmengine.registry import MODELS

    from decur.weights import save_file
    from decur.weights.metadata import describe
    torch.manual_seed(0)
    state = {f'backbone.{name}': value for name, value in MODELS.build(dict(backbone)).state_dict().items()}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(meta=dict(decur=describe(dict(type='MultimodalPretraining', backbone=backbone)), **meta), state_dict=state), Path(path))
    return Path(path)


def backbone_of(config: str, options: dict | None = None) -> dict:
    """The backbone of a config, with its modalities."""
    from decur.binding import bind
    from decur.engine import load_config
    return bind(load_config(config, options)).model.backbone.to_dict()


def untrained(config: str, path: str, options: dict | None = None) -> str:
    """A checkpoint of a config's whole model, not trained."""
    import decur
    from decur.engine import load_config
    from decur.weights import save_file
    from decur.weights.metadata import describe_config
    torch.manual_seed(0)
    cfg = load_config(config, options)
    state = decur.build_model(cfg).state_dict()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(meta=dict(decur=describe_config(cfg)), state_dict=state), Path(path))
    return path


def published(name: str, file: bool = False) -> None:
    """The file of a published name, with random numbers, where its download would lie."""
    import published as layouts

    from decur.weights import zoo
    entry = zoo.WEIGHTS[name]
    channels = dict(sar=2, optical=13)
    torch.manual_seed(0)
    parts = [layouts.resnet('', channels[modality]) for modality in entry.modalities]
    content = layouts.decur(parts, 2048) if len(parts) == 2 else parts[0]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    folder = Path('hub/checkpoints')
    folder.mkdir(parents=True, exist_ok=True)
    torch.hub.set_dir(str(folder.parent.resolve()))
    (folder / entry.file).write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    zoo.WEIGHTS[name] = dataclasses.replace(entry, sha256=digest[:len(entry.sha256)] if entry.sha256 else '')


def sites(folder: str, size: tuple = (80, 224)) -> None:
    """Two sites as configs/sites reads them."""
    from helpers import write_tif
    rng = np.random.default_rng(0)
    for name in ('one', 'two'):
        write_tif(Path(folder) / 'S1RTC' / f'{name}.tif', rng.normal(-12, 5, (*size, 2)).astype(np.float32))
        write_tif(Path(folder) / 'S2L1C' / f'{name}.tif', rng.integers(0, 4000, (*size, 13)).astype(np.uint16))
        write_tif(Path(folder) / 'DEM' / f'{name}.tif', rng.normal(300, 50, size).astype(np.float32))
        write_tif(Path(folder) / 'LULC' / f'{name}.tif', rng.integers(0, 10, size).astype(np.uint8))


def _run(*words: str) -> None:
    execute(words)


_SITES = 'configs/sites/sites_s1-s2_small-resnet_decur.py'
_CMX = 'configs/rooms/rooms_rgb-hha_cmx-mit-b0_finetune.py'
_NARROW = {'model.neck.hid_channels': 32, 'model.neck.out_channels': 32, 'model.head.common_dim': 24}


# What pages take for granted.

def _bands():
    published('decur_resnet50_ssl4eo-s12_optical')
    sites('data/sites_s1_s2_dem')
    import decur
    return dict(decur=decur, image=np.random.default_rng(0).integers(0, 4000, (64, 64, 4)).astype(np.float32))


def _encoders():
    import published as layouts
    encoders('work_dirs/ssl4eo_s1-s2_r50_decur/epoch_100.pth', backbone_of('configs/decur/ssl4eo_s1-s2_r50_decur.py'))
    torch.save(layouts.vit('', 2), 'vits16_ssl4eo-s12_sar_decur_ep100.pth')
    return dict(images=[np.random.default_rng(0).normal(-12, 5, (224, 224, 2)).astype(np.float32)])


def _explain():
    from decur.engine import load_config
    config = load_config(_SITES, _NARROW)
    untrained(_SITES, 'checkpoint.pth', _NARROW)
    rng = torch.Generator().manual_seed(0)
    return dict(cfg=config, sar=torch.randn(4, 2, 48, 48, generator=rng), optical=torch.randn(4, 13, 48, 48, generator=rng), K=32,
                mean=torch.zeros(32), std=torch.ones(32))


def _hub():
    import decur
    encoders('work_dirs/sites_s1-s2_small-resnet_decur/epoch_20.pth', backbone_of('configs/sites/sites_s1-s2_small-resnet_decur.py'))
    return dict(decur=decur)


def _install():
    _run('python', 'tools/generate_dataset.py', 'rooms', 'data/rooms', '--num-train', '4', '--num-test', '1', '--size', '64', '64',
         '--workers', '1')


def _rgbd():
    from PIL import Image
    _run('python', 'tools/generate_dataset.py', 'rooms', 'release', '--layout', 'sunrgbd', '--num-train', '2', '--num-test', '2',
         '--size', '72', '96', '--seed', '0')
    _run('python', 'tools/prepare_dataset.py', 'sunrgbd', 'release', 'data/rooms_sunrgbd')
    config = 'configs/rooms/rooms_rgb-hha_cmx-mit-b0_finetune.py'
    untrained(config, 'CHECKPOINT')
    for folder, name, target in (('rgb', 'room.jpg', 'IMAGES'), ('hha', 'room_hha.png', ''), ('depth', 'room_depth.png', 'DEPTH')):
        file = min(Path('data/rooms_sunrgbd', folder).iterdir())
        with Image.open(file) as image:
            image.save(name)
        if target:
            Path(target).mkdir()
            (Path(target) / file.name).write_bytes(file.read_bytes())
    depth = np.asarray(Image.open('room_depth.png')).astype(np.float32) / 1000
    return dict(depth=depth, filled=np.where(depth > 0, depth, 2).astype(np.float32), raw=depth, fx=60., fy=60., cx=48., cy=36.,
                CONFIG=config, CHECKPOINT='CHECKPOINT')


def _remote_sensing():
    _run('python', 'tools/generate_dataset.py', 'tiles', 'PATH', '--num', '2')
    sites('SITES')


def _scene_model():
    _run('python', 'benchmarks/scene.py', 'make', 'data/scene', '--chips', '4', '--size', '256')
    _run('python', 'tools/train.py', 'benchmarks/scene_model.py', *_TWO_STEPS)


def _scenes():
    from helpers import write_tif
    rng = np.random.default_rng(0)
    write_tif(Path('s1.tif'), rng.normal(-12, 5, (240, 240, 2)).astype(np.float32))
    write_tif(Path('s2.tif'), rng.integers(0, 4000, (240, 240, 4)).astype(np.uint16))
    encoders('decur.pth', backbone_of('benchmarks/scene_model.py'))


def _tools():
    _scene_model()
    sites('data/sites_s1_s2_dem')


def _architecture_holds(names):
    from mmengine.registry import MODELS
    assert sorted(MODELS.build(dict(type='MultimodalBackbone', modalities=names['modalities'])).streams) == ['optical', 'sar']


def _entries_hold(names):
    from decur.readers import build_reader
    for entry in ('dem', 'sar', 'opt'):
        assert type(build_reader(names[entry]['reader'])).__name__ == names[entry]['reader']['type']
    assert set(names['dataset']) == {'label', 'label_values'}


def _features_of(*modalities: str, length: int) -> Callable:
    def hold(names):
        assert sorted(names['features']) == list(modalities)
        assert all(x.shape == (1, length) and x.isfinite().all() for x in names['features'].values())
    return hold


def _heads_hold(names):
    import decur
    from decur.engine import load_config
    assert type(decur.build_model('segformer.py').decode_head).__name__ == 'SegformerHead'
    backbone = load_config('configs/heads/landcover_s1-s2_small-resnet_change.py').model.backbone
    assert {key: backbone[key] for key in names['model']['backbone']} == names['model']['backbone']


_MMPRETRAIN = os.path.dirname(importlib.util.find_spec('mmpretrain').origin)


def _weights():
    import decur
    published('decur_resnet50_ssl4eo-s12')
    untrained('configs/sites/sites_s1-s2_small-resnet_decur.py', 'checkpoint.pth')
    return dict(decur=decur)


def _weights_zoo():
    from helpers import write_tif
    published('decur_resnet50_ssl4eo-s12')
    rng = np.random.default_rng(0)
    write_tif(Path('s1.tif'), rng.normal(-12, 5, (224, 224, 2)).astype(np.float32))
    write_tif(Path('s2.tif'), rng.integers(0, 4000, (224, 224, 13)).astype(np.uint16))


def _small(*more: str) -> tuple:
    """Options of a training that lasts seconds."""
    return ('--cfg-options', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
            'train_dataloader.pin_memory=False', 'train_dataloader.batch_size=2', 'default_hooks.logger.interval=1', *more)


_ONE_EPOCH = _small('train_cfg.max_epochs=1', 'default_hooks.checkpoint.interval=1')
_TWO_STEPS = _small('train_cfg.max_iters=2', 'default_hooks.checkpoint.interval=2')
_NETWORK = 'needs the network'
_CLUSTER = 'needs GPUs or Slurm; tests/tools/test_train.py runs the scripts'
_DEVELOPMENT = 'sets up an environment or runs all tests; .ci/run'
_LARGE = 'encoders of full size; tests/test_remote_sensing_configs.py'

PAGES = {
    'README.md': Page(not_run={
        'make quickstart': 'its steps are those of tests/tools/test_quickstart.py', 'make test': _DEVELOPMENT,
        'tools/dist_train.sh': 'tests/test_readme.py', 'python tools/train.py': 'tests/test_readme.py',
        'python tools/test.py': 'tests/tools/test_train.py', 'python tools/table.py': 'tests/tools/test_paper_table.py',
        'tools/slurm_train.sh': _CLUSTER, 'import decur, torch': 'tests/test_readme.py'}),
    'CONTRIBUTING.md': Page(not_run={'make': _DEVELOPMENT, '.venv/bin': _DEVELOPMENT}),
    'docs/architecture.md': Page(after=_architecture_holds),
    'docs/bands.md': Page(_bands, smaller={'epoch_20': 'epoch_1'}, options={'python tools/train.py': _ONE_EPOCH}),
    'docs/benchmarks.md': Page(not_run={
        'example_data.py': 'tests/integrations/test_example_data.py', 'cd PANGAEA': 'needs a clone',
        'torchgeo-bench': 'needs the benchmark; tests/integrations/test_torchgeo_bench_model.py',
        'torchrun': 'needs a clone; tests/integrations/test_pangaea_encoder.py',
        'python tools/probe.py': 'goes on from docs/torchgeo.md; tests/configs/test_heads_configs.py'}),
    'docs/encoders.md': Page(_encoders, smaller={", sha256='...'": ''}),
    'docs/entries.md': Page(after=_entries_hold),
    'docs/explain.md': Page(_explain, not_run={
        'pip': _NETWORK, 'python tools/explain.py': 'docs/tutorials/explain_model.md runs it as decur explain'}),
    'docs/faults.md': Page(not_run={
        '--tries 200': 'minutes; tests/campaign/test_campaign.py', '--tries 50': 'minutes; tests/campaign/test_campaign.py'}),
    'docs/heads.md': Page(
        smaller={'--num-train 48 --num-test 12': '--num-train 2 --num-test 1', 'iters=60': 'iters=2', 'end=60': 'end=2',
                 'interval=60': 'interval=2', 'iter_60': 'iter_2', '--num-train 96 --num-test 24': '--num-train 2 --num-test 1',
                 'max_epochs=10': 'max_epochs=1', 'epoch_10': 'epoch_1'},
        options={'python tools/train.py': _small(), 'python tools/train.py configs/heads/landcover_rgb-dem_small-resnet_shares.py': (
            '--cfg-options', 'train_dataloader.dataset.num_samples=2')}, after=_heads_hold),
    'docs/hub.md': Page(_hub, not_run={'push_to_hub': 'needs the network; tests/apis/test_hub.py'}),
    'docs/install.md': Page(_install, options={'decur train': _ONE_EPOCH}, not_run={
        'make': 'installs; tests/package/outside.py', 'pip': _NETWORK, 'docker': 'needs a container engine and the network'}),
    'docs/ombria.md': Page(not_run={'git clone': _NETWORK, 'make ombria': 'hours; tests/tools/test_ombria_study.py'}),
    'docs/real_data.md': Page(not_run={'python tools/compare.py': 'hours; tests/tools/test_compare.py'}),
    'docs/remote_sensing.md': Page(
        _remote_sensing, smaller={
            '--num-train 100 --num-test 20': '--num-train 1 --num-test 1 --size 32', '--num-train 400 --size 96': '--num-train 2 --size 48',
            '--num-train 300 --num-test 300 --size 96': '--num-train 2 --num-test 2 --size 48',
            '--num-train 800 --num-test 100 --size 128': '--num-train 2 --num-test 1 --size 64',
            'ssl4eo SRC OUT': 'ssl4eo data/landcover/release STORE',
            'ssl4eo DOWNLOADS': 'ssl4eo data/landcover/release', 'bigearthnet DOWNLOADS': 'bigearthnet data/landcover/bigearthnet',
            'geonrw DOWNLOADS': 'geonrw data/landcover/geonrw', '--workers 8': '--workers 1', 'epoch_40': 'epoch_1', 'epoch_24': 'epoch_1',
            'epoch_20': 'epoch_1', 'epoch_30': 'epoch_1', 'iter_300': 'iter_2'},
        options={
            'python tools/train.py configs/landcover': _ONE_EPOCH, f'python tools/train.py {_SITES}': _ONE_EPOCH,
            'python tools/train.py configs/landcover/landcover_rgb-dem_small-resnet_frozen': (
                '--cfg-options', 'train_dataloader.dataset.num_samples=2'),
            'python tools/train.py configs/sites/sites_s1-s2_small-resnet_frozen': _TWO_STEPS},
        not_run={'tools/dist_train.sh': _CLUSTER, 'configs/classification/': _LARGE, 'configs/fcn/': _LARGE,
                 '--split train': 'archives of 500 GB; tests/prepare/test_prepare_scenes.py'}),
    'docs/rgbd.md': Page(
        _rgbd, smaller={
            '--num-train 1000 --num-test 150': '--num-train 2 --num-test 2', 'for seed in 0 1 2': 'for seed in 0',
            'for start in decur random': 'for start in decur', 'epoch_8': 'epoch_1',
            ' rooms_rgb_cmx-mit-b0_finetune rooms_rgb_fcn-mit-b0_finetune': '', 'CONFIG CHECKPOINT': f'{_CMX} CHECKPOINT',
            '518.86 519.47 325.58 253.74': '60 60 48 36',
            '518.86, 519.47, 325.58, 253.74': '60., 60., 48., 36.'},
        options={'python tools/train.py': _ONE_EPOCH, f'python tools/train.py {_CMX}': (
            '--cfg-options', 'train_dataloader.dataset.num_samples=2', 'train_cfg.val_begin=1', 'train_cfg.val_interval=1')},
        not_run={'tools/export_onnx.py': 'a quarter of a minute; tests/apis/test_apis.py'}),
    'docs/scale.md': Page(smaller={'--num-train 64': '--num-train 2 --size 24'}, not_run={
        'tools/dist_train.sh': _CLUSTER, 'tools/slurm_train.sh': _CLUSTER,
        'python tools/inspect_dataset.py data/ssl4eo-s12-v1.1': '500 GB; tests/datasets/test_shards.py',
        'hf://datasets': 'needs the network; tests/datasets/test_shards.py',
        'model.micro_batch=64': 'encoders of full size; tests/models/test_gradient_caching.py'}),
    'docs/scenes.md': Page(
        _scenes, first=('scene.py make', 'python tools/train.py'), smaller={'iter_100': 'iter_2', ' --geoparquet': ''},
        options={'python benchmarks/scene.py make': ('--chips', '4', '--size', '256'), 'python tools/train.py': _TWO_STEPS},
        not_run={'scene.py measure': 'times the command above in a process of its own',
                 'import geopandas': 'needs geopandas; tests/apis/test_scene_features.py'},
        after=_features_of('optical', 'sar', length=128)),
    'docs/tools.md': Page(
        _tools, smaller={
            'iter_100': 'iter_2', '$(python -c "import mmpretrain; print(mmpretrain.__path__[0])")': _MMPRETRAIN, 'CONFIG': _SITES},
        options={'python tools/train.py': _ONE_EPOCH}, not_run={'MLflowVisBackend': 'needs mlflow', 'WandbVisBackend': 'needs an account'}),
    'docs/torchgeo.md': Page(
        smaller={'--num-train 64 --num-validation 8 --num-test 32': '--num-train 4 --num-validation 1 --num-test 2',
                            'max_epochs=2': 'max_epochs=1', 'epoch_2': 'epoch_1'},
        options={'python tools/train.py': _small()}, not_run={
            'from terratorch': 'needs TerraTorch; tests/weights/test_export_torchgeo.py'}, needs=('torchgeo',)),
    'docs/weights.md': Page(
        _weights, smaller={'SRC DST --config CONFIG': f'checkpoint.pth converted.pth --config {_SITES}'},
        not_run={'--download': 'needs the network; tests/weights/test_zoo.py',
                 'python tools/train.py CONFIG': 'forms of one option; tests/weights/test_zoo.py'}),
    'docs/weights_zoo.md': Page(_weights_zoo, after=_features_of('optical', 'sar', length=2048)),
}


def blocks(document: str) -> list:
    """What is run of a page: its blocks of commands and of Python."""
    return [block for block in documented.blocks(document) if block.language in ('bash', 'python')]


def execute(words: tuple) -> str:
    """Standard output of a command, in a fork where it is a program of Python.

    Raises:
        RuntimeError: If it fails, with what it wrote.
    """
    words = [path for word in words for path in (sorted(glob.glob(word)) if '*' in word else ()) or [word]]  # as the shell does
    if words[0] == 'python':
        def program():
            sys.argv = list(words[1:])
            sys.path.insert(0, str((ROOT / words[1]).parent))
            runpy.run_path(words[1], run_name='__main__')
    elif words[0] == 'decur':
        def program():
            from decur_command import main
            main(list(words[1:]))
    else:
        assert words[0] in documented.SHELL, f'{" ".join(words)}: tests/pages.py has to say why this is not run'
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=tutorials.TIMEOUT).stdout
    return tutorials.forked(program, ' '.join(words))


def run(document: str) -> list:
    """Run a page in the current folder, which is empty.

    Returns:
        list: What was run: commands, first lines of Python, files that were written.
    """
    page = PAGES[document]
    for name in ('configs', 'tools', 'benchmarks', 'docs', 'tests', 'integrations'):
        Path(name).symlink_to(ROOT / name)
    sys.path.insert(0, os.getcwd())
    names = {'__name__': '__main__', **((page.prepare or dict)() or {})}
    done = []
    planned = [step for block in blocks(document) for step in steps(page, block)]
    for block, step in sorted(planned, key=lambda pair: not any(words in ' '.join(pair[1]) for words in page.first)):
        if block.title:
            Path(block.title).write_text(step, encoding='utf-8')
        elif block.language == 'python':
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(step, f'{document}:{block.line}', 'exec'), names)
        else:
            execute(step)
        done.append(block.title or step)
    if page.after:
        page.after(names)
    return done


def steps(page: Page, block: documented.Block) -> list:
    """``(block, step)`` of a block: a text of Python or a command's words, made smaller, less what is not run."""
    text = made_smaller(page, block.text)
    if block.language == 'python':
        return [] if left_out(page, text) else [(block, text)]
    found = []
    for words in documented.shell_words(text, everything=True):
        line = ' '.join(words)
        if not left_out(page, line):
            more = [word for beginning, added in page.options.items() if line.startswith(beginning) for word in added]
            found.append((block, (*words, *more)))
    return found


def made_smaller(page: Page, text: str) -> str:
    """A block with other words where the page has them."""
    for old, new in page.smaller.items():
        text = text.replace(old, new)
    return text


def left_out(page: Page, text: str) -> bool:
    """Whether a command or a block of Python is one that the page names as not run."""
    return any(words in text for words in page.not_run)

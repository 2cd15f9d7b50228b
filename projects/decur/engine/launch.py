"""Start a run: one process or many, on GPUs or on a CPU-only machine, from one config.

``tools/train.py`` and ``tools/test.py`` call :func:`load_config` and :func:`prepare`, then MMEngine's Runner.
"""
import os
import random
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from torch import nn

from decur.errors import ConfigError
from decur.shipped import find_config

from .allocator import keep_freed_memory
from .options import apply_options, check_top_level
from .parent import end_with_parent

#: Samples of each data set that are read before a run starts.
FIRST_SAMPLES = 8


def load_config(path: str, options: Mapping | None = None, work_dir: str | None = None) -> Config:
    """Read a config, apply ``--cfg-options`` and settle the work directory.

    Args:
        path (str): The config file, or the name of a config of the package (:func:`~decur.shipped.find_config`).
        options (dict, optional): Overrides by dotted key (:func:`~decur.engine.options.apply_options`).
        work_dir (str, optional): Where logs and checkpoints go. Defaults to the config's, or ``work_dirs/<config name>``.

    Returns:
        Config: Ready for :func:`prepare`.

    Raises:
        ConfigError: If the file does not exist or cannot be read, or a key at its top or of an option is one that nothing reads.
    """
    path = find_config(path)
    try:
        cfg = Config.fromfile(path)
    except (ConfigError, KeyboardInterrupt):
        raise
    except Exception as error:  # a config is a program: anything may go wrong in it
        raise ConfigError(f'config {str(path)!r} cannot be read: {_reason(error)}') from error
    check_top_level(cfg)
    if options:
        apply_options(cfg, options)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(path).stem)
    return cfg


def _reason(error: Exception) -> str:
    """Why a config cannot be read, with the line where that is known."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: {error.msg}'
    last = traceback.extract_tb(error.__traceback__)[-1]
    # A config, or one that it is based on, is compiled under its own name; anything else is MMEngine's or a library's line.
    where = '' if 'site-packages' in last.filename or not last.filename.endswith('.py') else f'{last.filename}, line {last.lineno}: '
    return f'{where}{type(error).__name__}: {error}'


def prepare(cfg: Config, launcher: str = 'none', amp: bool = False) -> Config:
    """Fit a config to the machine and start the process group where MMEngine cannot.

    MMEngine sets a CUDA device before it starts a group, so on a CPU-only machine the (gloo) group is started here, and the model
    wrapper gets no device. There the memory of a step is kept for the next
    (:func:`~decur.engine.allocator.keep_freed_memory`). ``amp`` chooses bfloat16 autocast on a CPU and on a GPU
    that has it, float16 with a loss scale on an older one, unless the config names a ``dtype``.

    Args:
        cfg (Config): As from :func:`load_config`.
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        amp (bool): Train in mixed precision.

    Returns:
        Config: The same, changed in place.
    """
    cfg.launcher = launcher
    cfg.setdefault('runner_type', 'MultimodalRunner')
    if launcher == 'pytorch':
        end_with_parent()
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        keep_freed_memory()
    if launcher != 'none' and on_cpu:
        start_cpu_group(launcher)
    if is_distributed() and on_cpu:
        wrapper = dict(cfg.get('model_wrapper_cfg') or {}, type='GlooDistributedDataParallel')
        # torch's SyncBatchNorm is for GPUs; the wrapper's computes the same with gloo.
        wrapper['sync_bn'] = cfg.pop('sync_bn', None) is not None
        cfg.model_wrapper_cfg = wrapper
    if amp:
        wrapper = cfg.optim_wrapper
        wrapper.type = 'CpuBf16OptimWrapper' if on_cpu else 'AmpOptimWrapper'
        if not on_cpu:
            wrapper.setdefault('dtype', 'bfloat16' if torch.cuda.is_bf16_supported(including_emulation=False) else 'float16')
            # bfloat16 has the range of float32, so nothing needs to be scaled.
            wrapper.setdefault('loss_scale', dict(enabled=False) if wrapper.dtype == 'bfloat16' else 'dynamic')
    elif on_cpu and cfg.get('optim_wrapper', {}).get('type') == 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'CpuBf16OptimWrapper'
        cfg.optim_wrapper.pop('loss_scale', None)
    return cfg


def prepare_test(cfg: Config, checkpoint: str, tta: bool = False, allow_missing: Sequence[str] = ()) -> Config:
    """Fit a config to the test of a checkpoint.

    Args:
        cfg (Config): As from :func:`prepare`.
        checkpoint (str): The file under test; the encoders come from it too, not from ``model.backbone.pretrained``.
        tta (bool): Test at several scales and flipped, as the config's ``tta_pipeline`` says.
        allow_missing (Sequence[str]): Components of the model that the file may lack.

    Returns:
        Config: The same, changed in place.

    Raises:
        ConfigError: If the config has no test data, or no ``tta_pipeline`` where that is asked for.
    """
    if not cfg.get('test_dataloader'):
        raise ConfigError(f'{cfg.filename} has no test_dataloader: it is a pretraining config. Test a transfer config that loads its '
                          'encoders (model.backbone.pretrained=CHECKPOINT).')
    cfg.load_from, cfg.resume = checkpoint, False
    if allow_missing:
        cfg.allow_missing = list(allow_missing)
    if cfg.model.get('backbone', {}).get('pretrained'):
        cfg.model.backbone.pretrained = None
    if tta:
        if 'tta_pipeline' not in cfg:
            raise ConfigError(f'{cfg.filename} has no tta_pipeline, which --tta needs.')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.get('tta_model') or dict(type='SegTTAModel'), module=cfg.model)
    return cfg


def check_batches(runner) -> None:
    """Refuse a training set that gives no batch, or batches of one sample where the model normalises over the batch.

    With ``drop_last`` and fewer samples than a batch every epoch would end at once, and nothing would be learnt.

    Args:
        runner (Runner): Before it trains. Its training loop is built here.

    Raises:
        ConfigError: If a process's share of the samples is smaller than a batch, or a batch has one sample.
    """
    loader = runner.train_loop.dataloader
    # The number of samples that this process draws, where the sampler says it.
    share = len(loader.sampler)
    processes = f' ({share} for each of {runner.world_size} processes)' if runner.world_size > 1 else ''
    if len(loader) == 0:
        cure = f'Set train_dataloader.batch_size to at most {share}, or give more samples.' if share > 1 else 'Give more samples.'
        raise ConfigError(f'the training set has {len(loader.dataset)} samples{processes}, fewer than one batch of {loader.batch_size}, '
                          f'and drop_last leaves incomplete batches out: nothing would be trained. {cure}')
    # PyTorch's BatchNorm1d, of the projector, refuses a single vector. Several processes may share their statistics.
    last = share % loader.batch_size if isinstance(share, int) and not loader.drop_last else 0
    if 1 in (loader.batch_size, last) and runner.world_size == 1 and any(isinstance(m, nn.BatchNorm1d) for m in runner.model.modules()):
        what = 'train_dataloader.batch_size is 1' if loader.batch_size == 1 else (
            f'the last batch of an epoch would hold 1 of {len(loader.dataset)} samples')
        raise ConfigError(f'{what}, and the projector\'s batch normalisation needs at least 2: set train_dataloader.batch_size to at least '
                          '2, and train_dataloader.drop_last=True where a single sample is left over.')


def check_samples(dataset) -> None:
    """Read a few samples, evenly spread over a data set, so that what is wrong with all of them, or with the validation data, is said now.

    The random numbers of the run are left as they were, and OpenCV starts no threads, which processes that are forked later would lack.

    Args:
        dataset (Dataset): Its errors pass through. One without a length is left alone.
    """
    if not hasattr(dataset, '__len__'):
        return
    states, threads = (random.getstate(), np.random.get_state(), torch.get_rng_state()), cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for index in np.unique(np.linspace(0, len(dataset) - 1, FIRST_SAMPLES).astype(int)).tolist() if len(dataset) else ():
            dataset[index]
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        cv2.setNumThreads(threads)


def start_cpu_group(launcher: str) -> None:
    """Start a gloo process group from the launcher's environment.

    Raises:
        ConfigError: If the launcher set no rank.
    """
    if is_distributed():
        return
    if launcher == 'slurm' and 'SLURM_PROCID' in os.environ:
        os.environ.setdefault('RANK', os.environ['SLURM_PROCID'])
        os.environ.setdefault('WORLD_SIZE', os.environ['SLURM_NTASKS'])
        os.environ.setdefault('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))
        os.environ.setdefault('MASTER_PORT', '29500')
        nodes = os.environ.get('SLURM_JOB_NODELIST', os.environ.get('SLURM_NODELIST', '127.0.0.1'))
        os.environ.setdefault('MASTER_ADDR', _first_host(nodes))
    if launcher == 'mpi' and 'OMPI_COMM_WORLD_RANK' in os.environ:
        os.environ.setdefault('RANK', os.environ['OMPI_COMM_WORLD_RANK'])
        os.environ.setdefault('WORLD_SIZE', os.environ['OMPI_COMM_WORLD_SIZE'])
        os.environ.setdefault('LOCAL_RANK', os.environ['OMPI_COMM_WORLD_LOCAL_RANK'])
    missing = [key for key in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if key not in os.environ]
    if missing:
        raise ConfigError(f'launcher {launcher!r} set no {missing}: start with tools/dist_train.sh, tools/slurm_train.sh or torchrun.')
    torch.distributed.init_process_group('gloo')


def _first_host(nodes: str) -> str:
    """First host of a Slurm node list such as ``node[01-04,07]``."""
    head, bracket, rest = nodes.partition('[')
    if not bracket or ',' in head:
        return nodes.split(',')[0]
    return head + rest.split(']')[0].split(',')[0].split('-')[0]

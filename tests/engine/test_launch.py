import copy
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from decur.engine.launch import _first_host, check_batches, load_config, prepare, start_cpu_group
from decur.errors import ConfigError


@pytest.mark.parametrize('nodes, first', [('node01', 'node01'), ('node[01-04,07]', 'node01'), ('a1,b2', 'a1'), ('gpu-a[3,5]', 'gpu-a3')])
def test_first_host_of_a_slurm_list(nodes, first):
    assert _first_host(nodes) == first


def test_amp_picks_what_the_machine_can(monkeypatch):
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))))
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert prepare(copy.deepcopy(cfg), amp=True).optim_wrapper.type == 'CpuBf16OptimWrapper'
    amp = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', optimizer=dict(type='SGD', lr=0.1))))
    assert 'loss_scale' not in prepare(amp.copy()).optim_wrapper
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    for able, dtype, scaled in ((True, 'bfloat16', dict(enabled=False)), (False, 'float16', 'dynamic')):
        monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation, able=able: able)
        wrapper = prepare(copy.deepcopy(cfg), amp=True).optim_wrapper
        assert (wrapper.type, wrapper.dtype, wrapper.loss_scale) == ('AmpOptimWrapper', dtype, scaled)
    named = Config(dict(optim_wrapper=dict(cfg.optim_wrapper, dtype='float16')))
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation: True)
    assert prepare(named, amp=True).optim_wrapper.loss_scale == 'dynamic'


def test_a_launcher_without_ranks_is_explained(monkeypatch):
    for key in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(key, raising=False)
    with pytest.raises(ConfigError, match='dist_train.sh'):
        start_cpu_group('pytorch')


def test_work_dir_and_options(tmp_path):
    cfg = load_config('configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', {'train_cfg.max_epochs': 3})
    assert cfg.work_dir.endswith('work_dirs/rooms_rgb-hha_small-resnet_decur') and cfg.train_cfg.max_epochs == 3
    assert load_config('configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', work_dir=str(tmp_path)).work_dir == str(tmp_path)


def test_a_training_set_smaller_than_a_batch_is_refused():
    def runner(batch_size, drop_last):
        loader = DataLoader(range(12), batch_size=batch_size, drop_last=drop_last)
        return SimpleNamespace(world_size=1, train_loop=SimpleNamespace(dataloader=loader))
    with pytest.raises(ConfigError, match='12 samples, fewer than one batch of 16.*batch_size to at most 12'):
        check_batches(runner(16, True))
    check_batches(runner(16, False))
    check_batches(runner(12, True))

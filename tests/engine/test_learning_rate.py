"""--auto-scale-lr: Barlow Twins' table for LARS, linear scaling for others."""
from types import SimpleNamespace

import pytest
import torch
from helpers import bound_config
from mmengine.optim import OptimWrapper

from decur.engine import ForeachLARS
from decur.engine.learning_rate import BASE_RATES, rate, scale_factor, scale_learning_rate
from decur.errors import ConfigError


def test_the_table():
    assert {size: rate(size) * 256 / size for size in BASE_RATES} == pytest.approx(BASE_RATES)
    assert rate(4096) == pytest.approx(2 * rate(2048)) and rate(64) == pytest.approx(rate(128) / 2)
    sizes = [32, 64, 128, 200, 256, 400, 512, 1024, 1500, 2048, 4096]
    rates = [rate(size) for size in sizes]
    assert rates == sorted(rates) and len(set(rates)) == len(rates)
    assert (rate(512) * 256 / 512)**2 == pytest.approx(.4 * .25), 'the geometric mean half way between 256 and 1024'


@pytest.mark.parametrize('lars, size, factor', [(True, 1024, 2.5), (True, 128, .875), (True, 256, 1), (False, 64, .25), (False, 512, 2)])
def test_groups_are_scaled(lars, size, factor):
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [dict(params=[parameters[0]], lr=.2), dict(params=[parameters[1]], lr=.0048)]
    optimizer = ForeachLARS(groups, lr=.2) if lars else torch.optim.SGD(groups, lr=.2)
    said = []
    runner = SimpleNamespace(_train_dataloader=dict(batch_size=size // 2), world_size=2, logger=SimpleNamespace(info=said.append))
    scale_learning_rate(runner, OptimWrapper(optimizer), dict(enable=True, base_batch_size=256))
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([.2 * factor, .0048 * factor])
    assert scale_factor(size, 256, lars) == pytest.approx(factor) and f'a step has {size}' in said[0]
    for options in (None, dict(), dict(enable=False, base_batch_size=8)):
        scale_learning_rate(runner, OptimWrapper(optimizer), options)
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([.2 * factor, .0048 * factor])
    with pytest.raises(ConfigError, match='base_batch_size'):
        scale_learning_rate(runner, OptimWrapper(optimizer), dict(enable=True))


def test_the_configs_say_what_their_rate_is_for():
    for name, processes in (('geonrw_rgb-dem_r50', 4), ('ssl4eo_s1-s2_r50', 4), ('sunrgbd_rgb-hha_r50', 4), ('terramesh_s1-s2-dem_r50', 4)):
        cfg = bound_config(f'decur/{name}_decur.py')
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size and not cfg.auto_scale_lr.enable

import copy

import pytest
import torch
import torch.distributed as dist
from forked import run_processes
from mmcv.cnn import build_norm_layer
from torch import nn

import decur  # noqa: F401
from decur.models.layers import AllReduceBN, convert_batch_norm


def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=0.3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6, momentum=None),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 16), nn.BatchNorm1d(16, affine=False), nn.ReLU(), nn.Linear(16, 8),
        nn.BatchNorm1d(8, track_running_stats=False))


def data(n, dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    return (torch.randn(n, 3, 9, 9, generator=g, dtype=torch.float64) * 3 + 2).to(dtype), torch.randn(
        n, 8, generator=g, dtype=torch.float64).to(dtype)


def steps(model, x, target, reduce=lambda grad: None):
    """Two steps, so that running statistics move twice; gradients of parameters and of the input."""
    out = []
    for _ in range(2):
        x = x.detach().requires_grad_()
        model.zero_grad()
        (model(x) - target).square().sum().backward()
        for p in model.parameters():
            reduce(p.grad)
        out += [x.grad, *(p.grad.clone() for p in model.parameters())]
    return out


def _run(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    results = {}
    for index, counts in enumerate(([3, 5], [8, 0])):
        start = sum(counts[:rank])
        x, target = (t[start:start + counts[rank]] for t in data(8))
        model = convert_batch_norm(build()).double()
        grads = steps(model, x.to(memory_format=torch.channels_last), target, dist.all_reduce)
        results[index] = dict(grads=grads, buffers=[b.clone() for b in model.buffers()], out=model.eval()(data(8)[0]).detach())
    layer = convert_batch_norm(nn.BatchNorm2d(3))
    x = data(8, torch.bfloat16)[0].chunk(2)[rank]
    results['bfloat16'] = layer(x).detach()
    try:
        AllReduceBN(3)(torch.randn(1 - rank, 3))
    except ValueError as error:
        results['one value'] = str(error)
    torch.save(results, f'{folder}/{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gloo')
    run_processes(_run, (str(folder), ), 2)
    return [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in range(2)]


@pytest.mark.parametrize('index, counts', [(0, [3, 5]), (1, [8, 0])])
def test_two_processes_equal_one(results, index, counts):
    model = build().double()
    x, target = data(8)
    want = steps(model, x, target)
    for rank, result in enumerate(results):
        start = sum(counts[:rank])
        per_step = len(want) // 2
        for i, (got, expected) in enumerate(zip(result[index]['grads'], want)):
            if i % per_step == 0:  # the input's
                expected = expected[start:start + counts[rank]]
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
        for got, expected in zip(result[index]['buffers'], model.buffers()):
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    # The last layer has no running statistics, so in eval mode it still normalises by the batch: of both processes together.
    # Each gave the same batch, so the result is that of one.
    want = model.eval()(x)
    for result in results:
        torch.testing.assert_close(result[index]['out'], want, rtol=1e-9, atol=1e-9)


def test_bfloat16_and_a_single_value(results):
    want = nn.BatchNorm2d(3)(data(8, torch.bfloat16)[0].float())
    got = torch.cat([result['bfloat16'] for result in results])
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), want, rtol=0.02, atol=0.02)
    assert all('more than 1 value per channel in all processes' in result['one value'] for result in results)


def test_conversion_keeps_parameters_names_and_settings():
    model = build().eval()
    model[1].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    parameters = list(model.parameters())
    x = data(4, torch.float32)[0]
    want = model(x)
    converted = convert_batch_norm(model)
    assert [type(m).__name__ for m in converted if 'Batch' in type(m).__name__ or isinstance(m, AllReduceBN)] == ['AllReduceBN'] * 4
    assert all(a is b for a, b in zip(converted.parameters(), parameters))
    assert list(converted.state_dict()) == list(before)
    assert converted[1].momentum == 0.3 and converted[4].momentum is None and not converted[8].affine and not converted[1].training
    assert torch.equal(converted(x), want)
    assert isinstance(convert_batch_norm(nn.BatchNorm1d(4)), AllReduceBN)


def test_one_process_is_the_ordinary_batch_norm_and_configs_can_ask_for_it():
    name, layer = build_norm_layer(dict(type='AllReduceBN', momentum=0.2), 3, postfix=1)
    assert name == 'bn1'
    plain = nn.BatchNorm2d(3, momentum=0.2)
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(layer(x), plain(x)) and torch.equal(layer.running_var, plain.running_var)

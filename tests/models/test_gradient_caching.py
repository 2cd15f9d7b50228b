"""Gradient caching: the loss and the gradient of one pass over the whole batch, whatever the micro-batches, in one process and in two."""
import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers import entries
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn import functional as F

from decur.engine import GlooDistributedDataParallel
from decur.errors import ConfigError
from decur.models import MultimodalPretraining

N = 11


def model(micro_batch=None, batch_norm=False, dropout=0., double=True, **kwargs):
    torch.manual_seed(0)
    net = MultimodalPretraining(
        backbone=dict(type='MultimodalBackbone', modalities=entries(), **kwargs),
        neck=dict(type='MultimodalProjector', hid_channels=24, out_channels=16), head=dict(type='DeCURHead', common_dim=12),
        micro_batch=micro_batch).train()
    if not batch_norm:
        _replace(net.backbone)
    if dropout:
        for stream in net.backbone.streams.values():
            stream.encoder.conv1.register_forward_hook(lambda module, inputs, out: F.dropout(out, dropout, module.training))
    return net.double() if double else net


def _replace(module):
    """Group norms, which have no batch statistics, in place of batch norms."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(4, child.num_features))
        else:
            _replace(child)


def views(n=N, size=16):
    generator = torch.Generator().manual_seed(1)
    return {name: [torch.randn(n, e['channels'], size, size, generator=generator).double() for _ in range(2)]
            for name, e in entries().items()}


def gradients(net, batch, samples=None):
    loss = net.loss(batch, samples)['loss']
    loss.backward()
    return loss.item(), {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def assert_same(a, b, rtol=1e-9):
    assert a[0] == pytest.approx(b[0], rel=rtol) and set(a[1]) == set(b[1]) and a[1]
    largest = max(float(expected.abs().max()) for expected in a[1].values())
    for name, expected in a[1].items():  # some gradients are 0 but for rounding
        assert torch.allclose(expected, b[1][name], rtol=rtol, atol=rtol * float(expected.abs().max()) + 1e-12 * largest), name


@pytest.mark.parametrize('micro_batch', [4, 5, 11, 64])
def test_the_gradient_is_that_of_one_pass(micro_batch):
    """Also the projectors', whose batch norm has the statistics of the whole batch."""
    assert_same(gradients(model(), views()), gradients(model(micro_batch), views()))


def test_a_smaller_batch_has_another_gradient():
    """What accumulating over batches of 4 would give is not the gradient of 8: the test above can fail."""
    batch = views(8)
    whole = gradients(model(), batch)[1]
    net = model()
    for start in (0, 4):
        (net.loss({name: [x[start:start + 4] for x in pair] for name, pair in batch.items()})['loss'] / 2).backward()
    name = 'backbone.streams.sar.encoder.conv1.weight'
    accumulated = dict(net.named_parameters())[name].grad
    assert not torch.allclose(whole[name], accumulated, rtol=.1, atol=.1 * float(whole[name].abs().max()))


def test_samples_that_lack_a_modality():
    samples = [DataSample() for _ in range(N)]
    for i in (0, 3, 4, 9):
        samples[i].set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
    assert_same(gradients(model(), views(), samples), gradients(model(4), views(), samples))


def test_streams_that_interact():
    kwargs = dict(interactions={'3': dict(type='CrossDA', num_heads=2, groups=2, stride=1, kernel_size=3, map_size=1)})
    assert_same(gradients(model(**kwargs), views(size=32)), gradients(model(4, **kwargs), views(size=32)))


def test_batch_norm_has_the_statistics_of_a_micro_batch_and_counts_it_once():
    """The gradient is that of the model whose encoders normalise over parts of 4, 4 and 3, and the running statistics are its own."""
    cached, plain = model(4, batch_norm=True), model(batch_norm=True)
    batch = views()

    def by_parts(inputs):
        whole = [type(plain).extract_feat(plain, {name: x.tensor_split(3)[i] for name, x in inputs.items()}) for i in range(3)]
        return {name: torch.cat([part[name] for part in whole]) for name in inputs}

    plain.extract_embeddings = lambda inputs: plain.neck(by_parts(inputs))
    assert_same(gradients(plain, batch), gradients(cached, batch))
    for name, expected in plain.named_buffers():
        assert torch.allclose(expected, dict(cached.named_buffers())[name], rtol=1e-9), name
    assert int(cached.backbone.streams['sar'].encoder.bn1.num_batches_tracked) == 6
    assert cached.backbone.streams['sar'].encoder.bn1.momentum == plain.backbone.streams['sar'].encoder.bn1.momentum != 0


def test_random_layers_draw_the_same_twice():
    """With dropout the gradient of the second pass fits the features of the first: a finite difference along it says so."""
    net = model(4, dropout=.5)
    batch = views()
    torch.manual_seed(7)
    loss, found = gradients(net, batch)
    weight = net.backbone.streams['optical'].encoder.conv1.weight
    step = 1e-6 * found['backbone.streams.optical.encoder.conv1.weight'] / found['backbone.streams.optical.encoder.conv1.weight'].norm()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step)
        torch.manual_seed(7)
        values.append(net.loss(batch)['loss'].item())
        with torch.no_grad():
            weight.sub_(sign * step)
    slope = (values[0] - values[1]) / 2e-6
    assert slope == pytest.approx(found['backbone.streams.optical.encoder.conv1.weight'].norm().item(), rel=1e-4)
    state = torch.get_rng_state()
    torch.manual_seed(7)
    gradients(net, batch)
    assert torch.equal(torch.get_rng_state(), state), 'the backward pass draws nothing from the generator of the run'


def test_mixed_precision_is_that_of_the_first_pass():
    batch = {name: [x.float() for x in pair] for name, pair in views().items()}
    found = []
    for micro_batch in (None, 4):
        net = model(micro_batch, double=False)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = net.loss(batch)['loss']
        loss.backward()
        found.append((loss.item(), {name: p.grad for name, p in net.named_parameters()}))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
    for name, expected in found[0][1].items():
        assert (expected - found[1][1][name]).norm() < .05 * expected.norm() + 1e-6, name


def test_evaluation_and_frozen_parts_are_left_alone():
    net = model(4)
    net.eval()
    with torch.no_grad():
        single = {name: pair[0] for name, pair in views().items()}
        assert torch.equal(net.extract_embeddings(single)['sar'], copy.deepcopy(net).extract_embeddings(single)['sar'])
    net = model(4)
    net.backbone.streams['sar'].requires_grad_(False)
    grads = gradients(net, views())[1]
    assert not [name for name in grads if 'streams.sar' in name] and [name for name in grads if 'streams.optical' in name]


@pytest.mark.parametrize('value', [1, 3, 0, -4, 2.5, True, 'auto'])
def test_options_that_cannot_be(value):
    with pytest.raises(ConfigError, match='micro_batch'):
        model(value)


def _train(rank, folder, micro_batch, counts):
    os.environ.update(MASTER_ADDR='127.0.0.1', RANK=str(rank), WORLD_SIZE='2')
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    net = GlooDistributedDataParallel(model(micro_batch), sync_bn=True)
    start = sum(counts[:rank])
    batch = {name: [x[start:start + counts[rank]] for x in pair] for name, pair in views().items()}
    losses = net(batch, mode='loss')
    losses['loss'].backward()
    torch.save((losses['loss'].item(), {name: p.grad for name, p in net.module.named_parameters()}), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.parametrize('counts', [(6, 5), (9, 2)])
def test_two_processes_give_the_gradient_of_one(tmp_path, counts):
    """The processes have other numbers of micro-batches of their own, and wait for each other in the projectors' batch norm."""
    mp.start_processes(_train, (str(tmp_path), 4, counts), nprocs=2, start_method='fork')
    alone = gradients(model(), views())
    for rank in range(2):
        assert_same(alone, torch.load(tmp_path / f'{rank}.pth'), rtol=1e-6)


def test_the_whole_step_normalises_by_parts():
    """8-bit views as the loader gives them, through preprocessor and loss: the numbers of the plain step; no normalised batch is kept."""
    generator = torch.Generator().manual_seed(2)
    data = {name: [torch.randint(0, 256, (N, e['channels'], 16, 16), generator=generator, dtype=torch.uint8) for _ in range(2)]
            for name, e in entries().items()}
    results = []
    for micro_batch in (None, 4):
        net = model(micro_batch, double=False)
        batch = net.data_preprocessor(dict(inputs=data, data_samples=None), True)
        assert isinstance(batch['inputs']['sar'][0], torch.Tensor) == (micro_batch is None)
        results.append(gradients(net, batch['inputs']))
        evaluated = net.data_preprocessor(dict(inputs=data, data_samples=None), False)
        assert isinstance(evaluated['inputs']['sar'][0], torch.Tensor)
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
    for name, expected in results[0][1].items():
        assert (expected - results[1][1][name]).norm() <= 1e-3 * expected.norm() + 1e-5, name

"""Run in every process by test_distributed.py; a module of its own so that spawned processes can import it."""
from functools import partial

import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from objective_reference import make_embeddings
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from decur.models import decur_loss
from decur.models.layers import convert_batch_norm
from decur.models.objectives import barlow_twins_loss, clip_loss, simclr_loss, vicreg_loss
from decur.models.teacher import loss_with_teacher

WIDTH = 24


def head(embeddings, present=None, **kwargs):
    """The loss of a head, with its terms; the mean diagonals of the log are sums of both signs, near 0."""
    out = MODELS.build(dict(kwargs, statistics=False)).loss(embeddings, present)
    return {name: value for name, value in out.items() if not name.startswith('diag')}


def teacher(embeddings, present=None):
    """DeCUR with targets that are another function of the same samples."""
    targets = {m: tuple(torch.tanh(z.detach()) for z in views) for m, views in embeddings.items()}
    return loss_with_teacher(MODELS.build(dict(type='DeCURHead', common_dim=9, statistics=False)), embeddings, targets, present)


def comm(embeddings, present=None):
    """The same transformer in every process."""
    torch.manual_seed(2)
    objective = MODELS.build(dict(type='CoMMHead', width=WIDTH, out_channels=8, statistics=False))
    return objective.to(next(iter(embeddings.values()))[0].dtype).loss(embeddings, present)


LOSSES = dict(
    decur=lambda e, **kw: decur_loss(e, 9, **kw),
    decur_matrix=lambda e, **kw: decur_loss(e, 9, form='matrix', **kw),
    barlow_twins=barlow_twins_loss,
    vicreg=vicreg_loss,
    simclr=simclr_loss,
    clip=clip_loss,
    cross_block=partial(head, type='DeCURHead', common_dim=9, extra=[dict(type='CrossBlockTerm')]),
    sample_contrast=partial(head, type='DeCURHead', common_dim=9, extra=[dict(type='SampleContrastTerm', weight=2., shared=True)]),
    hsic=partial(head, type='DeCURHead', common_dim=9, extra=[dict(type='CrossBlockTerm', kind='hsic')]),
    teacher=teacher,
    comm=comm,
    disentangled=partial(head, type='DisentangledSSLHead', common_dim=9),
    subsets=partial(head, type='SubsetDeCURHead', blocks={'all': 5, ('a', 'c'): 4}))


class Linear(nn.Module):
    """A linear map of every modality: enough for a gradient to reach parameters."""

    def __init__(self, names):
        super().__init__()
        torch.manual_seed(3)
        self.maps = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in names})

    def forward(self, embeddings):
        return {name: tuple(self.maps[name](z) for z in views) for name, views in embeddings.items()}


def pretraining_model(**kwargs):
    """The whole pretraining model, small: batch norms in the encoders and in the projectors."""
    import decur  # noqa: F401
    torch.manual_seed(5)
    encoder = dict(type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=4)
    model = MODELS.build(dict(
        type='MultimodalPretraining',
        backbone=dict(type='MultimodalBackbone', modalities=dict(a=dict(channels=2, encoder=encoder), b=dict(channels=3, encoder=encoder))),
        neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=WIDTH),
        head=dict(type='DeCURHead', common_dim=9), **kwargs))
    return model.double().train()


def images(n):
    g = torch.Generator().manual_seed(11)
    return {m: [torch.randn(n, c, 32, 32, generator=g, dtype=torch.float64) for _ in range(2)] for m, c in (('a', 2), ('b', 3))}


def masks(n):
    return dict(a=torch.arange(n) % 3 != 1, b=torch.arange(n) != 0)


def rows(batch, start, stop):
    return {name: type(views)(z[start:stop] for z in views) for name, views in batch.items()}


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def loss_case(name, counts, rank, dtype, **options):
    """Loss and gradients after DistributedDataParallel's averaging, on this process's rows."""
    n, start = sum(counts), sum(counts[:rank])
    embeddings = make_embeddings('abc', n, WIDTH, dtype=dtype)
    present = options.pop('present', None)
    if present is not None:
        present = {m: mask[start:start + counts[rank]] for m, mask in present.items()}
        if all(bool(mask.all()) for mask in present.values()):
            present = None  # as the model hands it over: only processes that lack something have masks
    module = Linear('abc').to(dtype)
    wrapped = DistributedDataParallel(module) if dist.is_initialized() else module
    out = LOSSES[name](wrapped(rows(embeddings, start, start + counts[rank])), present=present, **options)
    out['loss'].backward()
    return dict(out={k: v.detach() for k, v in out.items()}, grads=gradients(module))


def samples(present, start, stop):
    """Data samples as a dataset gives them: one that has everything says nothing."""
    out = [DataSample() for _ in range(start, stop)]
    for i, sample in enumerate(out, start):
        have = {name: bool(mask[i]) for name, mask in present.items()}
        if not all(have.values()):
            sample.set_field(have, 'present', field_type='metainfo')
    return out


def model_case(counts, rank, present=None, synced=True, **kwargs):
    """The same for the whole model, with the batch norms of :func:`convert_batch_norm`."""
    n, start = sum(counts), sum(counts[:rank])
    stop = start + counts[rank]
    model, wrapped = pretraining_model(**kwargs), None
    if dist.is_initialized():
        model = convert_batch_norm(model) if synced else model
        wrapped = DistributedDataParallel(model, broadcast_buffers=False)
    batch = rows(images(n), start, stop)
    if present is not None:
        for name, mask in present.items():  # what stands in an absent row must not count
            for x in batch[name]:
                x[~mask[start:stop]] = 100.
    out = (wrapped or model)(batch, samples(present, start, stop) if present is not None else None, mode='loss')
    out['loss'].backward()
    model.eval()
    with torch.no_grad():
        features = model.extract_feat({m: v[0] for m, v in images(n).items()})
    return dict(out={k: v.detach() for k, v in out.items()}, grads=gradients(model), features=features,
                buffers={k: v.clone() for k, v in model.named_buffers()})


def lacking(n):
    """Masks under which the first process has no sample of a and at most one of b; with 'one a', one sample in all has a."""
    i = torch.arange(n)
    return {'some': dict(a=i > 2, b=(i > 1) & (i < n - 1)), 'one a': dict(a=i == 0, b=i > 0), 'none': dict(a=i < 0, b=i == 1)}


def cases(counts, rank):
    n = sum(counts)
    results = {}
    for name in LOSSES:
        results[name, 'float32'] = loss_case(name, counts, rank, torch.float32)
        results[name, 'masked'] = loss_case(name, counts, rank, torch.float64, present=masks(n))
    results['decur', 'published'] = loss_case('decur', counts, rank, torch.float64, grad_reduce='published')
    results['decur', 'one rank masked'] = loss_case('decur', counts, rank, torch.float64, present=dict(b=torch.arange(n) != 0))
    results['model'] = model_case(counts, rank)
    results['model', 'extended'] = model_case(
        counts, rank, teacher=dict(type='ExponentialMovingAverage', momentum=.1),
        auxiliary_heads=[dict(type='CompletenessHead', grid=2, hidden=8), dict(type='DenseHead', grid=2, hid_channels=8, out_channels=8)])
    for name, present in lacking(n).items():
        results['model', name] = model_case(counts, rank, present)
    return results


def run(rank, counts, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=len(counts))
    results = cases(counts, rank)
    # A process without a single sample still takes part.
    some = make_embeddings('ab', 6, WIDTH)
    if rank == 0:
        results['empty process'] = decur_loss(some, 9)['loss']
    else:
        decur_loss({m: tuple(z[:0] for z in views) for m, views in some.items()}, 9)
    try:
        model_case(counts, rank, lacking(sum(counts))['some'], synced=False)
    except ValueError as error:
        results['unsynced'] = str(error)
    try:
        decur_loss(make_embeddings('ab' if rank else 'ac', 6, WIDTH), 9)
    except ValueError as error:
        results['other names'] = str(error)
    torch.save(results, f'{folder}/{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

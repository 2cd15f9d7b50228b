import objective_reference as reference
import pytest
import torch
from mmengine.registry import MODELS
from objective_reference import make_embeddings

from decur.errors import ConfigError, DataError
from decur.models.objectives import barlow_twins_loss, clip_loss, simclr_loss, vicreg_loss

LOSSES = dict(barlow_twins=barlow_twins_loss, vicreg=vicreg_loss, simclr=simclr_loss, clip=clip_loss)
HEADS = dict(
    barlow_twins='MultimodalBarlowTwinsHead', vicreg='MultimodalVICRegHead', simclr='MultimodalSimCLRHead', clip='MultimodalCLIPHead')


def doubles(embeddings):
    return {m: tuple(z.detach().double().requires_grad_() for z in views) for m, views in embeddings.items()}


def first_gradients(embeddings):
    return torch.cat([views[0].grad.double().flatten() for views in embeddings.values()])


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('names, n, k', [('ab', 6, 16), ('ab', 20, 8), ('abc', 5, 12)])
def test_value_and_gradient_against_the_papers_in_float64(name, names, n, k):
    # Small variance, so that VICReg's hinge is active.
    embeddings = {m: tuple((z * 0.4).requires_grad_() for z in views) for m, views in make_embeddings(names, n, k).items()}
    embeddings = {m: tuple(z.detach().requires_grad_() for z in views) for m, views in embeddings.items()}
    exact = doubles(embeddings)
    got = LOSSES[name](embeddings)
    want = getattr(reference, name)(exact)
    assert float(got['loss']) == pytest.approx(float(want), rel=1e-5)
    assert float(sum(v for key, v in got.items() if key != 'loss')) == pytest.approx(float(want), rel=1e-5)
    got['loss'].backward()
    want.backward()
    a, b = first_gradients(embeddings), first_gradients(exact)
    assert float((a - b).norm() / b.norm()) < 1e-5
    assert all(views[1].grad is None for views in embeddings.values())


@pytest.mark.parametrize('name', ['barlow_twins', 'vicreg'])
def test_forms_agree(name):
    for n, k in ((6, 40), (40, 6)):
        embeddings = make_embeddings('ab', n, k)
        gram, matrix = (LOSSES[name](embeddings, form=form)['loss'] for form in ('gram', 'matrix'))
        assert float(gram) == pytest.approx(float(matrix), rel=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_missing_modalities_equal_their_subsets(name):
    embeddings = make_embeddings('abc', 10, 12)
    present = dict(a=torch.arange(10) % 4 != 0, c=torch.arange(10) > 2)
    for m, mask in present.items():
        for z in embeddings[m]:
            z[~mask] = float('nan')
    masks = dict(present, b=torch.ones(10, dtype=torch.bool))
    got = LOSSES[name](embeddings, present=present)
    total = 0
    for a, b in ('ab', 'ac', 'bc'):
        both = masks[a] & masks[b]
        want = LOSSES[name]({m: (embeddings[m][0][both], ) for m in (a, b)})
        total += float(want['loss'])
        for key, value in want.items():
            if key != 'loss':
                assert float(got[key]) == pytest.approx(float(value), rel=1e-6)
    assert float(got['loss']) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_too_few_samples_of_a_pair_give_zero_without_gradient(name):
    z = torch.randn(4, 6)
    z[1:] = float('nan')
    embeddings = dict(a=(z.requires_grad_(), ), b=(torch.randn(4, 6, requires_grad=True), ))
    out = LOSSES[name](embeddings, present=dict(a=torch.arange(4) < 1))
    out['loss'].backward()
    assert float(out['loss']) == 0 and not embeddings['a'][0].grad.any()


@pytest.mark.parametrize('name', LOSSES)
def test_autocast_changes_nothing(name):
    embeddings = make_embeddings('ab', 8, 32)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = LOSSES[name](embeddings)['loss']
    assert inside.dtype == torch.float32 and float(inside) == float(LOSSES[name](embeddings)['loss'])


@pytest.mark.parametrize('name', LOSSES)
def test_bad_input(name):
    embeddings = make_embeddings('ab', 6, 8)
    with pytest.raises(ConfigError, match='at least 2 modalities'):
        LOSSES[name](dict(a=embeddings['a']))
    with pytest.raises(DataError, match='at least 2 samples'):
        LOSSES[name]({m: (views[0][:1], ) for m, views in embeddings.items()})
    with pytest.raises(DataError, match=r'\(6, 7\)'):
        LOSSES[name](dict(a=embeddings['a'], b=(embeddings['b'][0][:, :7], )))
    if name in ('simclr', 'clip'):
        with pytest.raises(ConfigError, match='temperature'):
            LOSSES[name](embeddings, temperature=0.)


@pytest.mark.parametrize('name', HEADS)
def test_heads(name):
    head = MODELS.build(dict(type=HEADS[name]))
    embeddings = make_embeddings('ab', 6, 8)
    out = head.loss(embeddings)
    assert float(out['loss']) == pytest.approx(float(LOSSES[name](embeddings)['loss']), rel=1e-6)
    assert [key for key in out if 'loss' in key] == ['loss']
    assert {'participation_ratio_a', 'spread_b'} <= set(out) and all(isinstance(v, torch.Tensor) for v in out.values())


def test_clip_learns_its_temperature_within_bounds():
    head = MODELS.build(dict(type='MultimodalCLIPHead'))
    embeddings = make_embeddings('ab', 6, 8)
    head.loss(embeddings)['loss'].backward()
    small = head.logit_scale.detach().clone().double().requires_grad_()
    reference.clip(doubles(embeddings), torch.exp(-small)).backward()
    assert float(head.logit_scale.grad) == pytest.approx(float(small.grad), rel=1e-4)
    with torch.no_grad():
        head.logit_scale.fill_(10.)
    out = head.loss(embeddings)
    assert float(out['temperature']) == pytest.approx(0.01, rel=1e-5)
    assert not MODELS.build(dict(type='MultimodalCLIPHead', learn_temperature=False)).logit_scale.requires_grad


@pytest.mark.parametrize('names', ['ab', 'abc'])
def test_barlow_twins_between_the_views_of_each_modality(names):
    embeddings = doubles(make_embeddings(names, 9, 12))
    head = MODELS.build(dict(type='MultimodalBarlowTwinsHead', between='views', statistics=False))
    assert head.num_views == 2
    logged = head.loss(embeddings)
    # The reference compares the first views of two modalities: give it the two views of one.
    want = {m: reference.barlow_twins(dict(first=views[:1], second=views[1:])) for m, views in embeddings.items()}
    assert float(logged['loss']) == pytest.approx(float(sum(want.values())), rel=1e-10)
    for m, value in want.items():
        assert float(logged[f'intra_{m}']) == pytest.approx(float(value), rel=1e-10)
    # No modality's loss depends on another's embeddings.
    (gradient, ) = torch.autograd.grad(want[names[0]], embeddings[names[0]][1], retain_graph=True)
    assert torch.allclose(torch.autograd.grad(logged['loss'], embeddings[names[0]][1])[0], gradient, rtol=1e-10)
    with pytest.raises(ConfigError, match="'modalities' or 'views'"):
        MODELS.build(dict(type='MultimodalBarlowTwinsHead', between='dates'))


def test_barlow_twins_between_views_counts_only_samples_that_are_there():
    embeddings = doubles(make_embeddings('ab', 9, 12))
    present = dict(a=torch.arange(9) < 6)
    head = MODELS.build(dict(type='MultimodalBarlowTwinsHead', between='views', statistics=False))
    kept = dict(a=tuple(z[:6] for z in embeddings['a']))
    want = reference.barlow_twins(dict(first=kept['a'][:1], second=kept['a'][1:]))
    assert float(head.loss(embeddings, present)['intra_a']) == pytest.approx(float(want), rel=1e-10)

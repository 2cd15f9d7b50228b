import itertools

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from objective_reference import decur_terms, make_embeddings, standardize

from decur.errors import ConfigError, DataError
from decur.models import decur_loss
from decur.models.objectives import embedding_statistics


def doubles(embeddings):
    return {m: tuple(z.detach().double().requires_grad_() for z in views) for m, views in embeddings.items()}


def leaves(embeddings):
    return {m: tuple(z.detach().clone().requires_grad_() for z in views) for m, views in embeddings.items()}


def gradient(embeddings):
    return torch.cat([z.grad.double().flatten() for views in embeddings.values() for z in views])


def relative(x, y):
    return float((x - y).norm() / y.norm())


@pytest.mark.parametrize('form', ['gram', 'matrix', 'auto'])
@pytest.mark.parametrize('names, n, k, common_dim', [
    ('ab', 3, 8, 4), ('ab', 16, 96, 60), ('ab', 40, 16, 9), ('ab', 16, 32, 0), ('ab', 16, 32, 32), ('abc', 13, 48, 20), ('abcd', 7, 24, 10),
])
def test_value_and_gradient_against_the_supplement_in_float64(form, names, n, k, common_dim):
    embeddings = leaves(make_embeddings(names, n, k))
    reference = doubles(embeddings)
    got = decur_loss(embeddings, common_dim, form=form)
    want = decur_terms(reference, common_dim)
    assert list(got) == ['loss', *(f'loss_intra_{m}' for m in names),
                         *(f'loss_{kind}_{a}_{b}' for a, b in itertools.combinations(names, 2) for kind in ('common', 'unique'))]
    for name, value in want.items():
        assert got[name].dtype == torch.float32
        assert float(got[name]) == pytest.approx(float(value), rel=1e-5, abs=1e-12), name
    assert float(got['loss']) == pytest.approx(float(sum(want.values())), rel=1e-5)
    got['loss'].backward()
    sum(want.values()).backward()
    assert relative(gradient(embeddings), gradient(reference)) < 1e-5


@pytest.mark.parametrize('form', ['gram', 'matrix'])
def test_every_term_has_its_own_gradient(form):
    for name in decur_terms(make_embeddings('abc', 6, 12), 5):
        embeddings = leaves(make_embeddings('abc', 6, 12))
        reference = doubles(embeddings)
        decur_loss(embeddings, 5, form=form)[name].backward()
        decur_terms(reference, 5)[name].backward()
        for views, expected in zip(embeddings.values(), reference.values()):
            for z, r in zip(views, expected):
                got, want = (torch.zeros_like(r) if x.grad is None else x.grad.double() for x in (z, r))
                torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('form', ['gram', 'matrix'])
def test_gradcheck(form):
    z = [v for views in make_embeddings('ab', 5, 6, dtype=torch.float64).values() for v in views]
    present = dict(a=torch.tensor([True, True, False, True, True]), b=torch.tensor([True, True, True, True, False]))

    def function(*views):
        return decur_loss(dict(a=views[:2], b=views[2:]), 4, form=form, present=present)['loss']

    assert torch.autograd.gradcheck(function, [v.requires_grad_() for v in z])


def test_two_samples_have_the_right_value():
    embeddings = make_embeddings('ab', 2, 64)
    for form in ('gram', 'matrix'):
        got, want = decur_loss(embeddings, 40, form=form), decur_terms(doubles(embeddings), 40)
        assert all(float(got[name]) == pytest.approx(float(value), rel=1e-5) for name, value in want.items())


def test_wide_embeddings_against_an_independent_sum():
    # 32768 wide, a double precision K x K matrix would take 8 GiB: sum the squares over blocks of columns instead.
    n, k, common = 37, 32768, 28672
    embeddings = leaves(make_embeddings('ab', n, k))
    out = decur_loss(embeddings, common)
    out['loss'].backward()
    reference = doubles(embeddings)
    z = {m: [standardize(v) for v in views] for m, views in reference.items()}

    def term(za, zb, target):
        diagonal = (za * zb).mean(0)
        squares = 0
        for block in za.detach().split(4096, dim=1):
            squares = squares + (block.T @ zb.detach() / n).square().sum()
        return float((diagonal - target).square().sum() + 0.0051 * (squares - diagonal.square().sum()))

    a1, (b1, b2) = z['a'][0], z['b']
    want = dict(loss_intra_b=term(b1[:, :4096], b2[:, :4096], 1), loss_unique_a_b=term(a1[:, common:], b1[:, common:], 0))
    assert float(out['loss_unique_a_b']) == pytest.approx(want['loss_unique_a_b'], rel=1e-5)
    narrow = {m: tuple(v[:, :4096] for v in views) for m, views in embeddings.items()}
    assert float(decur_loss(narrow, 0, form='gram')['loss_intra_b']) == pytest.approx(want['loss_intra_b'], rel=1e-5)
    # The gradient in single precision against double.
    decur_loss(reference, common)['loss'].backward()
    assert relative(gradient(embeddings), gradient(reference)) < 1e-5


def test_gram_form_never_builds_a_matrix_of_the_width():
    embeddings = leaves(make_embeddings('ab', 4, 2**17))  # K x K would be 64 GiB
    out = decur_loss(embeddings, 2**16)
    out['loss'].backward()
    assert torch.isfinite(gradient(embeddings)).all()


def test_autocast_and_half_precision_embeddings():
    embeddings = make_embeddings('ab', 24, 256)
    plain = decur_loss(embeddings, 128)['loss']
    for form in ('gram', 'matrix'):
        inside = leaves(embeddings)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = decur_loss(inside, 128, form=form)['loss']
        loss.backward()  # outside autocast, as PyTorch asks for
        assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(plain), rel=1e-6)
        outside = doubles(embeddings)
        decur_loss(outside, 128)['loss'].backward()
        assert relative(gradient(inside), gradient(outside)) < 1e-5
    rounded = {m: tuple(z.bfloat16().requires_grad_() for z in views) for m, views in embeddings.items()}
    loss = decur_loss(rounded, 128)['loss']
    loss.backward()
    assert loss.dtype == torch.float32 and rounded['a'][0].grad.dtype == torch.bfloat16
    assert float(loss) == pytest.approx(float(sum(decur_terms(doubles(rounded), 128).values())), rel=1e-5)


def test_fp16_does_not_overflow():
    embeddings = {m: tuple((z * 100).half() for z in views) for m, views in make_embeddings('ab', 8, 4096).items()}
    assert torch.isfinite(decur_loss(embeddings, 2048)['loss'])


def test_large_offsets_cost_no_precision():
    embeddings = make_embeddings('ab', 16, 64, offset=1000.)
    want = sum(decur_terms(doubles(embeddings), 32).values())
    assert float(decur_loss(embeddings, 32)['loss']) == pytest.approx(float(want), rel=1e-5)


@pytest.mark.parametrize('names', ['ab', 'abc'])
def test_weightings(names):
    embeddings = make_embeddings(names, 9, 20)
    terms = decur_terms(doubles(embeddings), 8)
    intra = sum(v for k, v in terms.items() if 'intra' in k)
    cross = sum(v for k, v in terms.items() if 'intra' not in k)
    pairs = len(names) * (len(names) - 1) // 2
    got = decur_loss(embeddings, 8, weighting='published_code')['loss']
    assert float(got) == pytest.approx(float((intra + cross / 2) / (len(names) + pairs)), rel=1e-5)
    if names == 'ab':
        common, unique = terms['loss_common_a_b'], terms['loss_unique_a_b']
        assert float(got) == pytest.approx(float((terms['loss_intra_a'] + terms['loss_intra_b'] + (common + unique) / 2) / 3), rel=1e-5)


def test_lambda_by_kind_and_by_term():
    embeddings = make_embeddings('ab', 9, 20)
    kinds = dict(intra=0.1, common=0.02, unique=0.)
    want = decur_terms(doubles(embeddings), 8, kinds)
    got = decur_loss(embeddings, 8, kinds)
    assert all(float(got[k]) == pytest.approx(float(v), rel=1e-5) for k, v in want.items())
    one = decur_loss(embeddings, 8, dict(kinds, intra_b=0.7))
    assert one['loss_intra_a'] == got['loss_intra_a']
    assert float(one['loss_intra_b']) == pytest.approx(float(decur_terms(doubles(embeddings), 8, 0.7)['loss_intra_b']), rel=1e-5)


def test_cross_terms_use_the_first_views():
    embeddings = make_embeddings('ab', 9, 20)
    other = {m: (a, torch.randn_like(b)) for m, (a, b) in embeddings.items()}
    one, two = decur_loss(embeddings, 8), decur_loss(other, 8)
    assert one['loss_common_a_b'] == two['loss_common_a_b'] and one['loss_unique_a_b'] == two['loss_unique_a_b']
    assert one['loss_intra_a'] != two['loss_intra_a']


def test_order_of_samples_does_not_matter():
    embeddings = make_embeddings('ab', 19, 40)
    order = torch.randperm(19)
    shuffled = {m: tuple(z[order] for z in views) for m, views in embeddings.items()}
    assert float(decur_loss(embeddings, 8)['loss']) == pytest.approx(float(decur_loss(shuffled, 8)['loss']), rel=1e-6)


def test_perfect_embeddings():
    # Whitened views: every C is the identity where a and b share dimensions, and 0 where b's are orthogonal to a's.
    n, k = 64, 8
    q = torch.linalg.qr(torch.cat([torch.ones(n, 1), torch.randn(n, 3 * k)], 1).double())[0][:, 1:] * n**0.5
    a, b = q[:, :k], torch.cat([q[:, :4], q[:, k:k + 4]], 1)
    out = decur_loss(dict(a=(a, a), b=(b, b)), 4, eps=0.)
    assert all(abs(float(v)) < 1e-20 for v in out.values())
    aligned = decur_loss(dict(a=(a, a), b=(a, a)), 4, eps=0.)
    assert float(aligned['loss_unique_a_b']) == pytest.approx(4)  # four dimensions that ought to differ are the same


@pytest.mark.parametrize('form', ['gram', 'matrix'])
@pytest.mark.parametrize('value', [0., 3.7, -1234.567])
def test_a_constant_dimension_is_zero(form, value):
    embeddings = make_embeddings('ab', 11, 24)
    for views in embeddings.values():
        for z in views:
            z[:, 5] = value
    out = decur_loss(leaves(embeddings), 12, form=form)
    removed = {m: tuple(torch.cat([z[:, :5], z[:, 6:]], 1) for z in views) for m, views in embeddings.items()}
    want = decur_terms(doubles(removed), 11)
    # It correlates with nothing: where it ought to align it costs 1, and nothing else.
    assert float(out['loss_intra_a']) == pytest.approx(float(want['loss_intra_a']) + 1, rel=1e-5)
    assert float(out['loss_common_a_b']) == pytest.approx(float(want['loss_common_a_b']) + 1, rel=1e-5)
    collapsed = leaves({m: tuple(torch.full_like(z, value) for z in views) for m, views in embeddings.items()})
    out = decur_loss(collapsed, 12, form=form)
    out['loss'].backward()
    assert float(out['loss_intra_a']) == 24 and float(out['loss_unique_a_b']) == 0
    assert torch.isfinite(gradient(collapsed)).all()


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('form', ['gram', 'matrix'])
def test_non_finite_embeddings_show_in_their_modality_alone(bad, form):
    embeddings = make_embeddings('abc', 9, 20)
    clean = decur_loss(embeddings, 8, form=form)
    embeddings['a'][0][3, 4] = bad  # a common dimension
    out = decur_loss(embeddings, 8, form=form)
    hit = {'loss', 'loss_intra_a', 'loss_common_a_b', 'loss_common_a_c'}
    assert {name for name, value in out.items() if torch.isnan(value)} == hit
    assert all(torch.equal(out[name], clean[name]) for name in out if name not in hit)


@pytest.mark.parametrize('form', ['gram', 'matrix'])
def test_missing_modalities_equal_their_subsets(form):
    n, k, common = 12, 20, 8
    embeddings = make_embeddings('abc', n, k)
    present = dict(a=torch.arange(n) % 3 != 0, b=torch.arange(n) != 5)  # c is there throughout
    masked = leaves(embeddings)
    for name, mask in present.items():
        for z in masked[name]:
            z.data[~mask] = float('nan')  # whatever stands in an absent row must not count
    got = decur_loss(masked, common, form=form, present=present)
    got['loss'].backward()
    reference = doubles(embeddings)
    masks = dict(present, c=torch.ones(n, dtype=torch.bool))
    want = {}
    for m in 'abc':
        want[f'loss_intra_{m}'] = decur_terms({m: [z[masks[m]] for z in reference[m]]}, common)[f'loss_intra_{m}']
    for a, b in itertools.combinations('abc', 2):
        both = masks[a] & masks[b]
        terms = decur_terms({m: [z[both] for z in reference[m]] for m in (a, b)}, common)
        want.update({name: value for name, value in terms.items() if 'intra' not in name})
    assert all(float(got[name]) == pytest.approx(float(value), rel=1e-5) for name, value in want.items())
    sum(want.values()).backward()
    assert relative(gradient(masked), gradient(reference)) < 1e-5
    for name, mask in present.items():
        assert all(not z.grad[~mask].any() for z in masked[name])


def test_too_few_samples_of_a_term_give_zero_without_gradient():
    embeddings = leaves(make_embeddings('ab', 6, 10))
    present = dict(a=torch.tensor([True, False, False, False, False, False]))
    with torch.no_grad():
        embeddings['a'][0][1:] = float('nan')
    out = decur_loss(embeddings, 4, present=present)
    assert all(float(out[name]) == 0 for name in ('loss_intra_a', 'loss_common_a_b', 'loss_unique_a_b'))
    assert out['loss'] == out['loss_intra_b'] and float(out['loss']) > 0
    out['loss'].backward()
    assert not embeddings['a'][0].grad.any() and embeddings['b'][0].grad.any()


def test_all_present_is_no_mask():
    embeddings = make_embeddings('ab', 6, 10)
    everything = dict(a=torch.ones(6, dtype=torch.bool), b=torch.ones(6, dtype=torch.bool))
    assert decur_loss(embeddings, 4, present=everything) == decur_loss(embeddings, 4)


@pytest.mark.parametrize('change, error, message', [
    (lambda e: dict(a=e['a'], b=(e['b'][0], e['b'][1][:, :-1])), DataError, r"'b' view 2 is \(6, 9\)"),
    (lambda e: dict(a=e['a'], b=tuple(z[:-1] for z in e['b'])), DataError, r"'b' view 1 is \(5, 10\)"),
    (lambda e: dict(a=e['a']), ConfigError, r"at least 2 modalities, got \['a'\]"),
    (lambda e: dict(a=e['a'], b=e['b'][:1]), ConfigError, "'b' has 1 view"),
    (lambda e: {m: tuple(z[:1] for z in views) for m, views in e.items()}, DataError, 'at least 2 samples'),
    (lambda e: {m: tuple(z[:0] for z in views) for m, views in e.items()}, DataError, 'at least 2 samples'),
    (lambda e: {m: tuple(z[0] for z in views) for m, views in e.items()}, DataError, r'must all be \(N, K\)'),
    (lambda e: {m: tuple(z.long() for z in views) for m, views in e.items()}, DataError, 'floating point'),
    (lambda e: [z for views in e.values() for z in views], ConfigError, 'got list'),
])
def test_bad_embeddings(change, error, message):
    with pytest.raises(error, match=message):
        decur_loss(change(make_embeddings('ab', 6, 10)), 4)


@pytest.mark.parametrize('options, error, message', [
    (dict(common_dim=-1), ConfigError, r'0\.\.10'), (dict(common_dim=11), ConfigError, r'0\.\.10'),
    (dict(common_dim=2.5), ConfigError, 'integer'), (dict(weighting='sum'), ConfigError, 'weighting'),
    (dict(form='fast'), ConfigError, 'form'), (dict(grad_reduce='mean'), ConfigError, 'grad_reduce'),
    (dict(lambd=dict(intra=1, common=1)), ConfigError, 'unique_a_b'), (dict(lambd=dict(intra=1, cross=1)), ConfigError, 'cross'),
    (dict(lambd=-0.1), ConfigError, 'at least 0'), (dict(lambd=float('nan')), ConfigError, 'at least 0'),
    (dict(present=dict(c=torch.ones(6, dtype=torch.bool))), ConfigError, "'c'"),
    (dict(present=dict(a=torch.ones(5, dtype=torch.bool))), DataError, r'\(6,\)'),
])
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        decur_loss(make_embeddings('ab', 6, 10), **{'common_dim': 4, **options})


def test_head_logs_every_term_and_counts_it_once():
    head = MODELS.build(dict(type='DeCURHead', common_dim=12))
    embeddings = make_embeddings('ab', 16, 32)
    out = head.loss(embeddings)
    want = decur_loss(embeddings, 12)

    class Model(BaseModel):
        def forward(self):
            pass

    loss, log = Model().parse_losses(out)
    assert float(loss) == float(want['loss'])
    for name in ('intra_a', 'intra_b', 'common_a_b', 'unique_a_b'):
        assert log[name] == want[f'loss_{name}'] and not log[name].requires_grad
    z = {m: [standardize(v.double()) for v in views] for m, views in embeddings.items()}
    diagonal = (z['a'][0] * z['b'][0]).mean(0)
    assert float(log['diag_common_a_b']) == pytest.approx(float(diagonal[:12].mean()), rel=1e-4)
    assert float(log['diag_unique_a_b']) == pytest.approx(float(diagonal[12:].mean()), rel=1e-4)
    assert {'participation_ratio_a', 'participation_ratio_b', 'spread_a', 'spread_b', 'diag_intra_a'} <= set(log)
    with pytest.raises(ConfigError, match='rename the modality'):
        head.loss(dict(gloss=embeddings['a'], b=embeddings['b']))


def test_statistics_tell_collapse():
    n, k = 200, 30
    g = torch.Generator().manual_seed(0)
    free = torch.randn(n, k, generator=g)
    line = torch.randn(n, 1, generator=g) * torch.randn(1, k, generator=g) + 5
    point = torch.randn(1, k, generator=g).expand(n, k).clone()
    out = embedding_statistics({m: (z, z) for m, z in dict(free=free, line=line, point=point).items()})
    # Participation ratio of white noise: K / (1 + K / N).
    assert float(out['participation_ratio_free']) == pytest.approx(k / (1 + k / n), rel=0.05)
    assert float(out['participation_ratio_line']) == pytest.approx(1, abs=1e-3)
    assert float(out['participation_ratio_point']) == 0
    assert float(out['spread_free']) == pytest.approx(1, abs=0.02)
    assert float(out['spread_point']) == pytest.approx(0, abs=1e-5)
    singular = torch.linalg.svdvals((free - free.mean(0)).double())
    assert float(out['participation_ratio_free']) == pytest.approx(float(singular.square().sum()**2 / singular.pow(4).sum()), rel=1e-5)
    masked = embedding_statistics(dict(free=(free, )), dict(free=torch.arange(n) < 50))
    assert masked['participation_ratio_free'] == embedding_statistics(dict(free=(free[:50], )))['participation_ratio_free']


def test_without_the_terms_within_modalities():
    torch.manual_seed(0)
    z = {m: tuple(torch.randn(12, 6, dtype=torch.float64, requires_grad=True) for _ in range(2)) for m in 'ab'}
    whole, ablated = decur_loss(z, 4), decur_loss(z, 4, intra=False)
    assert set(whole) - set(ablated) == {'loss_intra_a', 'loss_intra_b'}
    assert ablated['loss'].item() == pytest.approx((whole['loss_common_a_b'] + whole['loss_unique_a_b']).item())
    ablated['loss'].backward()
    assert z['a'][1].grad is None or not z['a'][1].grad.any()  # the second views are not read

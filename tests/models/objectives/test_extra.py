"""Terms added to an objective, and blocks of dimensions by subset of the modalities."""
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from objective_reference import make_embeddings, standardize

from decur.errors import ConfigError
from decur.models import decur_loss
from decur.models.objectives import SubsetDeCURHead, normalised_hsic


def leaves(embeddings):
    return {m: tuple(z.detach().clone().requires_grad_() for z in views) for m, views in embeddings.items()}


def gradient(embeddings):
    views = [z for pair in embeddings.values() for z in pair]
    return torch.cat([(torch.zeros_like(z) if z.grad is None else z.grad).double().flatten() for z in views])


def head(**kwargs):
    return MODELS.build(dict(dict(type='DeCURHead', common_dim=7, statistics=False), **kwargs))


@pytest.mark.parametrize('names', ['ab', 'abc'])
def test_cross_block_against_matrices_in_float64(names):
    embeddings = leaves(make_embeddings(names, 9, 16))
    double = {m: tuple(z.detach().double().requires_grad_() for z in views) for m, views in embeddings.items()}
    out = head(extra=[dict(type='CrossBlockTerm', weight=.3)]).loss(embeddings)
    z = {m: standardize(views[0]) for m, views in double.items()}
    want = {f'cross_block_{a}' if a == b else f'cross_block_{a}_{b}': (z[a][:, :7].T @ z[b][:, 7:] / 9).square().sum()
            for a in names for b in names}
    assert {name for name in out if name.startswith('cross_block')} == set(want)
    for name, value in want.items():
        assert float(out[name]) == pytest.approx(float(value), rel=1e-5)
    total = decur_loss(double, 7)['loss'] + .3 * sum(want.values())
    assert float(out['loss']) == pytest.approx(float(total), rel=1e-5)
    out['loss'].backward()
    total.backward()
    assert float((gradient(embeddings) - gradient(double)).norm() / gradient(double).norm()) < 1e-5


def test_weight_zero_and_no_extra_are_plain_decur():
    embeddings = make_embeddings('ab', 9, 16)
    plain = float(head().loss(embeddings)['loss'])
    assert plain == float(head(extra=[dict(type='CrossBlockTerm', weight=0)]).loss(embeddings)['loss'])
    only = head(extra=[dict(type='CrossBlockTerm', across=False)]).loss(embeddings)
    assert {name for name in only if name.startswith('cross_block')} == {'cross_block_a', 'cross_block_b'}


def test_masked_terms_are_those_of_the_samples_that_are_there():
    embeddings = make_embeddings('ab', 9, 16, dtype=torch.float64)
    present = dict(a=torch.arange(9) < 7, b=torch.arange(9) > 1)
    got = head(extra=[dict(type='CrossBlockTerm')]).loss(embeddings, present)
    both = {m: tuple(z[2:7] for z in views) for m, views in embeddings.items()}
    alone = {m: tuple(z[present[m]] for z in views) for m, views in embeddings.items()}
    want = head(extra=[dict(type='CrossBlockTerm')])
    assert float(got['cross_block_a_b']) == pytest.approx(float(want.loss(both)['cross_block_a_b']), rel=1e-10)
    a = standardize(alone['a'][0])
    assert float(got['cross_block_a']) == pytest.approx(float((a[:, :7].T @ a[:, 7:] / 7).square().sum()), rel=1e-9)
    none = head(extra=[dict(type='CrossBlockTerm')]).loss(leaves(embeddings), dict(a=torch.arange(9) < 5, b=torch.arange(9) > 3))
    assert float(none['cross_block_a_b']) == 0 and torch.isfinite(none['loss'])


def test_hsic_sees_what_correlation_does_not():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 200, 1, generator=g, dtype=torch.float64)
    assert float(normalised_hsic(x, x)) == pytest.approx(1)
    assert float(normalised_hsic(x, 3 * x + 1)) == pytest.approx(1, abs=1e-9), 'neither scale nor place matters'
    assert float(normalised_hsic(x, y)) < .05
    square = x.square()
    correlation = torch.corrcoef(torch.cat([x, square], 1).T)[0, 1].square()
    assert float(normalised_hsic(x, square)) > .15 > 5 * float(correlation)
    small = torch.randn(6, 2, generator=g, dtype=torch.float64)
    # Against the definition, trace(K H L H), with its own centring.
    h = torch.eye(6, dtype=torch.float64) - 1 / 6

    def kernel(z):
        d = torch.cdist(z, z).square()
        return torch.exp(-d / d[~torch.eye(6, dtype=torch.bool)].median())

    def hsic(a, b):
        return (kernel(a) @ h @ kernel(b) @ h).trace()

    a, b = small[:, :1], small[:, 1:]
    assert float(normalised_hsic(a, b)) == pytest.approx(float(hsic(a, b) / (hsic(a, a) * hsic(b, b)).sqrt()), rel=1e-8)


def test_hsic_term_falls_when_it_is_optimised():
    torch.manual_seed(0)
    x = torch.randn(64, 1)
    z = torch.cat([x, x.square()], 1).repeat(1, 2) + .1 * torch.randn(64, 4)
    z = z[:, [0, 2, 1, 3]].requires_grad_()
    objective = head(common_dim=2, extra=[dict(type='CrossBlockTerm', kind='hsic', across=False)])
    values, optimizer = [], torch.optim.Adam([z], lr=.05)
    for _ in range(40):
        value = objective.loss(dict(a=(z, z), b=(z, z)))['cross_block_a'].clone()
        term = normalised_hsic(z[:, :2], z[:, 2:])
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        values.append(float(value))
    assert values[0] > .15 and values[-1] < values[0] / 3


def clip(a, b, temperature):
    """CLIP's loss by hand."""
    logits = F.normalize(a) @ F.normalize(b).T / temperature
    return -(logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()) / 2


@pytest.mark.parametrize('names', ['ab', 'abc'])
def test_sample_contrast_against_its_definition_in_float64(names):
    embeddings, same = leaves(make_embeddings(names, 9, 16)), leaves(make_embeddings(names, 9, 16, dtype=torch.float64))
    out = head(extra=[dict(type='SampleContrastTerm', weight=.3, temperature=.2, shared=True)]).loss(embeddings)
    z = {m: [standardize(view) for view in views] for m, views in same.items()}
    want = {f'shared_{a}_{b}': clip(z[a][0][:, :7], z[b][0][:, :7], .2) for a, b in combinations(names, 2)}
    for a in names:
        others = [b for b in names if b != a]
        want[f'specific_{a}'] = sum(
            clip(*(torch.cat([z[a][v][:, 7:], z[b][v][:, :7].detach()], 1) for v in range(2)), .2) for b in others) / len(others)
    assert {name for name in out if name.startswith(('shared', 'specific'))} == set(want)
    for name, value in want.items():
        assert float(out[name]) == pytest.approx(float(value.detach()), rel=1e-5)
    total = decur_loss(same, 7)['loss'] + .3 * 16 * sum(want.values())  # the weight is for each of 16 dimensions
    out['loss'].backward()
    total.backward()
    assert float((gradient(embeddings) - gradient(same)).norm() / gradient(same).norm()) < 1e-5


def test_sample_contrast_does_not_see_the_scale_of_a_dimension_as_decur_does_not():
    embeddings = make_embeddings('ab', 9, 16, dtype=torch.float64)
    scaled = {m: tuple(100 * z * torch.arange(1, 17) + 5 for z in views) for m, views in embeddings.items()}
    objective = head(extra=[dict(type='SampleContrastTerm', weight=1., shared=True)], eps=0.)
    assert float(objective.loss(scaled)['loss']) == pytest.approx(float(objective.loss(embeddings)['loss']), rel=1e-9)


@pytest.mark.parametrize('term', ['CrossBlockTerm', 'SampleContrastTerm'])
def test_terms_are_added_to_an_objective_that_standardises_nothing(term):
    embeddings = make_embeddings('ab', 9, 16, dtype=torch.float64)
    plain = head(type='DisentangledSSLHead').loss(embeddings)
    out = head(type='DisentangledSSLHead', extra=[dict(type=term, weight=.3)]).loss(embeddings)
    added = head(extra=[dict(type=term, weight=.3)]).loss(embeddings)['loss'] - decur_loss(embeddings, 7)['loss']
    assert float(out['loss'] - plain['loss']) == pytest.approx(float(added), rel=1e-9) and float(added) > 0


def test_masked_sample_contrast():
    embeddings = make_embeddings('ab', 9, 16, dtype=torch.float64)
    present = dict(a=torch.arange(9) < 7, b=torch.arange(9) > 1)
    objective = head(extra=[dict(type='SampleContrastTerm', weight=1., shared=True)])
    got, want = objective.loss(embeddings, present), objective.loss({m: tuple(z[2:7] for z in views) for m, views in embeddings.items()})
    for name in ('shared_a_b', 'specific_a', 'specific_b'):
        assert float(got[name]) == pytest.approx(float(want[name]), rel=1e-9)
    none = objective.loss(leaves(embeddings), dict(a=torch.arange(9) < 5, b=torch.arange(9) > 3))
    assert float(none['specific_a']) == 0 and torch.isfinite(none['loss'])


@pytest.mark.parametrize('wrong, message', [
    (dict(extra=[dict(type='SampleContrastTerm', weight=1, temperature=0)]), 'temperature'),
    (dict(common_dim=0, extra=[dict(type='SampleContrastTerm', weight=1)]), 'common_dim=0 of 16'),
    (dict(extra=[dict(type='CrossBlockTerm', kind='other')]), 'kind'), (dict(extra=[dict(type='CrossBlockTerm', weight=-1)]), 'weight'),
    (dict(common_dim=16, extra=[dict(type='CrossBlockTerm')]), 'common_dim=16 of 16'),
    (dict(type='MultimodalVICRegHead', common_dim=None, extra=[dict(type='CrossBlockTerm')]), 'common_dim=None'),
])
def test_wrong_extra_terms(wrong, message):
    if wrong.get('type'):
        wrong = {key: value for key, value in wrong.items() if key != 'common_dim'}
        build = lambda: MODELS.build(dict(wrong, statistics=False))  # noqa: E731
    else:
        build = lambda: head(**wrong)  # noqa: E731
    with pytest.raises(ConfigError, match=message):
        build().loss(make_embeddings('ab', 5, 16))


def test_one_block_of_all_is_decur():
    for names in ('ab', 'abc'):
        embeddings, same = leaves(make_embeddings(names, 9, 16)), leaves(make_embeddings(names, 9, 16))
        got, want = SubsetDeCURHead({'all': 7}, statistics=False).loss(embeddings), head().loss(same)
        assert list(got) == list(want) and all(float(got[name]) == pytest.approx(float(value), rel=1e-6) for name, value in want.items())
        got['loss'].backward()
        want['loss'].backward()
        assert float((gradient(embeddings) - gradient(same)).norm() / gradient(same).norm()) < 1e-5


def test_a_pair_agrees_in_its_block_and_differs_in_that_of_others():
    embeddings = make_embeddings('abc', 9, 16, dtype=torch.float64)
    z = {m: standardize(views[0]) for m, views in embeddings.items()}
    out = SubsetDeCURHead({'all': 4, ('a', 'c'): 3, ('b', 'c'): 5}, statistics=False).loss(embeddings)

    def term(pair, columns, target):
        c = z[pair[0]][:, columns].T @ z[pair[1]][:, columns] / 9
        diagonal = c.diagonal()
        return float((diagonal - target).square().sum() + .0051 * (c.square().sum() - diagonal.square().sum()))

    every, ac, bc, own = range(4), range(4, 7), range(7, 12), range(12, 16)
    assert float(out['common_a_b']) == pytest.approx(term('ab', [*every], 1), rel=1e-9)
    assert float(out['unique_a_b']) == pytest.approx(term('ab', [*ac, *bc, *own], 0), rel=1e-9)
    assert float(out['common_a_c']) == pytest.approx(term('ac', [*every, *ac], 1), rel=1e-9)
    assert float(out['common_b_c']) == pytest.approx(term('bc', [*every, *bc], 1), rel=1e-9)
    assert float(out['unique_b_c']) == pytest.approx(term('bc', [*ac, *own], 0), rel=1e-9)


@pytest.mark.parametrize('blocks, message', [
    ({'all': 0}, 'positive'), ({('a', ): 3}, 'tuple'), ({('a', 'b'): 3, 'all': 4}, 'first'),
    ({'all': 12, ('a', 'b'): 5}, 'do not fit'), ({('a', 'x'): 3}, "do not fit modalities \\['a', 'b', 'c'\\]"),
])
def test_wrong_blocks(blocks, message):
    with pytest.raises(ConfigError, match=message):
        SubsetDeCURHead(blocks).loss(make_embeddings('abc', 5, 16))


def test_blocks_in_a_config_file(tmp_path):
    from mmengine.config import Config
    (tmp_path / 'c.py').write_text("head = dict(type='SubsetDeCURHead', blocks={'all': 4, ('a', 'c'): 3})")
    cfg = Config.fromfile(tmp_path / 'c.py')
    (tmp_path / 'd.py').write_text(cfg.pretty_text)
    for one in (cfg, Config.fromfile(tmp_path / 'd.py')):
        assert MODELS.build(one.head).blocks == {'all': 4, ('a', 'c'): 3}

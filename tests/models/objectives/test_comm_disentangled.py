"""The two objectives that treat shared and private information apart, against their papers in float64."""
import objective_reference as reference
import pytest
import torch
import torch.nn.functional as F
from objective_reference import make_embeddings

from decur.errors import ConfigError
from decur.models.objectives import CoMMHead, DisentangledSSLHead
from decur.models.objectives.simclr import nt_xent


def comm(width=16, **kwargs):
    torch.manual_seed(0)
    return CoMMHead(width, num_heads=2, out_channels=8, statistics=False, **kwargs).double()


def pair(a, b):
    """NT-Xent of the cited paper."""
    return reference.simclr({'x': (a, a), 'y': (b, b)})


def test_comm_contrasts_everything_with_the_whole():
    embeddings = make_embeddings('abc', 6, 16, dtype=torch.float64)
    head = comm()
    out = head.loss(embeddings)
    whole = [head.projector(head.fuse([embeddings[m][v] for m in 'abc'])) for v in range(2)]
    assert whole[0].shape == (6, 8)
    want = dict(all=pair(*whole))
    for m in 'abc':
        alone = [head.projector(head.fuse([embeddings[m][v]])) for v in range(2)]
        want[f'only_{m}'] = (pair(alone[0], whole[1]) + pair(alone[1], whole[0])) / 2
    assert {name for name in out if name != 'loss'} == set(want)
    assert all(float(out[name]) == pytest.approx(float(value.detach()), rel=1e-9) for name, value in want.items())
    assert float(out['loss'].detach()) == pytest.approx(float(sum(want.values()).detach()), rel=1e-9)
    out['loss'].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())


def test_comm_sees_a_set_of_modalities_and_a_set_of_samples():
    embeddings = make_embeddings('ab', 6, 16, dtype=torch.float64)
    head = comm()
    a, b = (embeddings[m][0] for m in 'ab')
    torch.testing.assert_close(head.fuse([a, b]), head.fuse([b, a]))
    assert not torch.allclose(head.fuse([a, b]), head.fuse([a]))
    turned = {m: tuple(z.flip(0) for z in views) for m, views in embeddings.items()}
    assert float(head.loss(turned)['loss'].detach()) == pytest.approx(float(head.loss(embeddings)['loss'].detach()), rel=1e-10)


def disentangled(embeddings, common=5, temperature=.07, beta=.1, lambd=1.):
    """The terms of the paper for two modalities."""
    def clip(a, b):
        logits = F.normalize(a) @ F.normalize(b).T / temperature
        return -(logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()) / 2

    a, b = (embeddings[m] for m in 'ab')
    cosine = (F.normalize(a[0][:, :common]) * F.normalize(b[0][:, :common])).sum(1).mean()
    out = dict(shared_a_b=clip(a[0][:, :common], b[0][:, :common]) + beta * (1 - cosine))
    for name, own, other in (('a', a, b), ('b', b, a)):
        both = [torch.cat([own[v][:, common:], other[v][:, :common]], 1) for v in range(2)]
        out[f'specific_{name}'] = clip(*both)
        out[f'orthogonal_{name}'] = lambd * sum(
            torch.sqrt((F.normalize(z[:, common:]).T @ F.normalize(z[:, :common])).square().sum()) for z in own) / 2
    return out


def test_disentangled_ssl_against_the_paper():
    embeddings = {m: tuple(z.requires_grad_() for z in views) for m, views in make_embeddings('ab', 7, 12, dtype=torch.float64).items()}
    out = DisentangledSSLHead(5, beta=.3, lambd=.2, statistics=False).loss(embeddings)
    want = disentangled(embeddings, beta=.3, lambd=.2)
    assert {name for name in out if name != 'loss'} == set(want)
    assert all(float(out[name]) == pytest.approx(float(value.detach()), rel=1e-9) for name, value in want.items())
    assert float(out['loss'].detach()) == pytest.approx(float(sum(want.values()).detach()), rel=1e-9)


def test_what_is_specific_moves_no_common_dimension():
    embeddings = {m: tuple(z.requires_grad_() for z in views) for m, views in make_embeddings('abc', 7, 12, dtype=torch.float64).items()}
    head = DisentangledSSLHead(5, statistics=False)
    head.loss(embeddings)['loss'].backward()
    second = embeddings['a'][1].grad
    assert not second[:, :5].any() and second[:, 5:].any(), 'the second view enters only with its unique dimensions'
    shared = {m: tuple(z.detach().clone().requires_grad_() for z in views) for m, views in embeddings.items()}
    from decur.models.objectives.batch import gather_batch
    terms = head.objective(gather_batch(shared, None, 2, 'exact'))[1]
    sum(value for name, value in terms.items() if name.startswith('shared')).backward()
    torch.testing.assert_close(embeddings['a'][0].grad[:, :5], shared['a'][0].grad[:, :5])


@pytest.mark.parametrize('build', [comm, lambda: DisentangledSSLHead(5, statistics=False)])
def test_masked_terms_are_those_of_the_samples_that_are_there(build):
    embeddings = make_embeddings('ab', 9, 16, dtype=torch.float64)
    present = dict(a=torch.arange(9) < 7, b=torch.arange(9) > 1)
    head = build()
    got, want = head.loss(embeddings, present), head.loss({m: tuple(z[2:7] for z in views) for m, views in embeddings.items()})
    # An orthogonal term needs its own modality alone, and has more samples.
    same = [name for name in want if not name.startswith(('orthogonal', 'loss'))]
    assert same and all(float(got[name]) == pytest.approx(float(want[name]), rel=1e-9) for name in same)
    nobody = head.loss({m: tuple(z.clone().requires_grad_() for z in views) for m, views in embeddings.items()},
                       dict(a=torch.arange(9) < 4, b=torch.arange(9) > 6))
    assert all(float(nobody[name]) == 0 for name in same)
    nobody['loss'].backward()


@pytest.mark.parametrize('build, message', [
    (lambda: comm(temperature=0), 'temperature'), (lambda: CoMMHead(15), 'heads of attention'), (lambda: comm(8), 'neck.out_channels'),
    (lambda: DisentangledSSLHead(0), 'common_dim'), (lambda: DisentangledSSLHead(16), 'common_dim'),
    (lambda: DisentangledSSLHead(4, beta=-1), 'at least 0')])
def test_wrong_settings(build, message):
    with pytest.raises(ConfigError, match=message):
        build().loss(make_embeddings('ab', 5, 16, dtype=torch.float64))


def test_on_gaussians_common_dimensions_hold_what_is_shared_and_unique_ones_the_rest():
    """The synthetic check of DisentangledSSL, small: linear encoders of mixtures of shared and private Gaussian factors.

    The blocks have as many dimensions as there are factors: nothing empties a spare dimension of a linear encoder.
    """
    torch.manual_seed(0)
    shared, private = 3, 3
    mixing = {m: torch.linalg.qr(torch.randn(6, 6))[0] for m in 'ab'}
    head = DisentangledSSLHead(shared, temperature=.2, statistics=False)
    encoders = torch.nn.ModuleDict({m: torch.nn.Linear(6, shared + private) for m in 'ab'})
    optimizer = torch.optim.Adam(encoders.parameters(), lr=.02)

    def draw(n):
        common, own = torch.randn(n, shared), {m: torch.randn(n, private) for m in 'ab'}
        return common, own, {m: torch.cat([common, own[m]], 1) @ mixing[m] for m in 'ab'}

    for _ in range(200):
        x = draw(128)[2]
        views = {m: tuple(encoders[m](x[m] + .1 * torch.randn_like(x[m])) for _ in range(2)) for m in 'ab'}
        optimizer.zero_grad()
        head.loss(views)['loss'].backward()
        optimizer.step()
    common, own, x = draw(2000)

    def r2(z, y):
        z = torch.cat([z, torch.ones(len(z), 1)], 1)
        left = y - z @ torch.linalg.lstsq(z, y).solution
        return float(1 - left.square().sum() / (y - y.mean(0)).square().sum())

    with torch.no_grad():
        z = encoders['a'](x['a'])
    blocks = {'common': z[:, :shared], 'unique': z[:, shared:]}
    found = {(name, what): r2(block, y) for name, block in blocks.items() for what, y in (('shared', common), ('private', own['a']))}
    assert found['common', 'shared'] > .9 > .1 > found['common', 'private'], found
    assert found['unique', 'private'] > .7 > .35 > found['unique', 'shared'], found  # 0.84 and 0.17 after so few steps


def test_comm_keeps_what_one_modality_shows_alone_and_contrast_across_does_not():
    """CoMM's check on trifeatures, small: one-hot factors instead of pictures, one shared by both modalities and one of each alone."""
    classes, width = 4, 16
    torch.manual_seed(0)
    mixing = {m: torch.linalg.qr(torch.randn(2 * classes, 2 * classes))[0] for m in 'ab'}

    def draw(n):
        """Labels, and two views that differ in noise."""
        labels = {name: torch.randint(classes, (n, )) for name in ('shared', 'a', 'b')}
        hot = {name: F.one_hot(y, classes).float() for name, y in labels.items()}
        x = {m: torch.cat([hot['shared'], hot[m]], 1) @ mixing[m] for m in 'ab'}
        return labels, {m: [x[m] + .15 * torch.randn_like(x[m]) for _ in range(2)] for m in 'ab'}

    def accuracy(z, y):
        z, half = torch.cat([z, torch.ones(len(z), 1)], 1), len(z) // 2
        fitted = torch.linalg.lstsq(z[:half], F.one_hot(y[:half], classes).float()).solution
        return float(((z[half:] @ fitted).argmax(1) == y[half:]).float().mean())

    def train(encoders, parts, loss, represent):
        optimizer = torch.optim.Adam([*encoders.parameters(), *parts.parameters()], lr=.01)
        for _ in range(250):
            views = {m: tuple(map(encoders[m], pair)) for m, pair in draw(96)[1].items()}
            optimizer.zero_grad()
            loss(views).backward()
            optimizer.step()
        labels, x = draw(1000)
        with torch.no_grad():
            z = represent({m: encoders[m](x[m][0]) for m in 'ab'})
        return {name: accuracy(z, y) for name, y in labels.items()}

    def linear():
        torch.manual_seed(1)
        return torch.nn.ModuleDict({m: torch.nn.Linear(2 * classes, width) for m in 'ab'})

    encoders, head = linear(), CoMMHead(width, num_heads=2, out_channels=width, statistics=False)
    found = train(encoders, head, lambda views: head.loss(views)['loss'], lambda z: head.projector(head.fuse([z['a'], z['b']])))
    assert min(found.values()) > .8, found
    encoders, projectors = linear(), linear()
    for m in 'ab':
        projectors[m] = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, width))
    across = train(encoders, projectors, lambda views: nt_xent(*(projectors[m](views[m][0]) for m in 'ab'), .1),
                   lambda z: torch.cat([projectors[m](z[m]) for m in 'ab'], 1))
    assert across['shared'] > .95 and across['a'] + across['b'] < 1.6, across

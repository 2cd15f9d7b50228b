"""The objectives as their sources print them, in float64 with plain autograd: slow, short, independent of the package."""
import itertools

import torch


def standardize(z, eps=1e-5):
    return (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + eps)


def off_diagonal(c):
    return c[~torch.eye(len(c), dtype=torch.bool)]


def loss_c(c, lambd):
    return (c.diagonal() - 1).pow(2).sum() + lambd * off_diagonal(c).pow(2).sum()


def loss_u(c, lambd):
    return c.diagonal().pow(2).sum() + lambd * off_diagonal(c).pow(2).sum()


def decur_terms(embeddings, common_dim, lambd=0.0051):
    """Supplement, Algorithm 1, over all pairs. ``embeddings``: {name: (view1, view2)} in float64."""
    if not isinstance(lambd, dict):
        lambd = dict(intra=lambd, common=lambd, unique=lambd)
    z = {name: [standardize(v) for v in views] for name, views in embeddings.items()}
    terms = {}
    for m, (z1, z2) in z.items():
        terms[f'loss_intra_{m}'] = loss_c(z1.T @ z2 / len(z1), lambd['intra'])
    for a, b in itertools.combinations(z, 2):
        cm = z[a][0].T @ z[b][0] / len(z[a][0])
        terms[f'loss_common_{a}_{b}'] = loss_c(cm[:common_dim, :common_dim], lambd['common'])
        terms[f'loss_unique_{a}_{b}'] = loss_u(cm[common_dim:, common_dim:], lambd['unique'])
    return terms


def make_embeddings(names, n, k, seed=0, dtype=torch.float32, offset=0.3):
    """Correlated views and modalities, each dimension with its own mean and scale."""
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, k, generator=g, dtype=torch.float64)
    out = {}
    for name in names:
        own = torch.randn(n, k, generator=g, dtype=torch.float64)
        scale = torch.rand(k, generator=g, dtype=torch.float64) + 0.5
        views = []
        for _ in range(2):
            noise = torch.randn(n, k, generator=g, dtype=torch.float64)
            views.append(((shared + own + 0.7 * noise) * scale + offset).to(dtype))
        out[name] = tuple(views)
    return out


def barlow_twins(embeddings, lambd=0.0051):
    z = {name: standardize(views[0]) for name, views in embeddings.items()}
    return sum(loss_c(z[a].T @ z[b] / len(z[a]), lambd) for a, b in itertools.combinations(z, 2))


def vicreg(embeddings, sim=25., std=25., cov=1.):
    """The paper's Algorithm 1, over all pairs of modalities."""
    total = 0
    for a, b in itertools.combinations(embeddings, 2):
        za, zb = embeddings[a][0], embeddings[b][0]
        n, k = za.shape
        total = total + sim * (za - zb).pow(2).mean()
        for z in (za, zb):
            total = total + std * torch.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean() / 2
            total = total + cov * off_diagonal(torch.cov(z.T)).pow(2).sum() / k
    return total


def simclr(embeddings, temperature=0.1):
    """NT-Xent, one term after another."""
    total = 0
    for a, b in itertools.combinations(embeddings, 2):
        n = len(embeddings[a][0])
        z = [v / v.norm() for v in (*embeddings[a][0], *embeddings[b][0])]
        for i in range(2 * n):
            j = (i + n) % (2 * n)
            denominator = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
            total = total - torch.log(torch.exp(z[i] @ z[j] / temperature) / denominator) / (2 * n)
    return total


def clip(embeddings, temperature=0.07):
    total = 0
    for a, b in itertools.combinations(embeddings, 2):
        za, zb = ([v / v.norm() for v in embeddings[m][0]] for m in (a, b))
        n = len(za)
        for left, right in ((za, zb), (zb, za)):
            for i in range(n):
                logits = torch.stack([left[i] @ right[j] / temperature for j in range(n)])
                total = total - torch.log_softmax(logits, 0)[i] / (2 * n)
    return total

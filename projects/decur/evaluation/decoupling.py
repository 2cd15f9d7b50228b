"""Does a model put shared information into its common dimensions and private information into its unique ones?

The main score is the *share of variance* that a factor explains, dimension by dimension: eta squared for a categorical factor, R^2 for a
continuous or periodic one, corrected for chance. Whether a probe can read a factor saturates instead: from 64 dimensions that carry a
trace of it a probe reads it perfectly. Probes are reported beside it, since they tell what an encoder has kept at all.

Everything here takes and returns NumPy arrays and plain rows (lists of dicts), so that it can be used on the embeddings of any model.
"""
import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from decur.errors import ConfigError, DataError
from decur.modalities import check_finite_rows

#: The kinds of factors: classes, numbers (a scalar or a vector a sample), angles in radians (period 2 pi).
KINDS = ('categorical', 'continuous', 'periodic')


# ------------------------------------------------------------------------------------------------ share of variance explained
def design_matrix(values: np.ndarray, kind: str, degree: int = 3) -> np.ndarray:
    """Orthonormal, centred columns that span the functions of a factor.

    Args:
        values: (N,) or (N, D) values of the factor; D > 1 only for continuous factors.
        kind: one of :data:`KINDS`.
        degree: highest power of a continuous factor, highest harmonic of a periodic one. 1 asks for a linear relation only.

    Returns:
        np.ndarray: (N, p) float64, ``p`` the degrees of freedom: classes - 1, D x degree, or 2 x degree.
    """
    values = np.asarray(values)
    if kind == 'categorical':
        if values.ndim != 1:
            raise DataError(f'a categorical factor has one class a sample, got shape {values.shape}')
        columns = (values[:, None] == np.unique(values)[None]).astype(np.float64)
    else:
        columns = values.reshape(len(values), -1).astype(np.float64)
        if not np.isfinite(columns).all():
            raise DataError('a factor holds values that are not finite')
        if kind == 'periodic':
            columns = np.concatenate([f(k * columns) for k in range(1, degree + 1) for f in (np.cos, np.sin)], axis=1)
        elif kind == 'continuous':
            columns = (columns - columns.mean(0)) / np.maximum(columns.std(0), 1e-12)
            columns = np.concatenate([columns ** k for k in range(1, degree + 1)], axis=1)
        else:
            raise DataError(f'kind of a factor must be one of {KINDS}, got {kind!r}')
    return _orthonormal(columns)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of centred columns, without what is linearly dependent."""
    u, s, _ = np.linalg.svd(columns - columns.mean(0), full_matrices=False)
    return u[:, s > 1e-8 * max(s.max(initial=0.0), 1e-12)]


def variance_explained(z: np.ndarray, values: np.ndarray, kind: str, degree: int = 3, corrected: bool = True) -> np.ndarray:
    r"""Share of the variance of each dimension that a factor explains.

    Eta squared for a categorical factor (between-class over total sum of squares), R^2 of the regression on powers or harmonics
    for a continuous or periodic one. Both are ``R2 = |Q^T z|^2 / |z|^2`` with Q of :func:`design_matrix`. The plain share of a factor
    that means nothing is ``p / (N - 1)`` on average; the corrected one, ``1 - (1 - R2) (N - 1) / (N - 1 - p)`` (for categorical
    factors Kelley's epsilon squared), has mean 0 there, and can be slightly negative.

    Args:
        z: (N, K) embeddings or features.
        values: (N,) or (N, D) values of the factor.
        kind: one of :data:`KINDS`.
        degree: see :func:`design_matrix`.
        corrected: subtract what chance gives.

    Returns:
        np.ndarray: (K,) float64. A constant dimension carries nothing and scores 0.

    Raises:
        DataError: with fewer samples than the factor has degrees of freedom plus two.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 2 or len(z) != len(values):
        raise DataError(f'embeddings must be (N, K) with N = {len(values)} as the factor, got {z.shape}')
    return _share(z, design_matrix(values, kind, degree), corrected)


def interaction_explained(z: np.ndarray, first: tuple, second: tuple, degree: int = 2) -> np.ndarray:
    """Share of the variance of each dimension that two factors explain together beyond what each explains alone, corrected for chance.

    A dimension that fires for a red disk, and neither for red things nor for disks as such, carries the interaction. For independent
    factors these shares add up with those of :func:`variance_explained` to at most 1.

    Args:
        z: (N, K).
        first: values and kind of one factor.
        second: values and kind of the other.
        degree: see :func:`design_matrix`.

    Returns:
        np.ndarray: (K,) float64.
    """
    a, b = (design_matrix(values, kind, degree) for values, kind in (first, second))
    products = (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
    both, joint = (_orthonormal(np.concatenate(parts, axis=1)) for parts in ((a, b), (a, b, products * np.sqrt(len(a)))))
    return _share(z, joint, True) - _share(z, both, True)


def _share(z: np.ndarray, q: np.ndarray, corrected: bool) -> np.ndarray:
    """Share of the variance of z (N, K) in the span of the orthonormal, centred columns q (N, p)."""
    n, p = q.shape
    if n < p + 2:
        raise DataError(f'{n} samples are too few for a factor with {p} degrees of freedom: use at least {p + 2}, better {20 * (p + 1)}')
    z, alive = _centred(z)
    total = (z ** 2).sum(0)
    r2 = np.where(alive, ((q.T @ z) ** 2).sum(0) / np.where(alive, total, 1.0), 0.0)
    if corrected:
        r2 = np.where(alive, 1 - (1 - r2) * (n - 1) / (n - 1 - p), 0.0)
    return r2


# ------------------------------------------------------------------------------------------------ probes
def chance_level(values: np.ndarray, kind: str) -> float:
    """What a probe reaches without looking: the share of the most frequent class, or R^2 = 0."""
    if kind != 'categorical':
        return 0.0
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def probe(features: np.ndarray, values: np.ndarray, kind: str, test_share: float = 0.5, seed: int = 0, max_iter: int = 200) -> float:
    """How well a linear model reads a factor from features that it has not been fitted on.

    scikit-learn's logistic regression (accuracy) for categorical factors, ridge regression with the strength chosen by
    leave-one-out (R^2, averaged over outputs) for continuous ones, and for the cosine and sine of periodic ones.
    Features are standardized with the statistics of the training part.

    Args:
        features: (N, F).
        values: (N,) or (N, D) values of the factor.
        kind: one of :data:`KINDS`.
        test_share: share of the N samples that the probe is tested on.
        seed: of the split.
        max_iter: steps of the logistic regression.

    Returns:
        float: accuracy in [0, 1], or R^2, at most 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, values = np.asarray(features, dtype=np.float64), np.asarray(values)
    if features.ndim != 2 or len(features) != len(values):
        raise DataError(f'features must be (N, F) with N = {len(values)} as the factor, got {features.shape}')
    if kind == 'categorical':
        classes, counts = np.unique(values, return_counts=True)
        if len(classes) < 2 or counts.min() < 2:
            raise DataError('a probe of a categorical factor needs at least two classes with two samples each: use more samples')
        target, model = values, LogisticRegression(C=1.0, max_iter=max_iter, tol=1e-3)
    else:
        values = values.reshape(len(values), -1).astype(np.float64)
        target = np.concatenate([np.cos(values), np.sin(values)], axis=1) if kind == 'periodic' else values
        model = RidgeCV(alphas=np.logspace(-3, 3, 7))
    parts = train_test_split(features, target, test_size=test_share, random_state=seed, stratify=values if kind == 'categorical' else None)
    x_train, x_test, y_train, y_test = parts
    pipeline = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ConvergenceWarning)  # a fixed budget, the same for every method
        pipeline.fit(x_train, y_train)
    return float(pipeline.score(x_test, y_test))


# ------------------------------------------------------------------------------------------------ relations of blocks
def mean_diagonal(za: np.ndarray, zb: np.ndarray) -> float:
    """Mean of the diagonal of the cross-correlation matrix C of two blocks with the same dimensions (N, K).

    1 for dimensions that agree, 0 for dimensions that have nothing to do with each other. A constant dimension counts as 0.
    """
    za, zb = _standardized_pair(za, zb)
    return float((za * zb).mean())


def correlation_rms(za: np.ndarray, zb: np.ndarray) -> tuple[float, float]:
    """Root mean squares of the diagonal and of the off-diagonals of C of two blocks with the same dimensions (N, K).

    Unrelated blocks have about ``1 / sqrt(N)`` in both. Where the diagonal is low and the off-diagonals are not, the two blocks
    hold the same things at different indices, which a mean diagonal of 0 does not show. A single dimension has no off-diagonals: 0.
    """
    za, zb = _standardized_pair(za, zb)
    squares = (za.T @ zb / len(za)) ** 2
    dims, diagonal = len(squares), np.trace(squares)
    return float(np.sqrt(diagonal / dims)), float(np.sqrt((squares.sum() - diagonal) / max(1, dims * (dims - 1))))


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear centred kernel alignment of two sets of dimensions on the same N samples, without the bias of few samples.

    Kornblith et al., "Similarity of Neural Network Representations Revisited" (ICML 2019), with the unbiased HSIC estimator of Song et
    al. (JMLR 2012): the plain estimate of two unrelated blocks is far above 0 when they have about as many dimensions as there
    are samples. Costs an N x N matrix for each of the two.

    Args:
        x: (N, K).
        y: (N, L).

    Returns:
        float: 1 for equal geometries, about 0 (either sign) for unrelated ones, 0 for a block without variance.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) != len(y):
        raise DataError(f'CKA compares the same samples, got {len(x)} and {len(y)}')
    if len(x) < 4:
        raise DataError(f'the unbiased CKA needs at least 4 samples, got {len(x)}')
    # Centring changes nothing in exact arithmetic and keeps large means from eating the digits.
    kx, ky = ((v - v.mean(0)) @ (v - v.mean(0)).T for v in (x, y))
    xy, xx, yy = _unbiased_hsic(kx, ky), _unbiased_hsic(kx, kx), _unbiased_hsic(ky, ky)
    return float(xy / np.sqrt(xx * yy)) if xx > 0 and yy > 0 else 0.0


def _unbiased_hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, equation 5 (kernels with their diagonals removed)."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    trace = (k * m).sum()
    return (trace + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(0) @ m.sum(0))) / (n * (n - 3))


def effective_rank(x: np.ndarray) -> float:
    """Exponential of the entropy of the normalized singular values (Roy and Vetterli, EUSIPCO 2007) of centred (N, K).

    Between 1 and ``min(N - 1, K)``; 0 for a block without variance.
    """
    x = np.asarray(x, dtype=np.float64)
    s = np.linalg.svd(x - x.mean(0), compute_uv=False)
    s = s[s > 1e-10 * max(s.max(initial=0.0), 1e-12)]
    if not len(s):
        return 0.0
    s = s / s.sum()
    return float(np.exp(-(s * np.log(s)).sum()))


def _centred(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns without their means, and which of them (K,) vary by more than rounding."""
    z = np.asarray(z, dtype=np.float64)
    centred = z - z.mean(0)
    return centred, centred.std(0) > 1e-12 * np.abs(z).max(0, initial=0.0)


def _standardized_pair(za: np.ndarray, zb: np.ndarray) -> list:
    if np.shape(za) != np.shape(zb):
        raise DataError(f'the diagonal of C needs equal shapes, got {np.shape(za)} and {np.shape(zb)}')
    return [centred / np.where(alive, centred.std(0), np.inf) for centred, alive in map(_centred, (za, zb))]


# ------------------------------------------------------------------------------------------------ everything together
def blocks(dims: int, common_dim: int | Mapping[str, int] | None) -> dict[str, slice]:
    """The named blocks of K dimensions: ``common`` and ``unique``, or ``all`` where the objective knows no such split.

    An empty block is left out.

    Args:
        dims: K.
        common_dim: See :func:`split_of`.
    """
    if common_dim is None:
        return dict(all=slice(0, dims))
    shared = common_dim if isinstance(common_dim, Mapping) else dict(common=common_dim)
    if min(shared.values()) < 0 or sum(shared.values()) > dims:
        raise DataError(f'{sum(shared.values())} common dimensions do not fit into {dims}')
    ends = np.cumsum([0, *shared.values(), dims - sum(shared.values())]).tolist()
    return {name: slice(*part) for name, part in zip((*shared, 'unique'), zip(ends, ends[1:])) if part[1] > part[0]}


def split_of(head: object) -> int | dict[str, int] | None:
    """How an objective splits embeddings: its number of common dimensions, or None.

    With a block for every subset of the modalities (:class:`~decur.models.objectives.SubsetDeCURHead`) their sizes in order: ``common`` is
    that of all, others are named after their modalities, ``optical+height``. What is left is unique.
    """
    if hasattr(head, 'blocks'):
        return {'common' if subset == 'all' else '+'.join(subset): dims for subset, dims in head.blocks.items()}
    return getattr(head, 'common_dim', None)


def decoupling_scores(embeddings: Mapping[str, np.ndarray], factors: Mapping[str, np.ndarray], kinds: Mapping[str, str],
                      common_dim: int | Mapping[str, int] | None, features: Mapping[str, np.ndarray] | None = None,
                      seen: Mapping[str, Sequence[str]] | None = None, degree: int = 3, seed: int = 0) -> dict[str, list[dict]]:
    """All decoupling scores of one model on one data set with known factors.

    Args:
        embeddings: {modality: (N, K)} after the projector.
        factors: {factor: (N,) or (N, D)} values, of every sample.
        kinds: {factor: one of :data:`KINDS`}.
        common_dim: number of common dimensions K_c (the first ones), see :func:`split_of`; None for an objective without common and unique
            dimensions.
        features: {modality: (N, F)} of the encoder; its probes are left out without.
        seen: {factor: modalities that show it}. Probes are run only where a modality shows the factor; without it, everywhere.
        degree: see :func:`design_matrix`.
        seed: of the probes' split.

    Returns:
        dict of tables (lists of rows):

        - ``explained``: modality, block (or ``encoder``), factor, ``score``: share of variance, corrected for chance;
        - ``interactions``: modality, block, two factors that the modality shows, ``score``: what they explain only together;
        - ``probes``: modality, representation (encoder, embedding or a block), factor, ``score``, ``chance``, metric;
        - ``alignment``: the two modalities, block, ``score``: mean diagonal of C, ``diagonal`` and ``off_diagonal``: RMS;
        - ``cka``: the two modalities and blocks, ``score``;
        - ``effective_rank``: modality, representation, dimensions, ``score`` (:func:`effective_rank`).
    """
    if seed < 0:
        raise ConfigError(f'the seed of the probes must be at least 0, got {seed}.')
    features = features or {}
    lengths = {len(v) for group in (embeddings, factors, features) for v in group.values()}
    if len(lengths) != 1:
        raise DataError(f'embeddings, features and factors must have the same number of samples, got {sorted(lengths)}')
    for title, group in (('embeddings', embeddings), ('features', features)):
        for modality, x in group.items():
            check_finite_rows(f'the {title} of {modality!r}', x)
    missing = [name for name in factors if name not in kinds]
    if missing:
        raise DataError(f'no kind given for factor(s) {missing}: kinds must map each to one of {KINDS}')
    parts = {m: {name: z[:, part] for name, part in blocks(z.shape[1], common_dim).items()} for m, z in embeddings.items()}
    tables = dict(explained=[], interactions=[], probes=[], alignment=[], cka=[], effective_rank=[])

    for modality, z in embeddings.items():
        encoder = dict(encoder=features[modality]) if modality in features else {}
        representations = dict(encoder, embedding=z)
        if common_dim is not None:
            representations.update(parts[modality])
        for name, x in representations.items():
            row = dict(modality=modality, representation=name, dims=x.shape[1], score=effective_rank(x))
            tables['effective_rank'].append(row)
        shown = [name for name in factors if seen is None or modality in seen[name]]
        for one, two in combinations(shown, 2):
            for block, x in parts[modality].items():
                score = interaction_explained(x, (factors[one], kinds[one]), (factors[two], kinds[two])).mean()
                tables['interactions'].append(dict(modality=modality, block=block, factors=[one, two], score=float(score)))
        for factor, values in factors.items():
            kind = kinds[factor]
            for block, x in {**parts[modality], **encoder}.items():
                score = variance_explained(x, values, kind, degree).mean()
                tables['explained'].append(dict(modality=modality, block=block, factor=factor, score=float(score)))
            if factor not in shown:
                continue
            for name, x in representations.items():
                tables['probes'].append(dict(
                    modality=modality, representation=name, factor=factor, score=probe(x, values, kind, seed=seed),
                    chance=chance_level(values, kind), metric='accuracy' if kind == 'categorical' else 'R2'))

    flat = [(m, block, x) for m, named in parts.items() for block, x in named.items()]
    for i, (ma, block_a, xa) in enumerate(flat):
        for mb, block_b, xb in flat[i + 1:]:
            if ma != mb and block_a == block_b and xa.shape == xb.shape:
                diagonal, off_diagonal = correlation_rms(xa, xb)
                tables['alignment'].append(dict(modality_a=ma, modality_b=mb, block=block_a, score=mean_diagonal(xa, xb),
                                                diagonal=diagonal, off_diagonal=off_diagonal))
            tables['cka'].append(dict(modality_a=ma, block_a=block_a, modality_b=mb, block_b=block_b, score=linear_cka(xa, xb)))
    return tables

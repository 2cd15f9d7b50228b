"""A map of dimensions: which of them carry alike information (Algorithm 2, part 2)."""
from collections.abc import Mapping

import numpy as np

from decur.errors import DataError

from .alignment import standardize


def tsne_of_dimensions(embeddings: Mapping[str, np.ndarray], blocks: Mapping[str, slice], perplexity: float = 30.0, seed: int = 0,
                       max_dims: int | None = None) -> dict:
    """t-SNE of the dimensions of all modalities: each is a point, described by its N standardized values on a batch (Figure 2).

    Args:
        embeddings: {modality: (N, K)}, of the same N samples.
        blocks: {name: slice of the K dimensions}.
        perplexity: of scikit-learn's ``TSNE``; below the number of points.
        seed: of its initialisation.
        max_dims: at most this many dimensions per modality, evenly spaced in every block in proportion to its size. Defaults to all.

    Returns:
        dict of arrays with one row a point: ``points`` (P, 2) float32, ``modality`` and ``block`` (names), ``dimension`` (index in K).

    Raises:
        DataError: If the modalities differ in N, a batch has fewer than 2 samples, or there are too few points for the perplexity.
    """
    from sklearn.manifold import TSNE
    if len({len(z) for z in embeddings.values()}) != 1:
        raise DataError(f'the modalities have different numbers of samples: { {m: len(z) for m, z in embeddings.items()} }.')
    rows, modality, block, dimension = [], [], [], []
    for name, z in embeddings.items():
        z = standardize(z)
        total = sum(part.stop - part.start for part in blocks.values())
        for block_name, part in blocks.items():
            size = part.stop - part.start
            wanted = size if max_dims is None or total <= max_dims else max(1, round(max_dims * size / total))
            chosen = np.unique(np.linspace(part.start, part.stop - 1, wanted).round().astype(int))
            rows.append(z[:, chosen].T)
            modality += [name] * len(chosen)
            block += [block_name] * len(chosen)
            dimension.append(chosen)
    rows = np.concatenate(rows).astype(np.float32)
    if len(rows) <= perplexity:
        raise DataError(f't-SNE of {len(rows)} points needs a perplexity below that, got {perplexity}.')
    points = TSNE(n_components=2, perplexity=perplexity, init='pca', random_state=seed).fit_transform(rows)
    return dict(points=points.astype(np.float32), modality=np.array(modality), block=np.array(block), dimension=np.concatenate(dimension))

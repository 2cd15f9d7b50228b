"""A model on a data set with known factors: its features and embeddings, and their decoupling scores."""
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from decur.datasets import SharedCollate, multimodal_collate
from decur.errors import ConfigError, DataError
from decur.synthetic.factors_dataset import FactorsDataset

from .decoupling import decoupling_scores


@torch.no_grad()
def collect_representations(model: nn.Module, dataset: FactorsDataset, batch_size: int = 256, num_workers: int = 0,
                            embeddings: bool = True) -> tuple[dict, dict, dict]:
    """Run a model over a data set with known factors.

    Args:
        model: a :class:`~decur.models.MultimodalPretraining`; it is put into eval mode.
        dataset: its pipeline ends with ``PackModalities(meta_keys=('sample_id', 'factors'))`` and makes no views.
        batch_size: samples at a time.
        num_workers: of the loader.
        embeddings: also run the projectors.

    Returns:
        tuple: features ``{modality: (N, F)}``, embeddings ``{modality: (N, K)}`` (empty without), factors ``{factor: (N, ...)}``.
    """
    model.eval()
    loader = DataLoader(dataset, batch_size, num_workers=num_workers, collate_fn=SharedCollate(multimodal_collate))
    features, z, factors = {}, {}, {}
    for batch in loader:
        batch = model.data_preprocessor(batch)
        found = model.extract_feat(batch['inputs'])
        for name, x in found.items():
            features.setdefault(name, []).append(x.float().cpu().numpy())
        for name, x in (model.neck(found) if embeddings else {}).items():
            z.setdefault(name, []).append(x.float().cpu().numpy())
        for sample in batch['data_samples']:
            for name, value in sample.factors.items():
                factors.setdefault(name, []).append(value)
    join = lambda group: {name: np.concatenate(parts) for name, parts in group.items()}  # noqa: E731
    return join(features), join(z), {name: np.array(values) for name, values in factors.items()}


def score_model(model: nn.Module, dataset: FactorsDataset, common_dim: int | Mapping[str, int] | None, seed: int = 0,
                embeddings: bool = True) -> dict:
    """All decoupling scores of a model on a data set with known factors.

    Args:
        model: a :class:`~decur.models.MultimodalPretraining`.
        dataset: see :func:`collect_representations`.
        common_dim: number of common dimensions, see :func:`~decur.evaluation.decoupling.split_of`; None for objectives without.
        seed: of the probes' split.
        embeddings: False scores the encoder alone.

    Returns:
        dict: the tables of :func:`~decur.evaluation.decoupling.decoupling_scores`, and ``factors``: {factor: kind, modalities, role}.

    Raises:
        DataError: If the data set has no factors.
        ConfigError: If it has modalities that the model has not.
    """
    described = dataset.metainfo.get('factors')
    if not described:
        raise DataError(f'{type(dataset).__name__} has no known factors: use RenderedFactorsDataset or LinearGaussianDataset.')
    for name, entry in dataset.modalities.items():
        channels = model.modalities[name]['channels'] if name in model.modalities else None
        if channels != entry['channels']:
            raise ConfigError(f'the data set shows modality {name!r} in {entry["channels"]} channels, the model has '
                              f'{ {m: e["channels"] for m, e in model.modalities.items()} }: score it on a data set of its own modalities.')
    features, z, values = collect_representations(model, dataset, embeddings=embeddings)
    kinds, seen = ({name: f[key] for name, f in described.items()} for key in ('kind', 'modalities'))
    tables = decoupling_scores(z or features, values, kinds, common_dim if embeddings else None, features=features, seen=seen, seed=seed)
    return dict(factors={name: dict(f, modalities=list(f['modalities'])) for name, f in described.items()}, **tables)

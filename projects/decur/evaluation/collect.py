"""Features and embeddings of a data set with known factors, for the decoupling scores."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from decur.datasets import multimodal_collate
from decur.synthetic.factors_dataset import FactorsDataset


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
    loader = DataLoader(dataset, batch_size, num_workers=num_workers, collate_fn=multimodal_collate)
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

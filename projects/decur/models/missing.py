"""Samples that lack a modality: which sample has which, which rows are encoded, and what replaces the others."""
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import nn

from decur.errors import ConfigError


def present_masks(names: Sequence[str], data_samples: Sequence | None, device: torch.device) -> dict | None:
    """Which samples have which modality.

    Args:
        names (Sequence[str]): The modalities of the batch.
        data_samples (Sequence[DataSample] | None): A sample that lacks a modality says so in ``present`` (``{name: bool}``).
        device (torch.device): Where the masks are put.

    Returns:
        dict[str, Tensor] | None: ``(N,)`` bool by modality; None if no sample says anything.
    """
    said = [getattr(sample, 'present', None) for sample in data_samples or ()]
    if all(one is None for one in said):
        return None
    return {name: torch.tensor([bool((one or {}).get(name, True)) for one in said], device=device) for name in names}


def rows_to_encode(model: nn.Module, names: Sequence[str], count: int, present: Mapping | None, device: torch.device) -> dict | None:
    """The rows that have a modality, over all processes.

    Batch norm cannot take a single row and the objectives need two, so a modality that fewer than two samples of the batch of all
    processes have is not encoded at all. Where enough have it, a process may have one sample of it or none.

    Args:
        model (MultimodalPretraining): Looked at for batch norms and interactions.
        names (Sequence[str]): The modalities of the batch.
        count (int): Number of samples N of this process.
        present (dict[str, Tensor] | None): See :func:`present_masks`.
        device (torch.device): Of the batch.

    Returns:
        dict[str, Tensor | None] | None: ``(n,)`` indices by modality, None for one that is not encoded; or None if no sample of any process
        lacks anything.

    Raises:
        ConfigError: If samples lack a modality and streams interact, or batch statistics are not those of all processes.
    """
    if present is None and get_world_size() == 1:
        return None
    totals = [count if present is None else int(present[name].sum()) for name in names]
    totals = torch.tensor([*totals, present is not None], dtype=torch.int64, device=device)
    all_reduce(totals)
    *totals, masked = totals.tolist()
    if not masked:
        return None
    if len(model.backbone.interactions):
        raise ConfigError('samples that lack a modality cannot be trained with interacting streams, each of which needs the others: leave '
                          'out these samples, or the interactions.')
    if get_world_size() > 1 and any(type(m) in (nn.BatchNorm1d, nn.BatchNorm2d) for m in model.modules()):
        raise ConfigError("samples that lack a modality need batch statistics over all processes: set sync_bn = 'torch'.")
    everyone = torch.ones(count, dtype=torch.bool, device=device)
    return {name: (everyone if present is None else present[name]).nonzero()[:, 0] if total > 1 else None
            for name, total in zip(names, totals)}


def extract_present_embeddings(model: nn.Module, batch: Mapping, rows: Mapping | None) -> dict:
    """Embeddings of the samples that are there.

    Args:
        model (MultimodalPretraining): The model.
        batch (dict[str, Tensor]): ``(N, C, H, W)`` by modality.
        rows (dict[str, Tensor | None] | None): See :func:`rows_to_encode`.

    Returns:
        dict[str, Tensor]: ``(N, K)`` by modality; 0 in the rows of absent samples.
    """
    if rows is None:
        return model.extract_embeddings(batch)
    kept = {name: batch[name][index] for name, index in rows.items() if index is not None}
    encoded = model.extract_embeddings(kept) if kept else {}
    out = {}
    for name, x in batch.items():
        if name in encoded:
            out[name] = encoded[name].new_zeros(len(x), model.neck.out_channels).index_put((rows[name], ), encoded[name])
        else:
            # 0 with a gradient of 0: every parameter must take part in the reduction of DistributedDataParallel.
            parts = (model.backbone.streams[name], model.neck.projectors[name])
            nothing = sum(p.flatten()[:1].sum() * 0 for part in parts for p in part.parameters() if p.requires_grad)
            out[name] = x.new_zeros(len(x), model.neck.out_channels) + nothing
    return out

"""Samples to a batch, by modality."""
from collections.abc import Sequence

import torch
from mmengine.registry import FUNCTIONS


def _stack(tensors: Sequence, present: Sequence) -> torch.Tensor:
    model = next((t for t, there in zip(tensors, present) if there), tensors[0])
    return torch.stack([t.to(model.dtype) if there or t.shape == model.shape else torch.zeros_like(model)
                        for t, there in zip(tensors, present)])


@FUNCTIONS.register_module()
def multimodal_collate(batch: Sequence) -> dict:
    """Stack what :class:`~decur.transforms.PackModalities` packed.

    Args:
        batch (Sequence[dict]): ``inputs`` (``{name: (C, H, W)}`` or ``{name: [view, ...]}``) and ``data_samples``.

    Returns:
        dict: ``inputs``: ``{name: (N, C, H, W)}`` or ``{name: [(N, C, H, W), ...]}``, in the dtype and size of the samples that are present
            (an absent one is zeros); ``data_samples``: the list.
    """
    samples = [item['data_samples'] for item in batch]
    inputs = {}
    for name, first in batch[0]['inputs'].items():
        present = [(getattr(sample, 'present', None) or {}).get(name, True) for sample in samples]
        if isinstance(first, list | tuple):
            inputs[name] = [_stack([item['inputs'][name][view] for item in batch], present) for view in range(len(first))]
        else:
            inputs[name] = _stack([item['inputs'][name] for item in batch], present)
    return dict(inputs=inputs, data_samples=samples)

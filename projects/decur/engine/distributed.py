"""Distributed data parallel training on a CPU-only machine (gloo)."""
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class GlooDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper without a CUDA device.

    :func:`decur.engine.prepare` chooses it where there is no GPU, so that a config needs no change.

    Args:
        module (nn.Module): The model.
        sync_bn (bool): Batch statistics over all processes, as ``sync_bn='torch'`` gives on GPUs. Defaults to False.
        **kwargs: As MMEngine's wrapper; ``device_ids`` is dropped.
    """

    def __init__(self, module: nn.Module, sync_bn: bool = False, **kwargs):
        from decur.models.layers import convert_batch_norm
        kwargs['device_ids'] = None
        kwargs.setdefault('broadcast_buffers', False)
        super().__init__(module=convert_batch_norm(module) if sync_bn else module, **kwargs)

"""Parameters, FLOPs, training memory and latency of any config's model."""
import copy
import time
from collections.abc import Mapping, Sequence

import torch
from mmengine.config import Config
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..errors import ConfigError
from ..modalities import concat
from .model import build_model

#: What counts, for reports: one multiply-add is two FLOPs; tools that print multiply-adds give half of it.
FLOPS_TOOL = 'torch.utils.flop_counter (matrix products, convolutions and attention; a multiply-add counts 2)'


def build_for_analysis(cfg: Config) -> tuple:
    """A config's model in eval mode, uninitialised beyond its constructor, and its modality entries.

    Raises:
        ConfigError: If the model has no modalities.
    """
    model = build_model(cfg).eval()
    modalities = getattr(getattr(model, 'backbone', None), 'modalities', None)
    if not modalities:
        raise ConfigError('the model of the config has no backbone with modalities.')
    return model, modalities


def example_inputs(model: nn.Module, modalities: Mapping, size: Sequence[int], batch: int = 1):
    """Random input in the form that the model takes: by modality, or one tensor ``(N, sum C, H, W)`` for a segmentor.

    Raises:
        ConfigError: If size or batch is not positive.
    """
    if min(*size, batch) < 1:
        raise ConfigError(f'size {tuple(size)} and batch {batch} must be positive.')
    inputs = {name: torch.randn(batch, entry['channels'], *size) for name, entry in modalities.items()}
    # Segmentation models of mmseg take one tensor (docs/architecture.md).
    return concat(inputs, modalities) if hasattr(model, 'decode_head') else inputs


def count_parameters(model: nn.Module) -> dict:
    """Numbers of parameters: ``total``, ``trainable``, and by part (``backbone.streams.<name>``, ``neck``, ``decode_head``, ...)."""
    parts = {}
    for name, parameter in model.named_parameters():
        pieces = name.split('.')
        depth = 3 if pieces[:2] == ['backbone', 'streams'] else 2 if pieces[0] == 'backbone' else 1
        key = '.'.join(pieces[:depth])
        parts[key] = parts.get(key, 0) + parameter.numel()
    return dict(total=sum(parts.values()), trainable=sum(p.numel() for p in model.parameters() if p.requires_grad), parts=parts)


def count_flops(model: nn.Module, inputs) -> int:
    """FLOPs of one forward pass, by :data:`FLOPS_TOOL`, without computing anything (on the meta device).

    Args:
        model (nn.Module): Its parameters are copied without their values.
        inputs: As from :func:`example_inputs`.
    """
    meta = copy.deepcopy(model).to('meta').eval()
    inputs = inputs.to('meta') if isinstance(inputs, torch.Tensor) else {name: x.to('meta') for name, x in inputs.items()}
    # The fused CPU kernel of attention is unknown to the counter; the plain one is made of matrix products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        meta(inputs, mode='tensor')
    return counter.get_total_flops()


def training_memory(model: nn.Module, cfg: Config, inputs, batch: int) -> dict:
    """What a training step holds at least, in bytes, without computing anything (on the meta device).

    Activations are what autograd keeps for the backward pass: of both views of every modality in pretraining. Frozen parts keep none. They
    are counted in float32; with bfloat16 autocast about half of it is needed. Workspaces of the device's libraries, and the attention of a
    fused kernel, which keeps less than the plain one that is counted here, are what makes the measured figure another.

    Args:
        model (nn.Module): The config's.
        cfg (Config): Its optimiser says how many numbers it keeps for each parameter.
        inputs: As from :func:`example_inputs`.
        batch (int): Samples in ``inputs``.

    Returns:
        dict: ``state``: weights, gradients and the optimiser's state. ``sample``: activations of a sample.
    """
    meta = copy.deepcopy(model).to('meta').train()
    pretraining = hasattr(meta, 'extract_embeddings')
    if pretraining:
        meta.micro_batch = None
    inputs = inputs.to('meta') if isinstance(inputs, torch.Tensor) else {name: x.to('meta') for name, x in inputs.items()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), sdpa_kernel(SDPBackend.MATH):
        output = meta.extract_embeddings(inputs) if pretraining else meta(inputs, mode='tensor')
    own = {t.untyped_storage()._cdata for t in (*meta.parameters(), *meta.buffers())}
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    del output
    optimizer = cfg.get('optim_wrapper', {}).get('optimizer', {})
    moments = 2 if 'Adam' in str(optimizer.get('type', '')) else 1 if optimizer.get('momentum', .9) else 0
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    views = getattr(model.head, 'num_views', 2) if pretraining else 1
    return dict(state=weights + 4 * trained * (1 + moments), sample=activations * views / batch)


@torch.inference_mode()
def measure_latency(model: nn.Module, inputs, repeats: int = 10, warmup: int = 2) -> dict:
    """Seconds of a forward pass: ``median``, ``fastest``, ``slowest``; ``device`` and ``threads`` it was measured on."""
    device = next(model.parameters()).device
    inputs = inputs.to(device) if isinstance(inputs, torch.Tensor) else {name: x.to(device) for name, x in inputs.items()}
    times = []
    for i in range(warmup + repeats):
        start = time.perf_counter()
        model(inputs, mode='tensor')
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        if i >= warmup:
            times.append(time.perf_counter() - start)
    times.sort()
    return dict(median=times[len(times) // 2], fastest=times[0], slowest=times[-1], device=str(device), threads=torch.get_num_threads())

"""Exact large batches on small devices: gradient caching (Gao et al., arXiv 2101.06983).

A loss over the whole batch, such as a cross-correlation, needs the features of all samples at once, but not the graphs of their encoders.
The encoders run over micro-batches without a graph; projectors and objective see the whole batch; the loss's gradient with respect to the
features then enters a second pass over each micro-batch, now with its graph. The gradient is that of one pass over the whole batch, at the
memory of a micro-batch's graph and the time of one more forward pass.

Batch norm in an encoder takes its statistics from a micro-batch (over all processes where it is synchronised), as if this were the batch:
the gradient is then exactly that of this model, and not of one whose statistics are of the whole batch. Encoders without batch statistics
(ViT, MiT, frozen statistics) give the same numbers as in one pass. The projectors' batch norm always has the statistics of the whole batch.
"""
from collections.abc import Callable, Mapping
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from decur.errors import ConfigError

from .deferred import Deferred


def check_micro_batch(micro_batch: int | None) -> int | None:
    """The option, checked: batch norm needs two samples, and a batch is cut into parts of nearly equal size.

    Raises:
        ConfigError: If it is not None or a whole number of at least 4.
    """
    if micro_batch is not None and (isinstance(micro_batch, bool) or not isinstance(micro_batch, int) or micro_batch < 4):
        raise ConfigError(f'micro_batch must be None or a whole number of at least 4 samples, got {micro_batch!r}.')
    return micro_batch


def cached_features(backbone: nn.Module, inputs: Mapping, micro_batch: int) -> dict:
    """``backbone.features(inputs)`` by micro-batches, with a gradient that costs the memory of one of them.

    Args:
        backbone (MultimodalBackbone): Streams that interact are run together, others one after the other.
        inputs (dict[str, Tensor | Deferred]): ``(N, C, H, W)`` by modality; N may differ where streams do not interact. Of what is
            deferred (:class:`~decur.models.deferred.Deferred`) a part is made when it is encoded.
        micro_batch (int): Most samples of this process that are encoded at a time.

    Returns:
        dict[str, Tensor]: ``(N, F)`` by modality. No gradient reaches the inputs.
    """
    groups = [tuple(inputs)] if len(backbone.interactions) else [(name, ) for name in inputs]
    features = {}
    for names in groups:
        parts = [backbone.streams[name] for name in names] + ([backbone.interactions] if len(backbone.interactions) else [])
        parameters = [p for part in parts for p in part.parameters() if p.requires_grad]
        images = [inputs[name] for name in names]

        def encode(images, names=names):
            return tuple(backbone.features(dict(zip(names, images))).values())

        norms = [module for part in parts for module in part.modules() if isinstance(module, _BatchNorm)]
        run = _Run(encode, images, norms, _number_of_parts(len(images[0]), micro_batch, images[0].device))
        features.update(zip(names, _Cached.apply(run, *parameters)))
    return features


def _number_of_parts(count: int, micro_batch: int, device: torch.device) -> int:
    """How many micro-batches there are: the same in all processes, whose batch norms may wait for each other."""
    number = max(1, -(-count // micro_batch))
    if get_world_size() > 1:
        number = torch.tensor(number, device=device)
        all_reduce(number, 'max')
        number = int(number)
    return number


class _Run:
    """A function of images and parameters that is run in parts, twice with the same random draws."""

    def __init__(self, encode: Callable, images: list, norms: list, number: int):
        self.encode, self.norms, self.number = encode, norms, number
        self.parts = list(zip(*(x.tensor_split(number) for x in images)))
        self.states: list = []
        self.device = images[0].device.type
        # The mode of mixed precision, which the backward pass is outside of.
        self.autocast = dict(device_type=self.device, enabled=torch.is_autocast_enabled(self.device),
                             dtype=torch.get_autocast_dtype(self.device), cache_enabled=False)

    def first(self, part: int) -> tuple:
        """A part without a graph."""
        self.states.append(self._state())
        return self._forward(part)

    def second(self, part: int) -> tuple:
        """The same part with its graph: same draws, and batch norms that do not count it again."""
        with torch.random.fork_rng([torch.cuda.current_device()] if self.device == 'cuda' else []), _uncounted(self.norms):
            cpu, cuda = self.states[part]
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state(cuda)
            return self._forward(part)

    def _forward(self, part: int) -> tuple:
        with torch.no_grad():
            images = [x.tensor() if isinstance(x, Deferred) else x for x in self.parts[part]]
        with torch.autocast(**self.autocast):
            return self.encode(images)

    def _state(self) -> tuple:
        return torch.get_rng_state(), torch.cuda.get_rng_state() if self.device == 'cuda' else None


@contextmanager
def _uncounted(norms: list):
    """Batch norms normalise as before and leave their running statistics alone."""
    counts = [None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms]
    rates = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.
    try:
        yield
    finally:
        for norm, rate, count in zip(norms, rates, counts):
            norm.momentum = rate
            if count is not None:
                norm.num_batches_tracked.copy_(count)


class _Cached(torch.autograd.Function):
    """Parameters to features. The parameters are arguments, so that each gets its gradient once, summed over the parts: as
    DistributedDataParallel, loss scaling and any optimiser expect it."""

    @staticmethod
    def forward(ctx, run: _Run, *parameters: Tensor) -> tuple:
        ctx.run = run
        ctx.save_for_backward(*parameters)
        found = [run.first(part) for part in range(run.number)]
        return tuple(torch.cat(parts) for parts in zip(*found))

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple:
        parameters = ctx.saved_tensors
        total = [None] * len(parameters)
        for part, gradient in enumerate(zip(*(g.tensor_split(ctx.run.number) for g in gradients))):
            with torch.enable_grad():
                features = ctx.run.second(part)
            found = torch.autograd.grad(features, parameters, gradient, allow_unused=True)
            for i, value in enumerate(found):
                if value is not None:
                    total[i] = value if total[i] is None else total[i].add_(value)
        return None, *total

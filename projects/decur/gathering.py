"""What processes tell one another: an all-gather of tensors with different numbers of rows, with and without gradient, and a flag."""
from collections.abc import Sequence

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def any_process(flag: bool) -> bool:
    """Whether a flag is set in any process."""
    value = torch.tensor(float(flag))
    all_reduce(value, 'max')
    return bool(value)


def gather_integers(values: Sequence, device: torch.device) -> list:
    """The integers of every process, in the order of their ranks; equally many on each."""
    if get_world_size() == 1:
        return [list(values)]
    own = torch.tensor(values, dtype=torch.int64, device=device)
    everyone = [torch.empty_like(own) for _ in range(get_world_size())]
    dist.all_gather(everyone, own)
    return torch.stack(everyone).tolist()


def gather_rows(x: Tensor, counts: Sequence) -> Tensor:
    """Concatenate the rows of all processes in the order of their ranks, without gradient.

    Args:
        x (Tensor): ``(n_r, ...)`` of any dtype; the same trailing shape on every process.
        counts (Sequence[int]): n_r of every process.

    Returns:
        Tensor: ``(sum n_r, ...)`` of the same dtype.
    """
    if len(counts) == 1:
        return x.detach()
    # Sent as bytes, because no backend supports every dtype (bfloat16, bool), and padded to the largest number of rows.
    sent = torch.zeros((max(counts), x.shape[1:].numel() * x.element_size()), dtype=torch.uint8, device=x.device)
    if len(x):
        sent[:len(x)] = x.detach().contiguous().reshape(len(x), -1).view(torch.uint8)
    received = torch.empty((len(counts) * max(counts), sent.shape[1]), dtype=torch.uint8, device=x.device)
    dist.all_gather_into_tensor(received, sent)
    if min(counts) != max(counts):
        blocks = received.split(max(counts))
        received = torch.cat([block[:count] for block, count in zip(blocks, counts)])
    return received.view(x.dtype).reshape(sum(counts), *x.shape[1:])


def gather_rows_with_gradient(x: Tensor, counts: Sequence, scale: float) -> Tensor:
    """As :func:`gather_rows`; in the backward pass every process takes the gradient of its own rows times ``scale``.

    Nothing is communicated in the backward pass. If every process computes the same loss from all rows and DistributedDataParallel
    averages the gradients of the parameters, ``scale = W``, the number of processes, gives the parameters the sum of what all rows
    contribute: exactly the gradient of one process on the concatenated batch.
    """
    return _GatherRows.apply(x, counts, scale)


class _GatherRows(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, counts: Sequence, scale: float) -> Tensor:
        ctx.start = sum(counts[:dist.get_rank()])
        ctx.rows, ctx.scale = x.shape[0], scale
        return gather_rows(x, counts)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad[ctx.start:ctx.start + ctx.rows] * ctx.scale, None, None

"""Rows of all processes, brought together."""
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(x: Tensor, counts: Sequence) -> Tensor:
    """Concatenate the rows of all processes in the order of their ranks, without gradient.

    Args:
        x (Tensor): ``(n_r, ...)`` of any dtype; the same trailing shape on every process.
        counts (Sequence[int]): n_r of every process.

    Returns:
        Tensor: ``(sum n_r, ...)`` of the same dtype.
    """
    # As bytes: every backend sends them, whatever it thinks of bfloat16 or bool. Rows are filled up to the longest process.
    row = x[:1].numel() * x.element_size() if len(x) else x.new_empty((1, *x.shape[1:])).numel() * x.element_size()
    sent = torch.zeros((max(counts), row), dtype=torch.uint8, device=x.device)
    if len(x):
        sent[:len(x)] = x.detach().contiguous().reshape(len(x), -1).view(torch.uint8)
    received = torch.empty((len(counts) * max(counts), row), dtype=torch.uint8, device=x.device)
    dist.all_gather_into_tensor(received, sent)
    if min(counts) != max(counts):
        blocks = received.split(max(counts))
        received = torch.cat([block[:count] for block, count in zip(blocks, counts)])
    return received.view(x.dtype).reshape(sum(counts), *x.shape[1:])

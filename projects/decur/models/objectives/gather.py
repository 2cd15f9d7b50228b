"""The whole batch on every process: embeddings are gathered forwards, and nothing is sent backwards.

Every process computes the loss of the whole batch. Only its own rows carry a gradient, which is multiplied by the number of processes,
because DistributedDataParallel divides by it afterwards. The parameters then receive the sum of what the rows of all processes give:
exactly the gradient of one process on the concatenated batch.
"""
import zlib
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from decur.errors import ConfigError, DataError
from decur.gathering import gather_rows

GRAD_REDUCES = ('exact', 'published')


def world_size() -> int:
    """Number of processes of the default group, 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _GatherRows(torch.autograd.Function):
    """``(n_r, ...)`` of every process to ``(sum n_r, ...)``; the gradient is the own rows' times ``scale``."""

    @staticmethod
    def forward(ctx, x: Tensor, counts: Sequence, scale: float) -> Tensor:
        ctx.start = sum(counts[:dist.get_rank()])
        ctx.rows, ctx.scale = x.shape[0], scale
        return gather_rows(x, counts)

    @staticmethod
    def backward(ctx, grad: Tensor):
        own = grad[ctx.start:ctx.start + ctx.rows]
        return (own * ctx.scale if ctx.scale != 1 else own), None, None


def check_embeddings(embeddings: Mapping, present: Mapping | None, views: int, least: int = 2) -> tuple:
    """Check the arguments that all objectives share.

    Args:
        embeddings (Mapping[str, Sequence[Tensor]]): At least ``views`` tensors ``(N, K)`` by modality.
        present (Mapping[str, Tensor], optional): ``(N,)`` bool by modality; a modality that it leaves out has every sample.
        views (int): How many views the objective reads.
        least (int): How many modalities it needs. Defaults to 2.

    Returns:
        tuple: ``{name: tuple of views}`` and ``{name: (N,) bool}`` or None.

    Raises:
        ConfigError: If there are too few modalities or views.
        DataError: If shapes disagree.
    """
    if not isinstance(embeddings, Mapping) or len(embeddings) < least:
        names = list(embeddings) if isinstance(embeddings, Mapping) else type(embeddings).__name__
        raise ConfigError(f'the objective relates at least {least} modalities, got {names}. Add a modality to the config, or train one '
                          'modality alone with a method for one.')
    out = {}
    for name, value in embeddings.items():
        value = (value, ) if isinstance(value, Tensor) else tuple(value)
        if len(value) < views:
            raise ConfigError(f'modality {name!r} has {len(value)} view(s), the objective reads {views}.')
        out[name] = value[:views]
    first_name, first = next((name, value[0]) for name, value in out.items())
    for name, value in out.items():
        for index, z in enumerate(value):
            if z.ndim != 2 or z.shape != first.shape:
                raise DataError(f'embeddings must all be (N, K) of one shape: modality {name!r} view {index + 1} is {tuple(z.shape)}, '
                                f'{first_name!r} view 1 is {tuple(first.shape)}.')
            if not z.is_floating_point():
                raise DataError(f'embeddings must be floating point: modality {name!r} view {index + 1} is {z.dtype}.')
    if present is None:
        return out, None
    masks = {}
    for name in out:
        mask = present.get(name)
        mask = first.new_ones(len(first), dtype=torch.bool) if mask is None else torch.as_tensor(mask, device=first.device).bool()
        if mask.shape != (len(first), ):
            raise DataError(f'present[{name!r}] must be ({len(first)},), one entry a sample, got {tuple(mask.shape)}.')
        masks[name] = mask
    unknown = [name for name in present if name not in out]
    if unknown:
        raise ConfigError(f'present names {unknown}, the embeddings only {list(out)}.')
    return out, masks


def gather_embeddings(embeddings: Mapping, present: Mapping | None, grad_reduce: str = 'exact') -> tuple:
    """The batch of all processes, from checked arguments.

    Args:
        embeddings (dict[str, tuple[Tensor]]): Views ``(n_r, K)`` of this process; n_r may differ between processes and may be 0.
        present (dict[str, Tensor] | None): ``(n_r,)`` bool; may be None on some processes only.
        grad_reduce (str): ``'exact'``: after DistributedDataParallel's averaging the parameters get the gradient of one process on the
            whole batch. ``'published'``: they get 1/W of it, as in the published code. Defaults to ``'exact'``.

    Returns:
        tuple: The same two with N = sum n_r rows. float64 stays; everything else becomes float32.

    Raises:
        ConfigError: If the option is unknown.
        DataError: If processes disagree on modalities or widths, or there are fewer than 2 samples in all.
    """
    if grad_reduce not in GRAD_REDUCES:
        raise ConfigError(f'grad_reduce must be one of {GRAD_REDUCES}, got {grad_reduce!r}.')
    views = [z for value in embeddings.values() for z in value]
    dtypes = {z.dtype for z in views}
    if len(dtypes) > 1:
        common = torch.float64 if torch.float64 in dtypes else torch.float32
        views = [z.to(common) for z in views]
    dtype = torch.float64 if views[0].dtype == torch.float64 else torch.float32
    rows, width = views[0].shape
    world = world_size()
    if world > 1:
        # What every process must know first: sizes, whether anybody has masks, and that all mean the same thing.
        meaning = zlib.crc32(repr([(name, len(value)) for name, value in embeddings.items()]).encode())
        own = torch.tensor([rows, width, views[0].element_size(), meaning, present is not None], dtype=torch.int64, device=views[0].device)
        everyone = [torch.empty_like(own) for _ in range(world)]
        dist.all_gather(everyone, own)
        everyone = torch.stack(everyone).tolist()
        if any(other[1:4] != everyone[0][1:4] for other in everyone):
            raise DataError('processes disagree on the embeddings: (rows, width, bytes, checksum of names, masked) by process are '
                            f'{everyone}; this one has {list(embeddings)}.')
        counts = [other[0] for other in everyone]
        rows = sum(counts)
        if rows >= 2:
            scale = world if grad_reduce == 'exact' else 1
            # One message for all views.
            stacked = _GatherRows.apply(torch.stack(views, dim=1), counts, scale)
            views = list(stacked.unbind(1))
        if any(other[4] for other in everyone) and rows >= 2:
            masks = present or {name: views[0].new_ones(counts[dist.get_rank()], dtype=torch.bool) for name in embeddings}
            masks = gather_rows(torch.stack(list(masks.values()), dim=1), counts)
            present = dict(zip(embeddings, masks.unbind(1)))
    if rows < 2:
        raise DataError(f'batch statistics need at least 2 samples in the batch of all processes, got {rows}. Raise the batch size.')
    views = iter([z.to(dtype) for z in views])
    gathered = {name: tuple(next(views) for _ in value) for name, value in embeddings.items()}
    if present is not None and all(bool(mask.all()) for mask in present.values()):
        present = None
    return gathered, present

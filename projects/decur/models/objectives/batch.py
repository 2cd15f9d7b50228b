"""The batch that an objective is computed on: the checked embeddings of all processes, and which samples have which modality."""
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from decur.errors import ConfigError, DataError, check_choice
from decur.gathering import gather_rows, gather_rows_with_gradient, world_size
from decur.modalities import check_names

GRAD_REDUCES = ('exact', 'published')


@dataclass(frozen=True, eq=False)
class Batch:
    """Embeddings of the batch of all processes.

    Attributes:
        views (dict[str, tuple[Tensor]]): Views ``(N, K)`` by modality, all float32 or all float64.
        present (dict[str, Tensor] | None): ``(N,)`` bool by modality; None where every sample has every modality.
    """

    views: Mapping
    present: Mapping | None = None

    @property
    def width(self) -> int:
        """The embedding width K."""
        return next(iter(self.views.values()))[0].shape[1]

    def rows(self, name: str, view: int, needed: tuple) -> Tensor:
        """One view ``(n, K)`` of the samples that have all modalities in ``needed``; no rows at all if these are fewer than 2."""
        z = self.views[name][view]
        if self.present is None:
            return z
        kept = torch.stack([self.present[m] for m in needed]).all(dim=0).nonzero()[:, 0]
        return z[kept if len(kept) > 1 else kept[:0]]


def gather_batch(embeddings: Mapping, present: Mapping | None, num_views: int, grad_reduce: str) -> Batch:
    """Check the arguments that all objectives share and gather the batch of all processes.

    Args:
        embeddings (Mapping[str, Sequence[Tensor]]): At least ``num_views`` tensors ``(n_r, K)`` of any floating dtype by modality, of
            this process r; n_r may differ between processes and may be 0. They are sent in their dtype.
        present (Mapping[str, Tensor], optional): ``(n_r,)`` bool by modality, on some processes or all. A modality that it leaves out has
            every sample.
        num_views (int): How many views the objective reads.
        grad_reduce (str): ``'exact'``: after DistributedDataParallel's averaging the parameters get the gradient of one process on the
            whole batch. ``'published'``: they get 1/W of it, as in the published code.

    Returns:
        Batch: With N = sum n_r rows; float64 stays, everything else becomes float32.

    Raises:
        ConfigError: If there are too few modalities or views, or an option is unknown.
        DataError: If shapes disagree, processes disagree on modalities or widths, or there are fewer than 2 samples in all processes.
    """
    check_choice('grad_reduce', grad_reduce, GRAD_REDUCES)
    views = _check_views(embeddings, num_views)
    present = _check_present(present, views)
    tensors = [z for value in views.values() for z in value]
    if len({z.dtype for z in tensors}) > 1:
        widest = torch.float64 if any(z.dtype == torch.float64 for z in tensors) else torch.float32
        tensors = [z.to(widest) for z in tensors]
    rows = len(tensors[0])
    if world_size() > 1:
        rows, tensors, present = _all_gather(views, tensors, present, grad_reduce)
    if rows < 2:
        raise DataError(f'batch statistics need at least 2 samples in the batch of all processes, got {rows}. Raise the batch size.')
    if present is not None and all(bool(mask.all()) for mask in present.values()):
        present = None
    tensors = iter([z if z.dtype == torch.float64 else z.float() for z in tensors])
    return Batch({name: tuple(next(tensors) for _ in value) for name, value in views.items()}, present)


def _check_views(embeddings: Mapping, num_views: int) -> dict:
    """``num_views`` views by modality, all of one shape (N, K) and floating point."""
    if not isinstance(embeddings, Mapping) or len(embeddings) < 2:
        got = list(embeddings) if isinstance(embeddings, Mapping) else type(embeddings).__name__
        raise ConfigError(f'the objective relates at least 2 modalities, got {got}. Add a modality to the config, or train one '
                          'modality alone with a method for one.')
    views = {name: ((value, ) if isinstance(value, Tensor) else tuple(value))[:num_views] for name, value in embeddings.items()}
    for name, value in views.items():
        if len(value) < num_views:
            raise ConfigError(f'modality {name!r} has {len(value)} view(s), the objective reads {num_views}.')
    first_name, (first, *_) = next(iter(views.items()))
    for name, value in views.items():
        for number, z in enumerate(value, 1):
            if z.ndim != 2 or z.shape != first.shape:
                raise DataError(f'embeddings must all be (N, K) of one shape: modality {name!r} view {number} is {tuple(z.shape)}, '
                                f'{first_name!r} view 1 is {tuple(first.shape)}.')
            if not z.is_floating_point():
                raise DataError(f'embeddings must be floating point: modality {name!r} view {number} is {z.dtype}.')
    return views


def _check_present(present: Mapping | None, views: Mapping) -> dict | None:
    """A mask (N,) for every modality, or None."""
    if present is None:
        return None
    check_names(present, views)
    first = next(iter(views.values()))[0]
    masks = {}
    for name in views:
        mask = present.get(name)
        mask = first.new_ones(len(first), dtype=torch.bool) if mask is None else torch.as_tensor(mask, device=first.device).bool()
        if mask.shape != (len(first), ):
            raise DataError(f'present[{name!r}] must be ({len(first)},), one entry a sample, got {tuple(mask.shape)}.')
        masks[name] = mask
    return masks


def _all_gather(views: Mapping, tensors: list, present: Mapping | None, grad_reduce: str) -> tuple:
    """Number of rows, tensors and masks of all processes."""
    world, (n, width), device = world_size(), tensors[0].shape, tensors[0].device
    # Sizes, whether any process has masks, and a checksum that tells whether all processes mean the same modalities.
    checksum = zlib.crc32(repr([(name, len(value)) for name, value in views.items()]).encode())
    own = torch.tensor([n, width, tensors[0].element_size(), checksum, present is not None], dtype=torch.int64, device=device)
    everyone = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(everyone, own)
    everyone = torch.stack(everyone).tolist()
    if any(other[1:4] != everyone[0][1:4] for other in everyone):
        raise DataError('processes disagree on the embeddings: (rows, width, bytes, checksum of names, masked) by process are '
                        f'{everyone}; this one has {list(views)}.')
    counts = [other[0] for other in everyone]
    if sum(counts) < 2:
        return sum(counts), tensors, present
    # One message for all views.
    stacked = gather_rows_with_gradient(torch.stack(tensors, dim=1), counts, world if grad_reduce == 'exact' else 1)
    if any(other[4] for other in everyone):
        masks = present or {name: torch.ones(n, dtype=torch.bool, device=device) for name in views}
        present = dict(zip(views, gather_rows(torch.stack(list(masks.values()), dim=1), counts).unbind(1)))
    return sum(counts), stacked.unbind(1), present

"""The batch that an objective is computed on: the checked embeddings of all processes, and which samples have which modality."""
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from decur.errors import ConfigError, DataError, check_choice
from decur.gathering import gather_integers, gather_rows, gather_rows_with_gradient
from decur.modalities import check_names


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
    check_choice('grad_reduce', grad_reduce, ('exact', 'published'))
    views = _check_views(embeddings, num_views)
    present = _check_present(present, views)
    tensors = [z for value in views.values() for z in value]
    (n, width), device = tensors[0].shape, tensors[0].device
    dtype = reduce(torch.promote_types, [z.dtype for z in tensors])
    tensors = [z.to(dtype) for z in tensors]
    # The checksum tells whether all processes mean the same modalities.
    checksum = zlib.crc32(repr([(name, len(value)) for name, value in views.items()]).encode())
    everyone = gather_integers([n, width, dtype.itemsize, checksum, present is not None], device)
    if any(other[1:4] != everyone[0][1:4] for other in everyone):
        raise DataError('processes disagree on the embeddings: (rows, width, bytes, checksum of names, masked) by process are '
                        f'{everyone}; this one has {list(views)}.')
    counts = [other[0] for other in everyone]
    if sum(counts) < 2:
        raise DataError(f'batch statistics need at least 2 samples in the batch of all processes, got {sum(counts)}. Raise the batch size.')
    if len(counts) > 1:  # one message for all views
        tensors = gather_rows_with_gradient(torch.stack(tensors, dim=1), counts, len(counts) if grad_reduce == 'exact' else 1).unbind(1)
        if any(other[4] for other in everyone):
            masks = present or {name: torch.ones(n, dtype=torch.bool, device=device) for name in views}
            present = dict(zip(views, gather_rows(torch.stack(list(masks.values()), dim=1), counts).unbind(1)))
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
    expected = None
    for name, value in views.items():
        if len(value) < num_views:
            raise ConfigError(f'modality {name!r} has {len(value)} view(s), the objective reads {num_views}.')
        for number, z in enumerate(value, 1):
            expected = expected or z.shape
            if z.ndim != 2 or z.shape != expected:
                raise DataError(f'embeddings must all be (N, K) of one shape: modality {name!r} view {number} is {tuple(z.shape)}, '
                                f'{next(iter(views))!r} view 1 is {tuple(expected)}.')
            if not z.is_floating_point():
                raise DataError(f'embeddings must be floating point: modality {name!r} view {number} is {z.dtype}.')
    return views


def _check_present(present: Mapping | None, views: Mapping) -> dict | None:
    """A mask (N,) for every modality, or None."""
    if present is None:
        return None
    check_names(present, views)
    first = next(iter(views.values()))[0]
    everyone = first.new_ones(len(first), dtype=torch.bool)
    masks = {name: everyone if present.get(name) is None else torch.as_tensor(present[name], device=first.device).bool() for name in views}
    for name, mask in masks.items():
        if mask.shape != everyone.shape:
            raise DataError(f'present[{name!r}] must be ({len(first)},), one entry a sample, got {tuple(mask.shape)}.')
    return masks

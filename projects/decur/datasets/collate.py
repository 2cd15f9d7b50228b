"""Samples to a batch, by modality, and the way of a batch out of the process that loads it."""
import multiprocessing.queues
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence

import torch
from mmengine.registry import FUNCTIONS
from mmengine.structures import BaseDataElement
from torch.utils.data import get_worker_info

from decur.errors import DataError, first_line

from .batch_memory import BatchMemory

#: The memory of the batch that this worker is collating.
_memory: BatchMemory | None = None


def _stack(name: str, tensors: Sequence, present: Sequence, samples: Sequence) -> torch.Tensor:
    shapes = {tuple(t.shape): getattr(sample, 'sample_id', None) for t, there, sample in zip(tensors, present, samples) if there}
    if len(shapes) > 1:
        (one, first), (other, second), *_ = shapes.items()
        raise DataError(f'modality {name!r}: images of a batch differ in shape, {one} of sample {first!r} and {other} of sample '
                        f'{second!r}. Bring them to one: MakeViews(on="cpu"), CenterView, or the size option of the reader.')
    model = next((t for t, there in zip(tensors, present) if there), tensors[0])
    tensors = [t.to(model.dtype) if there or t.shape == model.shape else torch.zeros_like(model) for t, there in zip(tensors, present)]
    return torch.stack(tensors) if _memory is None else _memory.stack(tensors)


@FUNCTIONS.register_module()
def multimodal_collate(batch: Sequence) -> dict:
    """Stack what :class:`~decur.transforms.PackModalities` packed.

    Args:
        batch (Sequence[dict]): ``inputs`` (``{name: (C, H, W)}`` or ``{name: [view, ...]}``) and ``data_samples``.

    Returns:
        dict: ``inputs``: ``{name: (N, C, H, W)}`` or ``{name: [(N, C, H, W), ...]}``, in the dtype and size of the samples that are present
            (an absent one is zeros); ``data_samples``: the list.

    Raises:
        DataError: If the images of a modality differ in shape.
    """
    samples = [item['data_samples'] for item in batch]
    inputs = {}
    for name, first in batch[0]['inputs'].items():
        present = [(getattr(sample, 'present', None) or {}).get(name, True) for sample in samples]
        if isinstance(first, list | tuple):
            inputs[name] = [_stack(name, [item['inputs'][name][view] for item in batch], present, samples) for view in range(len(first))]
        else:
            inputs[name] = _stack(name, [item['inputs'][name] for item in batch], present, samples)
    return dict(inputs=inputs, data_samples=samples)


class SharedCollate:
    """A ``collate_fn`` for loaders with worker processes, whose batches go to the training in shared memory that is used again
    (:mod:`decur.datasets.batch_memory`), and which ends with an error where PyTorch would wait for ever.

    PyTorch asks for shared memory in a thread of its own, and where it gets none (``/dev/shm`` is full, a limit on the size of files or on
    their number) it prints a traceback and drops the batch, for which the training then waits. Here the memory is asked for before the
    batch leaves the function, so that the error takes the way of all others.

    Args:
        inner (Callable): From a list of samples to a batch.
        prefetch (int): Batches that a worker makes ahead (``prefetch_factor`` of the loader). Defaults to 2.

    Raises:
        DataError: In a worker that gets no shared memory, or whose batch has something that cannot be sent.
    """

    def __init__(self, inner: Callable, prefetch: int = 2):
        self.inner = inner
        self.pieces = prefetch + 1  # one is with the training
        self._own: BatchMemory | None = None

    def __call__(self, samples: Sequence):
        """The batch of some samples; if this is a worker, in the form in which it is sent."""
        if get_worker_info() is None:
            return self.inner(samples)
        global _memory
        multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_worker)
        _memory = self._own = self._own or BatchMemory(self.pieces)
        try:
            self._own.begin()
            batch = self.inner(samples)
        finally:
            _memory = None
        try:
            parcel = self._own.pack(batch)
            if parcel is None:
                _share(batch)
            return batch if parcel is None else parcel
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise DataError(f'a batch cannot be sent to the training: {first_line(error)}') from error
        except (RuntimeError, OSError) as error:
            size = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(batch))
            raise DataError(f'a process that loads data gets no shared memory for a batch of {size:,} bytes ({first_line(error)}). '
                            'Make /dev/shm larger (docker run --shm-size=8g), raise the limits on files (ulimit -f, ulimit -n), use a '
                            'smaller batch_size, or load in the main process: num_workers=0, persistent_workers=False.') from error


def _tensors(value):
    """All tensors of a batch."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping | BaseDataElement):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def _share(batch) -> None:
    for tensor in _tensors(batch):
        tensor.share_memory_()


def _end_worker(error: BaseException, batch) -> None:
    """What a worker does with a batch that it cannot send: it ends, which the training notices, instead of dropping the batch."""
    print(f'a batch cannot be sent to the training: {first_line(error)}', file=sys.stderr, flush=True)
    os._exit(1)

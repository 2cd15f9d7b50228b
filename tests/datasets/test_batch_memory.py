"""Batches come through shared memory that is used again, and nothing that the training holds ever changes."""
import gc
import os

import pytest
import torch
from torch.utils.data import DataLoader

from decur.datasets import SharedCollate, batch_memory, multimodal_collate
from decur.datasets.batch_memory import SMALL, BatchMemory

TIMEOUT = 120


class Sample:
    """A data sample without labels."""

    present = None


class Numbered(torch.utils.data.Dataset):
    """Samples whose values are their numbers; ``sides`` are repeated."""

    def __init__(self, count, sides=(200, )):
        self.count, self.sides = count, sides

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        side = self.sides[index // 2 % len(self.sides)]
        image = torch.full((2, side, side), index, dtype=torch.int16)
        return dict(inputs=dict(sar=[image, image + 1], dem=image.float()), data_samples=Sample())


def loader(dataset, prefetch=2, **kwargs):
    return DataLoader(dataset, 2, num_workers=1, prefetch_factor=prefetch, timeout=TIMEOUT,
                      collate_fn=SharedCollate(multimodal_collate, prefetch), **kwargs)


def check(batch, number):
    first = 2 * number
    for sample, index in enumerate((first, first + 1)):
        assert (batch['inputs']['sar'][0][sample] == index).all() and (batch['inputs']['sar'][1][sample] == index + 1).all()
        assert (batch['inputs']['dem'][sample] == index).all()
    assert batch['inputs']['sar'][0].dtype == torch.int16 and batch['inputs']['dem'].dtype == torch.float32


def places(batches):
    return {batch['inputs']['dem'].data_ptr() for batch in batches}


def test_the_same_memory_serves_all_batches():
    seen = set()
    for number, batch in enumerate(loader(Numbered(40))):
        check(batch, number)
        seen |= places([batch])
        assert batch['inputs']['dem'].untyped_storage().nbytes() == batch['inputs']['dem'].nbytes  # saved, it is not a whole batch
    assert number == 19 and len(seen) < 10  # three, and where one was let go of late, PyTorch's


@pytest.mark.parametrize('sides', [(200, ), (200, 260, 190)])
def test_what_is_held_never_changes(sides):
    """All batches are kept; those beyond the pieces take PyTorch's way. Batches that grow get larger pieces."""
    kept = list(loader(Numbered(24, sides)))
    for number, batch in enumerate(kept):
        check(batch, number)
    assert len(places(kept)) == 12
    for batch in loader(Numbered(24, sides)):  # other workers, other memory
        batch['inputs']['dem'].fill_(-1)  # and what the training does to its batch stays with it
    for number, batch in enumerate(kept):
        check(batch, number)


def test_one_tensor_of_a_batch_holds_its_memory():
    kept = []
    for batch in loader(Numbered(40)):
        kept.append(batch['inputs']['sar'][1][1, 0])  # a view of a view
    assert [int(image.unique()) for image in kept] == list(range(2, 41, 2))


def test_epochs_of_the_same_workers_and_of_others():
    same = loader(Numbered(12), persistent_workers=True)
    for _ in range(3):
        iterator = iter(same)
        check(next(iterator), 0)  # the rest is left
    for number, batch in enumerate(same):
        check(batch, number)
    del iterator, same, batch
    gc.collect()
    assert not batch_memory._received


def test_small_tensors_are_sent_by_value_and_odd_ones_too():
    odd = dict(scalar=torch.tensor(3.), empty=torch.empty(0, 4), half=torch.ones(3, dtype=torch.bfloat16), flag=torch.tensor([True]),
               across=torch.arange(1 << 16).view(256, 256).T, grad=torch.ones(2, requires_grad=True),
               conjugate=torch.complex(torch.ones(4), torch.ones(4)).conj())
    odd['twice'] = odd['across']
    memory = BatchMemory(2)
    memory.begin()
    function, values = memory.pack(odd).__reduce__()
    found = function(*values)
    for name, tensor in odd.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
    assert found['twice'] is found['across'] and found['grad'].requires_grad


def test_batches_are_collated_in_place():
    """From the second batch on every tensor is stacked into the memory in which it is sent."""
    memory = BatchMemory(1)
    for number in range(3):
        memory.begin()
        stacked = [memory.stack([torch.full((SMALL + 3, ), number + i, dtype=torch.uint8)] * 2) for i in range(3)]
        function, values = memory.pack(stacked).__reduce__()
        inside = [memory._piece.first <= tensor.data_ptr() < memory._piece.first + memory._piece.size for tensor in stacked]
        assert inside == [number > 0] * 3
        found = function(*values)
        assert [int(tensor.unique()) for tensor in found] == [number, number + 1, number + 2]
        del found


def test_a_copy_of_the_training_does_not_give_its_memory_back():
    memory = BatchMemory(1)
    memory.begin()
    function, values = memory.pack([torch.ones(SMALL)]).__reduce__()
    batch = function(*values)
    assert memory._full()
    child = os.fork()
    if not child:
        del batch
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert memory._full()
    memory.begin()
    assert memory.pack([torch.zeros(SMALL)]) is None and (batch[0] == 1).all()
    del batch
    assert not memory._full()

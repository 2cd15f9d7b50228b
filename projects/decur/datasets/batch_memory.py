"""The way of a batch out of a worker: a few pieces of shared memory that are used again and again.

PyTorch takes new shared memory for every tensor of every batch. The system clears and maps each of its pages, about 3 microseconds for
4 KiB, which for large images takes longer than reading and decoding them. Here a worker keeps a few pieces, one for each batch that is on
its way. It collates into one of them, and sends only where in it the tensors lie. The training, which maps a piece once, gets tensors of
that memory. A piece has one byte for each tensor of its batch: 1 while the training holds the tensor, and 0 from the moment that the last
reference to it is gone. A worker writes only to a piece whose bytes are all 0, so what the training holds never changes, however long it
is held. If all pieces are held, a batch goes PyTorch's way.
"""
import io
import multiprocessing
import os
import pickle
import weakref
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

#: Bytes at the beginning of a piece, one for each tensor of a batch.
_HEADER = 4096
#: Tensors lie at multiples of this many bytes.
_ALIGNMENT = 64
#: Tensors of fewer bytes are sent by value, so that a label that is kept does not hold a whole batch. The pipe takes 64 KiB.
SMALL = 1 << 12


class _Piece:
    """Shared memory for one batch at a time."""

    def __init__(self, number: int, size: int):
        self.number, self.size, self.sent = number, size, False
        self.memory = torch.empty(size, dtype=torch.uint8).share_memory_()
        self.first = self.memory.data_ptr()
        #: Which tensors of its batch the training holds.
        self.held = self.memory[:_HEADER].numpy()
        self.held[:] = 0

    @property
    def free(self) -> bool:
        return not self.held.any()

    def tensor(self, offset: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        size = dtype.itemsize * torch.Size(shape).numel()
        return self.memory[offset:offset + size].view(dtype).view(shape)


class BatchMemory:
    """The shared memory of a worker.

    Args:
        pieces (int): How many batches it may hold at most.
    """

    def __init__(self, pieces: int):
        self._limit, self._pieces, self._number = pieces, [], 0
        self._name, self._forgotten = uuid4().hex, []
        self._piece: _Piece | None = None
        self._used = self._largest = _HEADER

    def begin(self) -> None:
        """Choose the memory of the next batch, if there is some and it is known how much a batch takes."""
        self._used = _HEADER
        self._piece = max((piece for piece in self._pieces if piece.free), key=lambda piece: piece.size, default=None)
        if self._piece is None and self._largest > _HEADER and not self._full():
            try:
                self._piece = self._add(self._largest)
            except (RuntimeError, OSError):
                pass  # pack() says so, if there is none then either

    def _full(self) -> bool:
        """Whether there are as many pieces as there may be, all of them held."""
        return len(self._pieces) == self._limit and not any(piece.free for piece in self._pieces)

    def _add(self, size: int) -> _Piece:
        """A new piece, in place of one that is free where there are as many as there may be."""
        if len(self._pieces) == self._limit:
            free = next(piece for piece in self._pieces if piece.free)
            self._pieces.remove(free)
            self._forgotten.append(free.number)
        self._pieces.append(_Piece(self._number, size))
        self._number += 1
        return self._pieces[-1]

    def _next(self) -> int:
        """The offset at which the next tensor of the batch may lie."""
        return -(-self._used // _ALIGNMENT) * _ALIGNMENT

    def _reserve(self, size: int) -> int:
        offset = self._next()
        self._used = offset + size
        return offset

    def stack(self, tensors: Sequence[Tensor]) -> Tensor:
        """``torch.stack(tensors)`` into the memory of the batch if there is room."""
        shape, dtype = (len(tensors), *tensors[0].shape), tensors[0].dtype
        size = dtype.itemsize * torch.Size(shape).numel()
        if self._piece is None or not _plain(tensors[0]) or self._next() + size > self._piece.size:
            return torch.stack(tensors)
        return torch.stack(tensors, out=self._piece.tensor(self._reserve(size), shape, dtype))

    def pack(self, batch):
        """A batch in the form in which it is sent; None if all pieces are held by the training.

        Raises:
            RuntimeError, OSError: If there is no shared memory.
            Exception: What pickle raises, if something in the batch cannot be sent.
        """
        if self._piece is None and self._full():
            return None
        file = io.BytesIO()
        pickler = _Pickler(file, self._piece, self._reserve)
        pickler.dump(batch)
        self._largest = max(self._largest, self._used)
        if pickler.places:
            if self._piece is None or self._used > self._piece.size:
                enough = (piece for piece in self._pieces if piece.free and self._used <= piece.size)
                self._piece = next(enough, None) or self._add(self._largest)
            for offset, tensor in pickler.places:
                place = self._piece.tensor(offset, tensor.shape, tensor.dtype)
                if place.data_ptr() != tensor.data_ptr():
                    place.copy_(tensor)
            self._piece.held[:len(pickler.places)] = 1
        piece, forgotten = self._piece if pickler.places else None, self._forgotten
        self._forgotten = []
        if piece is None:
            return _Parcel(self._name, None, None, forgotten, file.getvalue())
        memory, piece.sent = None if piece.sent else piece.memory, True
        return _Parcel(self._name, piece.number, memory, forgotten, file.getvalue())


class _Pickler(ForkingPickler):
    """Leaves plain tensors out, and lists where they are to lie."""

    def __init__(self, file, piece: _Piece | None, reserve):
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._piece, self._reserve, self._known = piece, reserve, {}
        #: Offset of each tensor in the piece, and the tensor.
        self.places: list = []

    def persistent_id(self, value):
        """What is sent in place of a tensor."""
        if not isinstance(value, Tensor) or not _plain(value):
            return None
        key, size = id(value), value.numel() * value.dtype.itemsize
        value = value.resolve_conj().resolve_neg()
        if size < SMALL or len(self.places) == _HEADER:
            return value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(), tuple(value.shape), value.dtype
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self.places)
            self.places.append((self._offset(value, size), value))
        return number, self.places[number][0], size, tuple(value.shape), value.dtype

    def _offset(self, tensor: Tensor, size: int) -> int:
        """Where it lies, or is to lie."""
        if self._piece is not None and tensor.is_contiguous():
            offset = tensor.data_ptr() - self._piece.first
            if _HEADER <= offset and offset + size <= self._piece.size:
                return offset
        return self._reserve(size)


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor is its shape, its type and its values."""
    return (type(tensor) is Tensor and tensor.device.type == 'cpu' and tensor.layout is torch.strided and not tensor.requires_grad
            and not tensor.is_quantized)


class _Parcel:
    """What a worker sends; it becomes the batch when it is unpickled."""

    def __init__(self, *values):
        self._values = (os.getpid(), *values)

    def __reduce__(self):
        return _receive, self._values


# What follows runs in the process of the training.

#: Pieces of every worker, by name of its memory and number.
_received: dict = {}


def _receive(pid: int, name: str, number: int | None, memory: Tensor | None, forgotten: Sequence[int], data: bytes):
    """The batch of a parcel."""
    if name not in _received:
        _received[name] = {}
        worker = next((process for process in multiprocessing.active_children() if process.pid == pid), None)
        if worker is not None:  # its pieces are given back when it has ended and its loader is gone
            weakref.finalize(worker, _received.pop, name, None)
    pieces = _received[name]
    for gone in forgotten:
        pieces.pop(gone, None)
    if memory is not None:
        pieces[number] = memory.numpy()
    return _Unpickler(io.BytesIO(data), pieces.get(number)).load()


class _Unpickler(pickle.Unpickler):
    """Puts in tensors that lie in a piece."""

    def __init__(self, file, piece):
        super().__init__(file)
        self._piece, self._known = piece, {}

    def persistent_load(self, value):
        """A tensor."""
        if isinstance(value[0], bytes):
            data, shape, dtype = value
            return torch.from_numpy(np.frombuffer(bytearray(data), np.uint8)).view(dtype).view(shape)
        number, offset, size, shape, dtype = value
        if number not in self._known:
            values = self._piece[offset:offset + size]
            # The tensor holds this array, and nothing else does.
            weakref.finalize(values, _release, self._piece, number, os.getpid()).atexit = False
            self._known[number] = torch.from_numpy(values).view(dtype).view(shape)
        return self._known[number]


def _release(piece, number: int, pid: int) -> None:
    """The training holds a tensor no longer; said by itself, not by a copy of it that was forked."""
    if os.getpid() == pid:
        piece[number] = 0

"""Images that are made part by part: what a batch of thousands is until a part of it is encoded."""
from collections.abc import Callable

import torch
from torch import Tensor


class Deferred:
    """Rows of tensors, and the function that makes images of them.

    It stands in for a tensor of images ``(N, C, H, W)`` where only its length, its device and some of its rows are asked for.

    Args:
        make (Callable): From the rows to images, each of its own rows only.
        *rows (Tensor): ``(N, ...)`` each.
    """

    def __init__(self, make: Callable, *rows: Tensor):
        self._make, self._rows = make, rows

    def __len__(self) -> int:
        return len(self._rows[0])

    @property
    def device(self) -> torch.device:
        """Of the rows."""
        return self._rows[0].device

    def __getitem__(self, index) -> 'Deferred':
        """Some of the rows, by a slice or a tensor of indices."""
        return Deferred(self._make, *(rows[index] for rows in self._rows))

    def tensor_split(self, number: int) -> list:
        """Parts of nearly equal length, as of a tensor."""
        return [Deferred(self._make, *parts) for parts in zip(*(rows.tensor_split(number) for rows in self._rows))]

    def new_zeros(self, *size: int) -> Tensor:
        """Zeros on the same device, float32."""
        return torch.zeros(*size, device=self.device)

    def tensor(self) -> Tensor:
        """The images."""
        return self._make(*self._rows)

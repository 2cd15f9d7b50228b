"""Images that are in memory already."""
import numpy as np

from decur.errors import DataError
from decur.registry import READERS


@READERS.register_module()
class ArrayReader:
    """A source that is the array itself, ``(H, W, C)``."""

    def __call__(self, source) -> np.ndarray:
        """Return the source.

        Raises:
            DataError: If it is no array of three axes.
        """
        if not isinstance(source, np.ndarray) or source.ndim != 3:
            raise DataError(f'ArrayReader takes an array (H, W, C), got {type(source).__name__}.')
        return source

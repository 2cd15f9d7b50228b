"""Layers that are not tied to one model."""
from .batch_norm import AllReduceBN, convert_batch_norm

__all__ = ['AllReduceBN', 'convert_batch_norm']

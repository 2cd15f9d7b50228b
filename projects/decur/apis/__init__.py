"""Calls for programs that use trained encoders."""
from .load import LoadedEncoder, load

__all__ = ['LoadedEncoder', 'load']

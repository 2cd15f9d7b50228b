"""Heads for transfer."""
from .cmx_decoder import CMXHead
from .multi_level_fcn import MultiLevelFCNHead

__all__ = ['CMXHead', 'MultiLevelFCNHead']

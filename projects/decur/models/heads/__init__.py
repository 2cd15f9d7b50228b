"""Heads for transfer."""
from .multi_level_fcn import MultiLevelFCNHead

__all__ = ['MultiLevelFCNHead']

"""Heads for transfer."""
from .cmx_decoder import CMXHead
from .late_fusion import LateFusionHead
from .multi_level_fcn import MultiLevelFCNHead
from .pixel_regression import PixelRegressionHead

__all__ = ['CMXHead', 'LateFusionHead', 'MultiLevelFCNHead', 'PixelRegressionHead']

"""Pretraining objectives: each a pure function of named embeddings and a thin registered module.

Reading order: ``decur.py`` (the method), ``correlation.py`` (its sums, fast), ``gather.py`` (exact over processes),
``head.py`` (what the log shows); the baselines.
"""
from .barlow_twins import MultimodalBarlowTwinsHead, barlow_twins_loss
from .clip import MultimodalCLIPHead, clip_loss
from .decur import DeCURHead, decur_loss
from .head import ObjectiveHead
from .simclr import MultimodalSimCLRHead, simclr_loss
from .statistics import embedding_statistics
from .vicreg import MultimodalVICRegHead, vicreg_loss

__all__ = [
    'DeCURHead', 'MultimodalBarlowTwinsHead', 'MultimodalCLIPHead', 'MultimodalSimCLRHead', 'MultimodalVICRegHead', 'ObjectiveHead',
    'barlow_twins_loss', 'clip_loss', 'decur_loss', 'embedding_statistics', 'simclr_loss', 'vicreg_loss'
]

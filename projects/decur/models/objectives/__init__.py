"""Pretraining objectives: each a function of named embeddings and a head.

``decur.py`` is the method; beside it stand the baselines and ``subset_decur.py``, which is for three and more modalities. ``extra.py`` has
terms that can be added to any of them. ``objective.py`` holds what they share, ``batch.py`` gathers the batch of all processes,
``statistics.py`` is for the log.
"""
from .barlow_twins import MultimodalBarlowTwinsHead, barlow_twins_loss
from .clip import MultimodalCLIPHead, clip_loss
from .comm import CoMMHead
from .decur import DeCURHead, decur_loss
from .disentangled import DisentangledSSLHead
from .extra import CrossBlockTerm, ExtraTerm, SampleContrastTerm, normalised_hsic
from .objective import ObjectiveHead
from .simclr import MultimodalSimCLRHead, simclr_loss
from .statistics import embedding_statistics
from .subset_decur import SubsetDeCURHead
from .vicreg import MultimodalVICRegHead, vicreg_loss

__all__ = [
    'CoMMHead', 'CrossBlockTerm', 'DeCURHead', 'DisentangledSSLHead', 'ExtraTerm', 'MultimodalBarlowTwinsHead', 'MultimodalCLIPHead',
    'MultimodalSimCLRHead', 'MultimodalVICRegHead', 'ObjectiveHead', 'SampleContrastTerm', 'SubsetDeCURHead', 'barlow_twins_loss',
    'clip_loss', 'decur_loss', 'embedding_statistics', 'normalised_hsic', 'simclr_loss', 'vicreg_loss'
]

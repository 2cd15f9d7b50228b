"""Pretraining objectives: each a pure function of named embeddings and a thin registered module."""
from .decur import DeCURHead, decur_loss
from .statistics import embedding_statistics

__all__ = ['DeCURHead', 'decur_loss', 'embedding_statistics']

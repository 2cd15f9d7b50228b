"""Heads: late-fusion classifier, multi-level FCN, CMX decoder."""
from .cmx_decoder import CMXHead

__all__ = ['CMXHead']

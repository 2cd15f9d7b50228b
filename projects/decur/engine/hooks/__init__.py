"""Hooks of the runner."""
from .epoch_seed import EpochSeedHook

__all__ = ['EpochSeedHook']

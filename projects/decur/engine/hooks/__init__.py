"""Hooks of the runner."""
from .epoch_seed import EpochSeedHook
from .non_finite import NonFiniteLossHook

__all__ = ['EpochSeedHook', 'NonFiniteLossHook']

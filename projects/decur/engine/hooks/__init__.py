"""Hooks of the runner."""
from .checkpoint import SafeCheckpointHook
from .epoch_seed import EpochSeedHook
from .non_finite import NonFiniteLossHook

__all__ = ['EpochSeedHook', 'NonFiniteLossHook', 'SafeCheckpointHook']

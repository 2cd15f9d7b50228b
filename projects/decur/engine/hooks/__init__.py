"""Hooks of the runner."""
from .epoch_seed import EpochSeedHook
from .non_finite import NonFiniteLossHook
from .probe import ProbeHook

__all__ = ['EpochSeedHook', 'NonFiniteLossHook', 'ProbeHook']

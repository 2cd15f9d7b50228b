"""Hooks of the runner."""
from .epoch_seed import EpochSeedHook
from .metadata import MetadataHook
from .non_finite import NonFiniteLossHook
from .probe import ProbeHook
from .record import TestRecordHook

__all__ = ['EpochSeedHook', 'MetadataHook', 'NonFiniteLossHook', 'ProbeHook', 'TestRecordHook']

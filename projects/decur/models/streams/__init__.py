"""Encoders cut into stages: one stream per modality."""
from . import resnet  # noqa: F401  registers its stepper
from .stream import Stepper, Stream, register_stepper

__all__ = ['Stepper', 'Stream', 'register_stepper']

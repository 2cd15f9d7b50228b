"""Encoders cut into stages: one stream per modality."""
from . import mit, resnet  # noqa: F401  register their steppers
from .stream import Stepper, Stream, register_stepper

__all__ = ['Stepper', 'Stream', 'register_stepper']

"""Encoders cut into stages: one stream per modality."""
from . import resnet, vit  # noqa: F401  register their steppers
from .mit import DecurMixVisionTransformer
from .stream import Stepper, Stream, register_stepper

__all__ = ['DecurMixVisionTransformer', 'Stepper', 'Stream', 'register_stepper']

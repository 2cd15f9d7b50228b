"""What acts between the stages of the streams, and what fuses their maps."""
from .concat import ConcatFusion

__all__ = ['ConcatFusion']

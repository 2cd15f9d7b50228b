"""What acts between the stages of the streams, and what fuses their maps."""
from .cmx import CMXFusion, CMXRectification
from .concat import ConcatFusion

__all__ = ['CMXFusion', 'CMXRectification', 'ConcatFusion']

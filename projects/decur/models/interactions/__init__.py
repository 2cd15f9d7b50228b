"""What acts between the stages of the streams, and what fuses their maps."""
from .cmx import CMXFusion, CMXRectification

__all__ = ['CMXFusion', 'CMXRectification']

"""What acts between the stages of the streams, and what fuses their maps."""
from .cbam import CBAM
from .cmx import CMXFusion, CMXRectification
from .concat import ConcatFusion
from .deformable import DA, RDA, CrossDA, DeformableAttention
from .difference import DifferenceFusion

__all__ = ['CBAM', 'DA', 'RDA', 'CMXFusion', 'CMXRectification', 'ConcatFusion', 'CrossDA', 'DeformableAttention',
           'DifferenceFusion']

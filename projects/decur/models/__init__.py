"""Encoders in streams, what acts between them, projectors, objectives and heads."""
from . import heads, interactions, layers, objectives, streams  # noqa: F401
from .backbone import MultimodalBackbone
from .classifier import MultimodalClassifier
from .completeness import CompletenessHead
from .dense import DenseHead
from .objectives import decur_loss
from .preprocessing import MultimodalDataPreprocessor, MultimodalSegDataPreprocessor
from .pretraining import MultimodalPretraining
from .projector import MultimodalProjector
from .segmentor import MultimodalPixelRegressor, MultimodalSegmentor

__all__ = [
    'CompletenessHead', 'DenseHead', 'MultimodalBackbone', 'MultimodalClassifier', 'MultimodalDataPreprocessor', 'MultimodalPixelRegressor',
    'MultimodalPretraining', 'MultimodalProjector', 'MultimodalSegDataPreprocessor', 'MultimodalSegmentor', 'decur_loss'
]

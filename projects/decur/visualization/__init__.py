"""Pictures of samples and predictions."""
from .hook import PredictionPictureHook
from .images import label_picture, modality_picture, save_label_map, sheet

__all__ = ['PredictionPictureHook', 'label_picture', 'modality_picture', 'save_label_map', 'sheet']

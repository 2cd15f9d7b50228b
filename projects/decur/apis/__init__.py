"""Use a trained model: load it strictly, segment images, export it."""
from .export import check_onnx, export_onnx
from .inferencer import SegmentationInferencer
from .model import load_model

__all__ = ['SegmentationInferencer', 'check_onnx', 'export_onnx', 'load_model']

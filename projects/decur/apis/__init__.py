"""Use a trained model: load it strictly, extract features, segment images, export it."""
from .export import check_onnx, export_checked, export_onnx
from .inferencer import SegmentationInferencer
from .load import LoadedEncoder, load
from .model import build_model, load_model

__all__ = ['LoadedEncoder', 'SegmentationInferencer', 'build_model', 'check_onnx', 'export_checked', 'export_onnx', 'load', 'load_model']

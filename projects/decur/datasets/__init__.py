"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.transforms.hha import depth_to_hha

from .base import MultimodalDataset
from .collate import multimodal_collate
from .factors import ArrayReader, FactorsDataset, LinearGaussianDataset, RenderedFactorsDataset
from .paired import PairedRasterDataset, tile_windows
from .readers import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader

__all__ = [
    'ArrayReader', 'AutoReader', 'DataError', 'FactorsDataset', 'LinearGaussianDataset', 'MultimodalDataset', 'NpyReader',
    'PairedRasterDataset', 'PillowReader', 'RasterioReader', 'RenderedFactorsDataset', 'build_reader', 'depth_to_hha',
    'multimodal_collate', 'tile_windows'
]

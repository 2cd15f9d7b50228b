"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.transforms.hha import depth_to_hha

from .base import MultimodalDataset
from .collate import multimodal_collate
from .paired import PairedRasterDataset, tile_windows
from .readers import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader

__all__ = [
    'AutoReader', 'DataError', 'MultimodalDataset', 'NpyReader', 'PairedRasterDataset', 'PillowReader', 'RasterioReader', 'build_reader',
    'depth_to_hha', 'multimodal_collate', 'tile_windows'
]

"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.transforms.hha import depth_to_hha

from .base import MultimodalDataset
from .collate import multimodal_collate
from .depth import DepthReader, read_intrinsics
from .paired import PairedRasterDataset, tile_windows
from .readers import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader
from .rgbd import NYUv2Dataset, RGBDDataset, SUNRGBDDataset

__all__ = [
    'AutoReader', 'DataError', 'DepthReader', 'MultimodalDataset', 'NYUv2Dataset', 'NpyReader', 'PairedRasterDataset', 'PillowReader',
    'RGBDDataset', 'RasterioReader', 'SUNRGBDDataset', 'build_reader', 'depth_to_hha', 'multimodal_collate', 'read_intrinsics',
    'tile_windows'
]

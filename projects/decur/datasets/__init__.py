"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.transforms.hha import depth_to_hha

from .base import MultimodalDataset
from .collate import multimodal_collate
from .depth import DepthReader, read_intrinsics
from .factors import ArrayReader, FactorsDataset, LinearGaussianDataset, RenderedFactorsDataset
from .paired import PairedRasterDataset, tile_windows
from .readers import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader
from .rgbd import NYUv2Dataset, RGBDDataset, SUNRGBDDataset

__all__ = [
    'ArrayReader', 'AutoReader', 'DataError', 'DepthReader', 'FactorsDataset', 'LinearGaussianDataset', 'MultimodalDataset',
    'NYUv2Dataset', 'NpyReader', 'PairedRasterDataset', 'PillowReader', 'RGBDDataset', 'RasterioReader', 'RenderedFactorsDataset',
    'SUNRGBDDataset', 'build_reader', 'depth_to_hha', 'multimodal_collate', 'read_intrinsics', 'tile_windows'
]

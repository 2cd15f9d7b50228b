"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.transforms.hha import depth_to_hha

from .bands import BandReader
from .base import MultimodalDataset
from .bigearthnet import BigEarthNetDataset
from .collate import multimodal_collate
from .depth import DepthReader, read_intrinsics
from .factors import ArrayReader, FactorsDataset, LinearGaussianDataset, RenderedFactorsDataset
from .geonrw import GeoNRWDataset
from .paired import PairedRasterDataset, tile_windows
from .readers import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader
from .rgbd import NYUv2Dataset, RGBDDataset, SUNRGBDDataset
from .ssl4eo import SSL4EODataset

__all__ = [
    'ArrayReader', 'AutoReader', 'BandReader', 'BigEarthNetDataset', 'DataError', 'DepthReader', 'FactorsDataset', 'GeoNRWDataset',
    'LinearGaussianDataset', 'MultimodalDataset', 'NYUv2Dataset', 'NpyReader', 'PairedRasterDataset', 'PillowReader', 'RGBDDataset',
    'RasterioReader', 'RenderedFactorsDataset', 'SSL4EODataset', 'SUNRGBDDataset', 'build_reader', 'depth_to_hha', 'multimodal_collate',
    'read_intrinsics', 'tile_windows'
]

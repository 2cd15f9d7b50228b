"""Files on disk to sources by modality."""
from decur.errors import DataError
from decur.hha import depth_to_hha
from decur.readers import (
    ArrayReader,
    AutoReader,
    BandReader,
    DepthReader,
    NpyReader,
    PillowReader,
    RasterioReader,
    build_reader,
    read_intrinsics,
)

from .base import MultimodalDataset
from .bigearthnet import BigEarthNetDataset
from .collate import multimodal_collate
from .geonrw import GeoNRWDataset
from .paired import PairedRasterDataset, tile_windows
from .rgbd import NYUv2Dataset, RGBDDataset, SUNRGBDDataset
from .ssl4eo import SSL4EODataset

__all__ = [
    'ArrayReader', 'AutoReader', 'BandReader', 'BigEarthNetDataset', 'DataError', 'DepthReader', 'GeoNRWDataset', 'MultimodalDataset',
    'NYUv2Dataset', 'NpyReader', 'PairedRasterDataset', 'PillowReader', 'RGBDDataset', 'RasterioReader', 'SSL4EODataset', 'SUNRGBDDataset',
    'build_reader', 'depth_to_hha', 'multimodal_collate', 'read_intrinsics', 'tile_windows'
]

"""Files on disk to sources by modality."""
from pathlib import Path

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
from .collate import SharedCollate, multimodal_collate
from .geonrw import GeoNRWDataset
from .layouts import Layout, Part
from .paired import PairedRasterDataset, tile_windows
from .rgbd import NYUv2Dataset, RGBDDataset, SUNRGBDDataset
from .shards import ShardDataset
from .ssl4eo import SSL4EODataset
from .torchgeo import TorchGeoDataset

#: The data sets that are looked for in a folder, the most particular first.
RECOGNISED = (ShardDataset, SSL4EODataset, BigEarthNetDataset, GeoNRWDataset, RGBDDataset, PairedRasterDataset)


def recognise(root: str | Path) -> Layout | None:
    """The layout of a folder or store, as the first of :data:`RECOGNISED` knows it; None if none does.

    Raises:
        DataError: If it is a store that is not finished, damaged, or pickled.
    """
    return next(filter(None, (dataset.recognise(Path(root)) for dataset in RECOGNISED)), None)


__all__ = [
    'ArrayReader', 'AutoReader', 'BandReader', 'BigEarthNetDataset', 'DataError', 'DepthReader', 'GeoNRWDataset', 'Layout',
    'MultimodalDataset', 'NYUv2Dataset', 'NpyReader', 'PairedRasterDataset', 'Part', 'PillowReader', 'RGBDDataset', 'RasterioReader',
    'SSL4EODataset', 'SUNRGBDDataset', 'ShardDataset', 'SharedCollate', 'TorchGeoDataset', 'build_reader', 'depth_to_hha',
    'multimodal_collate', 'read_intrinsics', 'recognise', 'tile_windows'
]

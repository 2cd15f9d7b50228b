"""Sources to arrays: files, windows of files, records of the compact store, archives, memory.

Imports of what a data set or a transform needs; each file says more.
"""
from .arrays import ArrayReader, NpyReader
from .bands import BandReader, stack_bands
from .base import NamedArray, Reader, source_name, split_source
from .depth import DepthReader, read_intrinsics
from .files import AutoReader, build_reader, read_marked, read_size
from .memory import InMemoryReader
from .pictures import IMAGE_SUFFIXES, PillowReader
from .rasters import RasterioReader, open_raster
from .store import StoreReader, is_store, read_index, read_manifest, read_record
from .table import LazySamples, Table

__all__ = [
    'IMAGE_SUFFIXES', 'ArrayReader', 'AutoReader', 'BandReader', 'DepthReader', 'InMemoryReader', 'LazySamples', 'NamedArray', 'NpyReader',
    'PillowReader', 'RasterioReader', 'Reader', 'StoreReader', 'Table', 'build_reader', 'is_store', 'open_raster', 'read_index',
    'read_intrinsics', 'read_manifest', 'read_marked', 'read_record', 'read_size', 'source_name', 'split_source', 'stack_bands'
]

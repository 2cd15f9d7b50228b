"""Sources to arrays: files, windows of files, records of the compact store, archives, memory."""
from .arrays import ArrayReader
from .bands import BandReader, stack_bands
from .depth import DepthReader, read_intrinsics
from .files import IMAGE_SUFFIXES, AutoReader, NpyReader, PillowReader, RasterioReader, build_reader, read_size
from .store import StoreReader, is_store, read_index, read_manifest, read_record
from .table import LazySamples, Table

__all__ = [
    'IMAGE_SUFFIXES', 'ArrayReader', 'AutoReader', 'BandReader', 'DepthReader', 'LazySamples', 'NpyReader', 'PillowReader',
    'RasterioReader', 'StoreReader', 'Table', 'build_reader', 'is_store', 'read_index', 'read_intrinsics', 'read_manifest',
    'read_record', 'read_size', 'stack_bands'
]

"""Files on disk: data sets of co-registered rasters and the readers of their formats."""
from ..transforms.hha import depth_to_hha

__all__ = ['depth_to_hha']

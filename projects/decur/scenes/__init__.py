"""Whole scenes: rasters of any size on one grid, read window by window; maps and embeddings with their georeference.

``reading.py`` brings several sensors onto the grid of one, ``windows.py`` cuts and blends, ``cog.py`` and ``geoparquet.py`` write.
"""
from .reading import Scene, open_scene

__all__ = ['Scene', 'open_scene']

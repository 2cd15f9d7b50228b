"""Sources to arrays to model inputs."""
from .augmentation import Geometry, ViewAugmentation
from .concat import ConcatModalities
from .loading import BoundTransform, LoadLabelMap, LoadModalities
from .packing import PackModalities, to_tensor
from .radiometry import CutOutliers, InsertEmptyBand, PercentilesToEightBit, RemoveOffset, ToEightBit
from .views import MakeViews

__all__ = [
    'BoundTransform', 'ConcatModalities', 'CutOutliers', 'Geometry', 'InsertEmptyBand', 'LoadLabelMap', 'LoadModalities', 'MakeViews',
    'PackModalities', 'PercentilesToEightBit', 'RemoveOffset', 'ToEightBit', 'ViewAugmentation', 'to_tensor'
]

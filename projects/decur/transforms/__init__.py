"""Sources to arrays to model inputs."""
from .augmentation import Geometry, ViewAugmentation
from .concat import ConcatModalities
from .loading import BoundTransform, LoadLabelMap, LoadModalities
from .packing import PackModalities, to_tensor
from .views import MakeViews

__all__ = [
    'BoundTransform', 'ConcatModalities', 'Geometry', 'LoadLabelMap', 'LoadModalities', 'MakeViews', 'PackModalities', 'ViewAugmentation',
    'to_tensor'
]

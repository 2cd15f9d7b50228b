"""Sources to arrays to model inputs."""
from .augmentation import Geometry, ViewAugmentation
from .center import CenterView
from .concat import ConcatModalities
from .hha import DepthToHHA, depth_to_hha
from .loading import BoundTransform, LoadLabelMap, LoadModalities
from .noise import NoiseAugmentation
from .packing import PackModalities, to_tensor
from .views import MakeViews

__all__ = [
    'BoundTransform', 'CenterView', 'ConcatModalities', 'DepthToHHA', 'Geometry', 'LoadLabelMap', 'LoadModalities', 'MakeViews',
    'NoiseAugmentation', 'PackModalities', 'ViewAugmentation', 'depth_to_hha', 'to_tensor'
]

"""Sources to arrays to model inputs."""
from .center import CenterView
from .concat import ConcatModalities
from .loading import BoundTransform, LoadLabelMap, LoadModalities
from .noise import NoiseAugmentation
from .packing import PackModalities, to_tensor
from .views import MakeViews

__all__ = [
    'BoundTransform', 'CenterView', 'ConcatModalities', 'LoadLabelMap', 'LoadModalities', 'MakeViews', 'NoiseAugmentation',
    'PackModalities', 'to_tensor'
]

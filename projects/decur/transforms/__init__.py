"""Sources to arrays to model inputs."""
from .concat import ConcatModalities
from .loading import BoundTransform, LoadLabelMap, LoadModalities
from .packing import PackModalities, to_tensor
from .views import MakeViews

__all__ = ['BoundTransform', 'ConcatModalities', 'LoadLabelMap', 'LoadModalities', 'MakeViews', 'PackModalities', 'to_tensor']

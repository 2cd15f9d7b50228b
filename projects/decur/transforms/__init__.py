"""Sources to arrays to model inputs."""
from decur.hha import depth_to_hha

from .augmentation import Geometry, ViewAugmentation
from .center import CenterView
from .concat import ConcatModalities
from .crop import RandomResizedCropSeg
from .hha import DepthToHHA
from .labels import LoadLabelMap
from .loading import BoundTransform, LoadModalities, ModalityLoader
from .noise import NoiseAugmentation
from .packing import PackModalities, to_tensor
from .radiometry import CutOutliers, InsertEmptyBand, PercentilesToEightBit, RemoveOffset, ToEightBit
from .seasons import DrawSeasons
from .targets import LoadTargetMap, SceneTarget
from .torchgeo import TorchGeoTransform
from .views import MakeViews

__all__ = [
    'BoundTransform', 'CenterView', 'ConcatModalities', 'CutOutliers', 'DepthToHHA', 'DrawSeasons', 'Geometry', 'InsertEmptyBand',
    'LoadLabelMap', 'LoadModalities', 'LoadTargetMap', 'MakeViews', 'ModalityLoader', 'NoiseAugmentation', 'PackModalities',
    'PercentilesToEightBit', 'RandomResizedCropSeg', 'RemoveOffset', 'SceneTarget', 'ToEightBit', 'TorchGeoTransform', 'ViewAugmentation',
    'depth_to_hha', 'to_tensor'
]

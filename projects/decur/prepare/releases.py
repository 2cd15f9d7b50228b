"""The public data sets that can be prepared."""
from .bigearthnet import BigEarthNetRelease
from .geonrw import GeoNRWRelease
from .nyudv2 import NYUv2Release
from .ombria import OmbriaRelease
from .potholes import PotholesRelease
from .ssl4eo import SSL4EORelease
from .sunrgbd import SUNRGBDRelease

RELEASES = (SUNRGBDRelease, NYUv2Release, SSL4EORelease, BigEarthNetRelease, GeoNRWRelease, OmbriaRelease,
            PotholesRelease)

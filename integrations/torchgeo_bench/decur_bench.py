"""A torchgeo-bench model for encoders of DeCUR: Sentinel-1, Sentinel-2, or both.

``torchgeo-bench run`` with the config beside this file; docs/benchmarks.md has the command. Bands are found by name, and each sensor's
image goes through the radiometry and the statistics of its weights.
"""
import warnings

import torch
import torch.nn.functional as F
from torchgeo_bench.datasets.base import BandSpec
from torchgeo_bench.models._input_units import InputUnit, convert_unit, detect_input_unit
from torchgeo_bench.models.interface import BenchModel

import decur  # noqa: I001  before what imports torchvision
from decur.errors import ConfigError
from decur.sensors import S2C_BANDS, band_name, image_bands

#: What the benchmark calls bands of Sentinel-2 by colour.
COLOURS = dict(coastal='B1', blue='B2', green='B3', red='B4', rededge1='B5', rededge2='B6', rededge3='B7', nir='B8', nir_narrow='B8A',
               water_vapour='B9', cirrus='B10', swir1='B11', swir2='B12')
SENSORS = {'s1': 's1', 'sar': 's1', 'sentinel1': 's1', 's2': 's2', 'sentinel2': 's2'}


def name_of(spec: BandSpec) -> str | None:
    """The band as this project spells it (``'B4'``, ``'VV'``), or None for one of another sensor."""
    sensor = SENSORS.get(spec.sensor.lower().replace('-', '').replace('_', ''))
    words = (spec.name, spec.source_name, spec.source_name.split(' ')[0])
    for word in words:
        name = COLOURS.get(word.lower()) or band_name(word)
        if sensor == 's1' and name in ('VV', 'VH') or sensor == 's2' and name in S2C_BANDS:
            return name
    return None


class DeCURBench(BenchModel):
    """The pooled features of the modalities whose bands the data set has, concatenated.

    Args:
        bands (list[BandSpec]): From the benchmark. Sentinel-1 in dB.
        checkpoint (str): What ``decur.load`` takes: a file, ``hf://...`` or the name of published weights.
        config (str, optional): Of a file that does not describe itself.
        modalities (list[str], optional): Which encoders. Defaults to all that the data set has bands for.
        missing (str): What stands for bands that the data set lacks: ``'mean'`` or ``'drop'`` (docs/bands.md). Defaults to ``'mean'``.
        size (int, optional): Images are resized to this side. Defaults to 224.
        trust_names (bool): Take VV and VH as the data set calls them, even if its VV is darker on average than its VH. The co-polarised
            channel is the brighter one over land, so by default the names are then exchanged, with a warning. Defaults to False.
    """

    def __init__(self, bands, *, checkpoint, config=None, modalities=None, missing='mean', size=224, trust_names=False,
                 name=None, **_):
        super().__init__(bands=bands, normalization='identity')
        names = [name_of(spec) for spec in bands]
        mean = {name: spec.mean for name, spec in zip(names, bands)}
        if not trust_names and {'VV', 'VH'} <= set(mean) and mean['VV'] < mean['VH']:
            warnings.warn(f'VV has the mean {mean["VV"]:g} and VH {mean["VH"]:g}, so the data set has exchanged their names: they are '
                          'taken the other way round. Set trust_names=True to take the names as they are.', stacklevel=2)
            names = [dict(VV='VH', VH='VV').get(name, name) for name in names]
        known = {}
        encoder = decur.load(checkpoint, config=config, modalities=modalities)
        for modality, entry in encoder.modalities.items():
            trained = image_bands(entry)
            found = [names.index(band) for band in trained if band in names]
            if found:
                known[modality] = found
            elif modalities:
                raise ConfigError(f'the data set has no band of {modality!r} ({trained}); it has '
                                  f'{[(spec.sensor, spec.name) for spec in bands]}.')
        if not known:
            raise ConfigError(f'the data set has no band of {list(encoder.modalities)}; it has '
                              f'{[(spec.sensor, spec.name) for spec in bands]}.')
        wanted = {modality: tuple(names[i] for i in index) for modality, index in known.items()
                  if [names[i] for i in index] != image_bands(encoder.modalities[modality])}
        self.index = known
        self.encoder = decur.load(checkpoint, config=config, modalities=list(known), bands=wanted or None,
                                  missing=missing if wanted else None)
        self.size = size
        self.units = {}
        for modality, index in known.items():
            specs = [bands[i] for i in index]
            if names[index[0]] in S2C_BANDS:
                self.units[modality] = detect_input_unit(specs)
            elif any(spec.mean > 0 for spec in specs):
                raise ConfigError(f'the weights take Sentinel-1 in dB, and the means of {[spec.name for spec in specs]} are '
                                  f'{[spec.mean for spec in specs]}: convert them, 10 * log10.')

    def images(self, images: torch.Tensor) -> dict:
        """``(B, C, H, W)`` of the benchmark to what the encoders take, ``{modality: (B, C, size, size)}``."""
        out = {}
        for modality, index in self.index.items():
            x = images[:, index].float()
            if modality in self.units:
                x = convert_unit(x, self.units[modality], InputUnit.S2_DN)
            if self.size and tuple(x.shape[2:]) != (self.size, self.size):
                x = F.interpolate(x, (self.size, self.size), mode='bilinear', align_corners=False)
            transform = self.encoder.transforms[modality]
            out[modality] = torch.stack([transform(one.permute(1, 2, 0).cpu().numpy()) for one in x]).to(images.device)
        return out

    def _forward_patch_features(self, images: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, K)``, K the sum over the modalities."""
        return torch.cat(list(self.encoder.extract_feat(self.images(images)).values()), dim=1)

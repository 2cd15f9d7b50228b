"""A PANGAEA encoder for DeCUR: the stage maps of Sentinel-1, Sentinel-2, or both.

``torchrun pangaea/run.py encoder=decur ...`` with the config beside this file; docs/benchmarks.md has the command. PANGAEA standardises
images with the statistics of the data set; this encoder undoes that and does what was done in the training of its weights.
"""
import decur  # noqa: I001  before what imports torchvision
import torch
from decur.errors import ConfigError
from decur.sensors import band_name, image_bands
from pangaea.encoders.base import Encoder


class DeCUREncoder(Encoder):
    """The maps of four stages, those of the modalities concatenated.

    Args:
        encoder_weights (str): What ``decur.load`` takes: a file, ``hf://...`` or the name of published weights.
        input_bands (dict[str, list[str]]): Bands that PANGAEA hands over, by its modality (``optical``, ``sar``).
        input_size (int): Side of the images, pixels.
        data_bands (dict), data_mean (dict), data_std (dict): Those of the data set (``${dataset.bands}`` and so on), with which PANGAEA
            standardised.
        output_layers (list[int]): Stages, from 0.
        config (str, optional): Of a file that does not describe itself.
        names (dict[str, str], optional): PANGAEA's modality to the encoder's, where they are called differently.
        missing (str): What stands for bands that the data set lacks: ``'mean'`` or ``'drop'``. Defaults to ``'mean'``.
    """

    def __init__(self, encoder_weights, input_bands, input_size, data_bands, data_mean, data_std, output_layers=(0, 1, 2, 3), config=None,
                 names=None, missing='mean', download_url=None, output_dim=None, embed_dim=None, **_):
        modality = {key: (names or {}).get(key, key) for key in input_bands if data_bands.get(key)}
        encoder = decur.load(encoder_weights, config=config, modalities=list(modality.values()) or None)
        trained = {key: image_bands(encoder.modalities[name]) for key, name in modality.items()}
        there = {key: [band for band in input_bands[key] if band in data_bands[key] and band_name(band) in trained[key]]
                 for key in modality}
        there = {key: sorted(bands, key=lambda band: trained[key].index(band_name(band))) for key, bands in there.items() if bands}
        if not there:
            raise ConfigError(f'the data set has none of the bands {dict(input_bands)}; it has {dict(data_bands)}.')
        modality = {key: modality[key] for key in there}
        changed = {modality[key]: tuple(map(band_name, bands)) for key, bands in there.items()
                   if list(map(band_name, bands)) != trained[key]}
        if changed or len(there) < len(trained):
            encoder = decur.load(encoder_weights, config=config, modalities=list(modality.values()), bands=changed or None,
                                 missing=missing if changed else None)
        encoder.eval()
        side = min(int(input_size), 64)
        with torch.no_grad():
            maps = encoder.extract_maps({name: torch.zeros(1, entry['channels'], side, side) for name, entry in encoder.modalities.items()})
        dims = [sum(stages[i].shape[1] for stages in maps.values()) for i in output_layers]
        super().__init__(
            model_name='decur', input_bands=input_bands, input_size=input_size, embed_dim=dims[-1], output_layers=list(output_layers),
            output_dim=dims, multi_temporal=False, multi_temporal_output=False, pyramid_output=True, encoder_weights=encoder_weights,
            download_url='')
        self.encoder, self.modality = encoder, modality
        #: Where the bands that are there stand among those that PANGAEA hands over, its others being padding.
        self.index = {key: [list(input_bands[key]).index(band) for band in bands] for key, bands in there.items()}
        for key, bands in there.items():
            order = [list(data_bands[key]).index(band) for band in bands]
            for kind, values in (('mean', data_mean), ('std', data_std)):
                self.register_buffer(f'{kind}_{key}', torch.tensor([float(values[key][i]) for i in order])[:, None, None], persistent=False)

    def train(self, mode: bool = True):
        """Frozen encoders (``finetune=false``) stay as they are: in training mode batch norm would go on counting."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            self.encoder.eval()
        return self

    def load_encoder_weights(self, logger) -> None:
        """They were loaded strictly when the encoder was built."""
        logger.info(f'decur: every key of {self.encoder_weights} was loaded')

    def forward(self, x: dict) -> list:
        """Images of one date, ``{modality: (B, C, H, W) or (B, C, 1, H, W)}``, to maps ``(B, C_i, H_i, W_i)``."""
        inputs = {}
        for key, index in self.index.items():
            image = x[key].squeeze(2) if x[key].ndim == 5 else x[key]
            raw = image[:, index].float() * getattr(self, f'std_{key}') + getattr(self, f'mean_{key}')
            transform = self.encoder.transforms[self.modality[key]]
            inputs[self.modality[key]] = torch.stack([transform(one.permute(1, 2, 0).cpu().numpy()) for one in raw]).to(image.device)
        maps = list(self.encoder.extract_maps(inputs).values())
        return [torch.cat([stages[i] for stages in maps], dim=1) for i in self.output_layers]

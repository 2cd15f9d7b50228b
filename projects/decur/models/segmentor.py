"""Segmentation: mmseg's encoder-decoder, whose heads take what the backbone gives."""
from collections.abc import Mapping
from inspect import signature

from mmengine.registry import MODELS
from mmseg.models import DepthEstimator, EncoderDecoder
from mmseg.registry import MODELS as SEGMENTATION_MODELS

from decur.errors import ConfigError


@MODELS.register_module()
class MultimodalSegmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` on a :class:`MultimodalBackbone` with a fusion.

    ``in_channels`` of the heads follow from the modalities, their encoders and the fusion, so a config need not repeat them.

    Args:
        **kwargs: As mmseg's ``EncoderDecoder``.

    Raises:
        ConfigError: If the backbone has no fusion, or a head has other ``in_channels`` than the backbone gives.
    """

    def _init_decode_head(self, decode_head: Mapping) -> None:
        super()._init_decode_head(self._with_channels('decode_head', decode_head))

    def _init_auxiliary_head(self, auxiliary_head: Mapping | list | None) -> None:
        if isinstance(auxiliary_head, list | tuple):
            auxiliary_head = [self._with_channels(f'auxiliary_head.{i}', head) for i, head in enumerate(auxiliary_head)]
        elif auxiliary_head is not None:
            auxiliary_head = self._with_channels('auxiliary_head', auxiliary_head)
        super()._init_auxiliary_head(auxiliary_head)

    def _with_channels(self, name: str, head: Mapping) -> dict:
        """A head's config with the ``in_channels`` of the maps that its ``in_index`` names."""
        fusion = getattr(self.backbone, 'fusion', None)
        if fusion is None:
            raise ConfigError('the heads of a MultimodalSegmentor take fused maps: give model.backbone a fusion, for example '
                              "dict(type='ConcatFusion').")
        channels = tuple(fusion.out_channels[i] for i in self.backbone.out_indices)
        index = head['in_index'] if 'in_index' in head else _default_index(SEGMENTATION_MODELS.get(head['type']))
        index = range(len(channels)) if index is None else index
        try:
            found = channels[index] if isinstance(index, int) else tuple(channels[i] for i in index)
        except IndexError:
            raise ConfigError(f'model.{name}.in_index={index}: the backbone gives {len(channels)} maps.') from None
        given = head.get('in_channels')
        if given is not None and (given if isinstance(given, int) else tuple(given)) != found:
            raise ConfigError(f'model.{name}.in_channels={given}, but the maps that it takes have {found} channels. Leave in_channels out: '
                              'they follow from the modalities and their encoders.')
        return dict(head, in_channels=found)


@MODELS.register_module()
class MultimodalPixelRegressor(MultimodalSegmentor):
    """A number for every pixel: :class:`MultimodalSegmentor` with a :class:`~decur.models.heads.PixelRegressionHead`.

    Predictions are ``pred_depth_map`` ``(1, H, W)`` (mmseg's name for such maps), in the units of the target.
    """

    def postprocess_result(self, seg_logits, data_samples: list | None = None) -> list:
        """The head's maps at the size of the images, as mmseg's depth estimators give them."""
        return DepthEstimator.postprocess_result(self, seg_logits, data_samples)


def _default_index(kind: type):
    """The default of a head's ``in_index``; None for all maps."""
    return next(found['in_index'].default for base in kind.__mro__ if 'in_index' in (found := signature(base.__init__).parameters))

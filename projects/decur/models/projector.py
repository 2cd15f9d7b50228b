"""The projector: one MLP per modality, not shared (supplement B.1)."""
from collections.abc import Mapping

from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from mmpretrain.models.necks import NonLinearNeck
from torch import Tensor


class _Projector(NonLinearNeck):
    """mmpretrain's neck on vectors, which takes an empty batch too: a process may have no sample of a modality."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, F)`` to ``(N, K)``."""
        x = self.bn0(self.fc0(x))
        for fc, bn in zip(self.fc_names, self.bn_names):
            x = getattr(self, fc)(self.relu(x))
            x = x if bn is None else getattr(self, bn)(x)
        return x


@MODELS.register_module()
class MultimodalProjector(BaseModule):
    """A projector of its own for every modality.

    With three layers it is the supplement's: the first two are Linear, BatchNorm, ReLU; the last is Linear. Linear layers have no bias, as
    published.

    Args:
        in_channels (dict[str, int]): Feature length F by modality; the pretraining model fills it in.
        hid_channels (int): Width of the hidden layers. Defaults to 8192.
        out_channels (int): Embedding width K. Defaults to 8192.
        num_layers (int): Linear layers. Defaults to 3.
        norm_cfg (dict): The batch norm. Defaults to ``dict(type='BN1d')``; several processes convert it by the runner's ``sync_bn``.
    """

    def __init__(self,
                 in_channels: Mapping,
                 hid_channels: int = 8192,
                 out_channels: int = 8192,
                 num_layers: int = 3,
                 norm_cfg: Mapping | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.out_channels = out_channels
        self.projectors = ModuleDict({
            name: _Projector(
                in_channels=channels,
                hid_channels=hid_channels,
                out_channels=out_channels,
                num_layers=num_layers,
                with_last_bn=False,
                with_avg_pool=False,
                norm_cfg=dict(norm_cfg or dict(type='BN1d')))
            for name, channels in in_channels.items()
        })

    def forward(self, features: Mapping) -> dict:
        """``{name: (N, F)}`` to ``{name: (N, K)}``."""
        return {name: self.projectors[name](x) for name, x in features.items()}


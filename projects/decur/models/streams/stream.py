"""A stream: one modality's encoder, stepped stage by stage, with attention after any stage.

The encoder itself stays the library's (mmpretrain ``ResNet``, mmseg ``MixVisionTransformer``, ...). How it is cut into stages is told by a
:class:`Stepper` that is registered for its class, so a stream adds no parameters of its own and a checkpoint keeps the library's key
names below ``streams.<name>.encoder``.
"""
import copy
from collections.abc import Mapping

from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError

_STEPPERS: dict = {}


class Stepper:
    """Cuts a backbone into a stem and stages. Subclass per backbone family and register with :func:`register_stepper`.

    Between stages travels a map ``(N, C_i, H_i, W_i)``; whatever else a backbone needs (class tokens) is the subclass's to carry
    inside a single stage.

    Attributes:
        backbone (nn.Module): The backbone; not a submodule (a stepper is no module and owns no parameters).
        stage_channels (tuple[int]): C_i of each stage's output.
    """

    stage_channels: tuple = ()

    def __init__(self, backbone: nn.Module):
        self.backbone = backbone

    def stem(self, x: Tensor) -> Tensor:
        """What comes before the first stage. ``(N, C, H, W)`` to whatever ``stage(0, .)`` takes."""
        return x

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage. Returns its map ``(N, C_i, H_i, W_i)``."""
        raise NotImplementedError

    @property
    def feature_dim(self) -> int:
        """Length F of the pooled feature."""
        return self.stage_channels[-1]

    def feature(self, maps: tuple) -> Tensor:
        """Pool the stage maps to the feature ``(N, F)``: the mean of the last map."""
        return maps[-1].mean(dim=(2, 3))

    def check_input(self, x: Tensor) -> None:
        """Raise :class:`~decur.errors.ConfigError` for an input size that the backbone cannot take."""


def register_stepper(*backbone_classes: type):
    """Class decorator: use this stepper for these backbone classes and their subclasses."""

    def register(stepper: type) -> type:
        for cls in backbone_classes:
            _STEPPERS[cls] = stepper
        return stepper

    return register


def _stepper_of(backbone: nn.Module) -> Stepper:
    for cls in type(backbone).__mro__:
        if cls in _STEPPERS:
            return _STEPPERS[cls](backbone)
    raise ConfigError(f'{type(backbone).__name__} has no stepper, so its stages are not known. Known: '
                      f'{sorted(c.__name__ for c in _STEPPERS)}. Write one and register it with decur.models.streams.register_stepper.')


class Stream(BaseModule):
    """One modality's encoder in stages.

    Args:
        name (str): The modality, for messages.
        entry (dict): The modality's entry: ``channels`` (C), ``encoder`` (a backbone config; its ``in_channels`` is filled in),
            ``attention`` (``{stage: config}``; modules ``(N, C_i, H, W)`` to the same shape, built with ``channels=C_i``) and
            ``feature_channels`` (optional int F: a linear layer from the pooled map to F, as the published RGB-D models have).

    Raises:
        ConfigError: If the entry has no encoder, its ``in_channels`` contradicts ``channels``, or an attention names no stage.
    """

    def __init__(self, name: str, entry: Mapping):
        super().__init__()
        self.name = name
        self.channels = entry['channels']
        encoder = entry.get('encoder')
        if not encoder:
            raise ConfigError(f'modality {name!r} has no encoder: add encoder=dict(type=..., ...) to its entry.')
        encoder = dict(encoder)
        if encoder.setdefault('in_channels', self.channels) != self.channels:
            raise ConfigError(f'modality {name!r} has {self.channels} channels but its encoder says in_channels={encoder["in_channels"]}. '
                              'Leave in_channels out: it is taken from the modality.')
        self.encoder = MODELS.build(encoder)
        self._stepper = _stepper_of(self.encoder)
        self.attention = ModuleDict()
        for stage, cfg in (entry.get('attention') or {}).items():
            if not 0 <= int(stage) < self.num_stages:
                raise ConfigError(f'modality {name!r}: attention after stage {stage}, but {type(self.encoder).__name__} has stages '
                                  f'0..{self.num_stages - 1}.')
            self.attention[str(stage)] = MODELS.build(cfg, default_args=dict(channels=self.stage_channels[int(stage)]))
        self.head = None
        if entry.get('feature_channels'):
            self.head = nn.Linear(self._stepper.feature_dim, entry['feature_channels'])

    @property
    def num_stages(self) -> int:
        """Number of stages."""
        return len(self.stage_channels)

    @property
    def stage_channels(self) -> tuple:
        """Channels C_i of every stage's map."""
        return tuple(self._stepper.stage_channels)

    @property
    def feature_dim(self) -> int:
        """Length F of :meth:`feature`."""
        return self.head.out_features if self.head is not None else self._stepper.feature_dim

    def stem(self, x: Tensor) -> Tensor:
        """Check the input ``(N, C, H, W)`` and run what comes before the first stage.

        Raises:
            ConfigError: If the shape is not what the stream takes.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ConfigError(f'modality {self.name!r} takes (N, {self.channels}, H, W), got {tuple(x.shape)}.')
        self._stepper.check_input(x)
        return self._stepper.stem(x)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run stage ``index`` and the attention after it. Returns ``(N, C_i, H_i, W_i)``."""
        x = self._stepper.stage(index, x)
        if str(index) in self.attention:
            x = self.attention[str(index)](x)
        return x

    def feature(self, maps: tuple) -> Tensor:
        """Feature ``(N, F)`` of the stage maps."""
        x = self._stepper.feature(maps)
        return x if self.head is None else self.head(x)

    def forward(self, x: Tensor) -> tuple:
        """All stage maps of ``(N, C, H, W)``."""
        x = self.stem(x)
        maps = []
        for index in range(self.num_stages):
            x = self.stage(index, x)
            maps.append(x)
        return tuple(maps)

    def __deepcopy__(self, memo):
        # The stepper points at the encoder without owning it; a copy needs a stepper of its own.
        cls = type(self)
        new = cls.__new__(cls)
        memo[id(self)] = new
        for key, value in self.__dict__.items():
            if key != '_stepper':
                new.__dict__[key] = copy.deepcopy(value, memo)
        new._stepper = _stepper_of(new.encoder)
        return new


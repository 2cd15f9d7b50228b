"""A stream: one modality's encoder, run stage by stage, with attention after any stage.

The encoder itself stays the library's (mmpretrain ``ResNet``, mmseg ``MixVisionTransformer``, ...). How it is cut into stages is told by a
:class:`Stepper` that is registered for its class, so a stream adds no parameters of its own and a checkpoint keeps the library's key
names below ``streams.<name>.encoder``.
"""
from collections.abc import Mapping

from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError
from decur.modalities import encoder_order
from decur.weights.first_layer import load_encoder

_STEPPERS: dict = {}


class Stepper:
    """Cuts a backbone into a stem and stages. Subclass per backbone family and register with :func:`register_stepper`.

    What a stage returns and the next one takes is a *state*: the map ``(N, C_i, H_i, W_i)`` itself or, where a backbone carries more (a
    class token), an object of the subclass's choice, from which :meth:`map` takes the map and in which :meth:`replace` exchanges it.

    Attributes:
        backbone (nn.Module): The backbone; not a submodule (a stepper is no module and owns no parameters).
        stage_channels (tuple[int]): C_i of each stage's output.
    """

    stage_channels: tuple = ()

    def __init__(self, backbone: nn.Module):
        self.backbone = backbone

    def stem(self, x: Tensor):
        """Run what comes before the first stage: ``(N, C, H, W)`` to the state that ``stage(0, .)`` takes."""
        return x

    def stage(self, index: int, state):
        """Run one stage. Returns the state after it."""
        raise NotImplementedError

    def map(self, state) -> Tensor:
        """The map ``(N, C_i, H_i, W_i)`` of a state."""
        return state

    def replace(self, state, x: Tensor):
        """The state with another map ``x`` of the same shape."""
        return x

    @property
    def feature_dim(self) -> int:
        """Length F of the pooled feature."""
        return self.stage_channels[-1]

    def feature(self, state) -> Tensor:
        """Pool the state after the last stage to the feature ``(N, F)``: the mean of its map."""
        return self.map(state).mean(dim=(2, 3))

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
        entry (dict): The modality's entry: ``channels`` (C), ``encoder`` (a backbone config; its ``in_channels`` is filled in;
            its ``init_cfg=dict(type='Pretrained', checkpoint=..., first_layer=...)`` goes to
            :func:`~decur.weights.first_layer.load_encoder`), ``attention`` (``{stage: config}``; modules ``(N, C_i, H, W)`` to the same
            shape, built with ``channels=C_i``) and ``feature_channels`` (optional int F: a linear layer from the pooled map to F, as the
            published RGB-D models have).

    Raises:
        ConfigError: If the entry has no encoder or one that cannot be built or cut into stages, its ``in_channels`` contradicts
            ``channels``, or an attention names no stage.
    """

    def __init__(self, name: str, entry: Mapping):
        super().__init__()
        self.name = name
        self.channels = entry['channels']
        #: Names of the bands in the order in which the encoder sees them, or None.
        self.bands = [entry['bands'][i] for i in encoder_order(entry)] if entry.get('bands') else None
        encoder = entry.get('encoder')
        if not encoder:
            raise ConfigError(f'modality {name!r} has no encoder: add encoder=dict(type=..., ...) to its entry.')
        encoder = dict(encoder)
        if encoder.setdefault('in_channels', self.channels) != self.channels:
            raise ConfigError(f'modality {name!r} has {self.channels} channels but its encoder says in_channels={encoder["in_channels"]}. '
                              'Leave in_channels out: it is taken from the modality.')
        # Loaded here and not by the encoder: MMEngine would skip a first layer of another shape with nothing but a line in the log.
        if (encoder.get('init_cfg') or {}).get('type') == 'Pretrained':
            self.init_cfg = dict(encoder.pop('init_cfg'))
        try:
            self.encoder = MODELS.build(encoder)
        except (KeyError, TypeError) as error:  # an unknown type; an unknown argument
            reason = ' '.join(str(error.args[0] if error.args else error).split())
            raise ConfigError(f'modality {name!r}: the encoder {encoder.get("type")} cannot be built: {reason}') from error
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

    def init_weights(self) -> None:
        """Initialise as MMEngine does, then load the encoder's ``init_cfg=dict(type='Pretrained', checkpoint=...)`` strictly."""
        init_cfg, self.init_cfg = self.init_cfg, None
        super().init_weights()
        self.init_cfg = init_cfg
        if init_cfg:
            load_encoder(self, **{key: value for key, value in init_cfg.items() if key != 'type'})

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

    def stem(self, x: Tensor):
        """Check the input ``(N, C, H, W)`` and run what comes before the first stage.

        Raises:
            ConfigError: If the shape is not what the stream takes.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ConfigError(f'modality {self.name!r} takes (N, {self.channels}, H, W), got {tuple(x.shape)}.')
        self._stepper.check_input(x)
        return self._stepper.stem(x)

    def stage(self, index: int, state):
        """Run stage ``index`` and the attention after it. Returns the state after them."""
        state = self._stepper.stage(index, state)
        if str(index) in self.attention:
            state = self.replace(state, self.attention[str(index)](self.map(state)))
        return state

    def map(self, state) -> Tensor:
        """The map ``(N, C_i, H_i, W_i)`` of the state after a stage."""
        return self._stepper.map(state)

    def replace(self, state, x: Tensor):
        """The state with another map ``x`` of the same shape; what else it carries (a class token) stays."""
        return self._stepper.replace(state, x)

    def feature(self, state) -> Tensor:
        """Feature ``(N, F)`` of the state after the last stage."""
        x = self._stepper.feature(state)
        return x if self.head is None else self.head(x)

    def forward(self, x: Tensor) -> tuple:
        """All stage maps ``(N, C_i, H_i, W_i)`` of ``(N, C, H, W)``."""
        state = self.stem(x)
        maps = []
        for index in range(self.num_stages):
            state = self.stage(index, state)
            maps.append(self.map(state))
        return tuple(maps)

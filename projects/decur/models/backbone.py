"""The multimodal backbone: one stream per modality, run side by side, stage by stage.

Pretraining, its ablations, late fusion, the dual-branch FCN and CMX are configurations of this one class: they differ in what acts
between the stages (``interactions``) and in whether the stage maps are fused (``fusion``). The parameters of a modality are always below
``streams.<name>``, so a stream's weights move between these models without renaming.
"""
from collections.abc import Mapping, Sequence

from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from torch import Tensor

from decur.errors import ConfigError
from decur.modalities import check_modalities, check_names, split
from decur.weights.streams import load_streams

from .streams import Stream


@MODELS.register_module()
class MultimodalBackbone(BaseModule):
    """One encoder per named modality.

    Args:
        modalities (dict[str, dict]): Modality entries; of each, ``channels``, ``encoder``, ``attention`` and ``feature_channels`` are read.
        interactions (dict[int, dict], optional): Modules across streams by the stage after which they act,
            ``{name: (N, C_i, H, W)}`` to the same keys and shapes; what they return enters the next stage. Built with
            ``channels={name: C_i}``.
        fusion (dict, optional): A module ``(stage, {name: map}) -> map``, built with ``channels={name: (C_0, C_1, ...)}``.
            It sees the maps after the interactions and does not feed back. Defaults to None.
        out_indices (Sequence[int], optional): Stages that are returned. Defaults to all of the encoders, mostly four.
        pretrained (str | dict[str, str], optional): A pretraining checkpoint whose streams of the same names are loaded, or one file per
            modality. Every key must fit. Defaults to None.
        shared (dict[str, str], optional): Modalities that go through the stream of another one, which has as many channels and the same
            encoder: ``dict(sar_after='sar_before')`` for two dates. Their weights are in the file under both names. Defaults to none.
        frozen (bool): Freeze the streams: no gradient, eval mode. Interactions and fusion still train. Defaults to False.
        init_cfg (dict, optional): As in MMEngine.

    Raises:
        ConfigError: If the streams have no common stages, or an index is no stage.
    """

    def __init__(self,
                 modalities: Mapping,
                 interactions: Mapping | None = None,
                 fusion: Mapping | None = None,
                 out_indices: Sequence[int] | None = None,
                 pretrained: str | Mapping | None = None,
                 shared: Mapping | None = None,
                 frozen: bool = False,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.modalities = check_modalities(modalities)
        # MMEngine's ModuleDict: torch's would end the walk of init_weights here.
        self.streams = ModuleDict({name: Stream(name, entry) for name, entry in self.modalities.items()})
        for name, other in (shared or {}).items():
            self._share(name, other)
        counts = {name: stream.num_stages for name, stream in self.streams.items()}
        if (interactions or fusion) and len(set(counts.values())) > 1:
            raise ConfigError(f'streams that interact need the same number of stages, got {counts}. Choose encoders that have as many.')
        self.num_stages = min(counts.values())
        self.out_indices = tuple(range(self.num_stages) if out_indices is None else out_indices)
        if any(not 0 <= i < self.num_stages for i in self.out_indices):
            raise ConfigError(f'out_indices {self.out_indices}: the encoders have stages 0..{self.num_stages - 1}.')
        self.interactions = ModuleDict()
        for stage, cfg in (interactions or {}).items():
            if not 0 <= int(stage) < self.num_stages:
                raise ConfigError(f'interaction after stage {stage}: the encoders have stages 0..{self.num_stages - 1}.')
            channels = {name: stream.stage_channels[int(stage)] for name, stream in self.streams.items()}
            self.interactions[str(stage)] = MODELS.build(cfg, default_args=dict(channels=channels))
        self.fusion = None
        if fusion:
            channels = {name: stream.stage_channels for name, stream in self.streams.items()}
            self.fusion = MODELS.build(fusion, default_args=dict(channels=channels))
        self.pretrained = pretrained
        self.started_from = {}
        self.frozen = frozen
        if frozen:
            self.streams.requires_grad_(False)
            self.streams.eval()

    def _share(self, name: str, other: str) -> None:
        """Let a modality go through another one's stream."""
        check_names((name, other), self.modalities)
        mine, theirs = self.modalities[name], self.modalities[other]
        keys = 'channels', 'encoder', 'attention', 'feature_channels'
        if different := [key for key in keys if mine.get(key) != theirs.get(key)]:
            raise ConfigError(f'modality {name!r} cannot go through the stream of {other!r}: they differ in {different[0]}.')
        if self.streams[name] is self.streams[other]:
            raise ConfigError(f'shared: {name!r} and {other!r} share a stream already; name each modality once.')
        self.streams[name] = self.streams[other]

    @property
    def feature_dims(self) -> dict:
        """Length F of each modality's pooled feature."""
        return {name: stream.feature_dim for name, stream in self.streams.items()}

    def init_weights(self) -> None:
        """Initialise as MMEngine does, then take the streams of ``pretrained``."""
        if self.pretrained is not None:
            for name in (self.streams if isinstance(self.pretrained, str) else self.pretrained):
                if name in self.streams:
                    self.streams[name].init_cfg = None  # ImageNet weights that would be overwritten at once
        super().init_weights()
        self.started_from = {name: dict(file=stream.init_cfg['checkpoint'], objective=None)
                             for name, stream in self.streams.items() if stream.init_cfg}
        if self.pretrained is not None:
            load_streams(self, self.pretrained)

    def train(self, mode: bool = True):
        """Switch the mode; frozen streams stay in eval mode."""
        super().train(mode)
        if self.frozen:
            self.streams.eval()
        return self

    def step(self, inputs: Mapping) -> dict:
        """Run all streams of ``inputs`` side by side.

        Args:
            inputs (dict[str, Tensor]): ``(N, C, H, W)`` float tensors of any subset of the modalities (all of them where interactions act).

        Returns:
            dict[str, tuple[Tensor]]: Every stage's map ``(N, C_i, H_i, W_i)`` by modality.
        """
        self._check(inputs)
        return self._run(inputs)[0]

    def _check(self, inputs: Mapping) -> None:
        """Raise :class:`ConfigError` for what is not by modality, and for modalities that the model does not have, or lacks."""
        if not isinstance(inputs, Mapping):
            raise ConfigError(f'inputs must be a dict of tensors by modality {list(self.streams)}, got {type(inputs).__name__}.')
        if not inputs:
            raise ConfigError(f'no modality was given: this model takes any of {list(self.streams)}.')
        check_names(inputs, self.streams)
        if len(self.interactions) and len(inputs) < len(self.streams):
            missing = [name for name in self.streams if name not in inputs]
            raise ConfigError(f'modality {missing} is missing: the streams of this model interact, so all must be given.')

    def _run(self, inputs: Mapping) -> tuple:
        """Maps of every stage, and the states after the last one."""
        states = {name: self.streams[name].stem(x) for name, x in inputs.items()}
        maps = {name: [] for name in inputs}
        for index in range(max(self.streams[name].num_stages for name in inputs)):
            for name in inputs:
                if index < self.streams[name].num_stages:
                    states[name] = self.streams[name].stage(index, states[name])
            if str(index) in self.interactions:
                changed = self.interactions[str(index)]({name: self.streams[name].map(state) for name, state in states.items()})
                states = {name: self.streams[name].replace(states[name], x) for name, x in changed.items()}
            for name, state in states.items():
                if index < self.streams[name].num_stages:
                    maps[name].append(self.streams[name].map(state))
        return {name: tuple(x) for name, x in maps.items()}, states

    def features(self, inputs: Mapping) -> dict:
        """Pooled features ``{name: (N, F)}`` of ``{name: (N, C, H, W)}``."""
        return self.features_and_maps(inputs)[0]

    def features_and_maps(self, inputs: Mapping) -> tuple:
        """Pooled features ``{name: (N, F)}`` and every stage's map ``{name: (N, C_i, H_i, W_i), ...}`` of one pass."""
        self._check(inputs)
        maps, states = self._run(inputs)
        return {name: self.streams[name].feature(state) for name, state in states.items()}, maps

    def forward(self, inputs: Mapping | Tensor):
        """Stage maps of a batch.

        Args:
            inputs (dict[str, Tensor] | Tensor): ``{name: (N, C, H, W)}``, or one tensor ``(N, sum C, H, W)`` with the modalities'
                channels in order.

        Returns:
            dict[str, tuple[Tensor]] | tuple[Tensor]: The maps at ``out_indices`` by modality; fused to one tuple where there is a fusion.
        """
        if isinstance(inputs, Tensor):
            inputs = split(inputs, self.modalities)
        maps = self.step(inputs)
        if self.fusion is None:
            return {name: tuple(m[i] for i in self.out_indices) for name, m in maps.items()}
        return tuple(self.fusion(i, {name: m[i] for name, m in maps.items()}) for i in self.out_indices)

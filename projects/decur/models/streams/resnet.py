"""Stages of mmpretrain's ResNets: stem, then ``layer1`` .. ``layer4``."""
from mmengine.registry import MODELS
from mmpretrain.models.backbones import ResNet, ResNet_CIFAR
from mmpretrain.models.backbones.resnet import BasicBlock
from torch import Tensor

from decur.compat.narrow_convolutions import leave_out_between_strides

from .stream import Stepper, register_stepper


@register_stepper(ResNet)
class ResNetStepper(Stepper):
    """Cuts any mmpretrain ResNet (any depth, ``deep_stem`` included) at its residual layers."""

    @property
    def stage_channels(self) -> tuple:
        """Output channels of the residual layers: 256, 512, 1024, 2048 for ResNet50."""
        return tuple(getattr(self.backbone, name)[-1].out_channels for name in self.backbone.res_layers)

    def stem(self, x: Tensor) -> Tensor:
        """7x7 convolution, norm, ReLU and max pooling: ``(N, C, H, W)`` to ``(N, 64, H/4, W/4)``."""
        net = self.backbone
        return net.maxpool(net.stem(x) if net.deep_stem else net.relu(net.norm1(net.conv1(x))))

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run one residual layer."""
        return getattr(self.backbone, self.backbone.res_layers[index])(x)


@register_stepper(ResNet_CIFAR)
class SmallResNetStepper(ResNetStepper):
    """The same for ``ResNet_CIFAR``, whose stem neither strides nor pools (small images)."""

    def stem(self, x: Tensor) -> Tensor:
        """3x3 convolution, norm and ReLU at full resolution."""
        net = self.backbone
        return net.relu(net.norm1(net.conv1(x)))


@MODELS.register_module()
class SmallResNet(ResNet_CIFAR):
    """A residual network of one basic block per stage, for images of 24 to 96 pixels and machines without a GPU.

    As mmpretrain's ``ResNet_CIFAR`` (3x3 stem, no pooling) with ``depth=10``; stages, strides and widths are options as there.

    Args:
        depth (int): 10, or a depth of ``ResNet_CIFAR``. Defaults to 10.
        stem_stride (int): Of the 3x3 stem; 2 spares most of the work at full resolution. Defaults to 1.
        **kwargs: As ``ResNet_CIFAR``.
    """

    arch_settings = {**ResNet_CIFAR.arch_settings, 10: (BasicBlock, (1, 1, 1, 1))}

    def __init__(self, depth: int = 10, stem_stride: int = 1, **kwargs):
        self.stem_stride = stem_stride
        super().__init__(depth, **kwargs)
        leave_out_between_strides(self)

    def _make_stem_layer(self, in_channels: int, base_channels: int) -> None:
        super()._make_stem_layer(in_channels, base_channels)
        self.conv1.stride = (self.stem_stride, self.stem_stride)

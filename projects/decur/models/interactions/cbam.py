"""Convolutional block attention module: Woo et al., ECCV 2018, arXiv 1807.06521, sections 3.1 and 3.2 (Table 2 of the supplement)."""
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError


@MODELS.register_module()
class CBAM(BaseModule):
    """Weights channels, then pixels: ``x' = Mc(x) x``, ``x'' = Ms(x') x'``.

    ``Mc = sigmoid(MLP(mean over pixels) + MLP(max over pixels))`` with one shared MLP;
    ``Ms = sigmoid(conv(mean over channels, max over channels))``.

    Args:
        channels (int): C; filled in by the backbone.
        reduction (int): The MLP has C / reduction hidden units. Defaults to 16.
        kernel_size (int): Odd, of the convolution. Defaults to 7.

    Raises:
        ConfigError: If ``reduction`` leaves no hidden unit or the kernel is even.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if channels < reduction or kernel_size % 2 == 0:
            raise ConfigError(f'CBAM needs reduction <= channels and an odd kernel_size, got {reduction}, {channels}, {kernel_size}.')
        hidden = channels // reduction
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels))
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        x = x * torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))[..., None, None]
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))

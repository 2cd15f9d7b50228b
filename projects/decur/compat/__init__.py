"""Workarounds for defects of dependencies, one a file; each says when it can be deleted."""
from . import config_order, many_channels, mmseg_configs, runner_type, torchvision_cpu

torchvision_cpu.ensure_importable()
mmseg_configs.register()
config_order.keep()
runner_type.heed()
many_channels.register()

"""Workarounds for defects of dependencies, one a file; each says when it can be deleted."""
from . import config_order, config_packages, debug_notices, many_channels, runner_type, torchvision_cpu

torchvision_cpu.ensure_importable()
config_packages.register()
config_order.keep()
debug_notices.drop()
runner_type.heed()
many_channels.register()

"""Workarounds for defects of dependencies, and names of earlier versions; one a file, each says when it can be deleted."""
from . import config_order, config_packages, debug_notices, earlier_names, many_channels, runner_type, torchvision_cpu

torchvision_cpu.ensure_importable()
config_packages.register()
config_order.keep()
debug_notices.drop()
runner_type.heed()
many_channels.register()
earlier_names.heed()

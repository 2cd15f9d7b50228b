"""Workarounds for defects of dependencies, one a file; each says when it can be deleted."""
from . import mmseg_configs, torchvision_cpu

torchvision_cpu.ensure_importable()
mmseg_configs.register()

"""Registries of the parts that OpenMMLab has no registry for.

Everything else (models, datasets, transforms, hooks, ...) is registered in MMEngine's root registries, which both the
``mmpretrain`` and the ``mmseg`` scope search.
"""
from mmengine.registry import Registry

#: Callables ``reader(source) -> ndarray (H, W, C)``; see :mod:`decur.readers.files`.
READERS = Registry('multimodal reader', scope='mmengine')

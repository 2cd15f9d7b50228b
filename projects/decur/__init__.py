"""DeCUR: decoupling common and unique representations for multimodal self-supervised learning (arXiv 2309.05300), on OpenMMLab.

Importing the package registers its models, datasets, transforms, hooks and metrics, so a config needs only
``custom_imports = dict(imports=['decur'])``.
"""
from . import compat  # noqa: F401, I001  must run before anything imports torchvision
from . import datasets, engine, evaluation, models, readers, transforms, visualization, weights  # noqa: F401
from .apis import build_model, load
from .binding import bind
from .synthetic import factors_dataset  # noqa: F401
from .version import __version__
from .weights.zoo import list_weights

__all__ = ['__version__', 'bind', 'build_model', 'list_weights', 'load']

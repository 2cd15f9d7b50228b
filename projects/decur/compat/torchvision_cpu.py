"""Let a CUDA-built torchvision import beside a CPU-only torch.

The package index serves one torchvision wheel, built with CUDA. Beside a CPU build of torch its C++ operators do not load, and ``import
torchvision`` stops at the line that registers a fake kernel for ``torchvision::nms``. Declaring the two operators it names is enough
for everything that is pure Python: models, datasets, transforms on tensors. Its C++ operators (``nms``, ``roi_align``, ``io``) stay absent.

Delete this file when the wheel that pip picks for a CPU torch imports by itself.
"""
import sys

_SCHEMA = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
_library = None  # kept: the operators vanish with the Library object


def ensure_importable() -> bool:
    """Make ``import torchvision`` work; do nothing where it already does.

    Returns:
        bool: True if the operators had to be declared.
    """
    global _library
    try:
        import torchvision  # noqa: F401
        return False
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
    for name in [m for m in sys.modules if m.split('.')[0] == 'torchvision']:
        del sys.modules[name]
    import torch
    _library = torch.library.Library('torchvision', 'DEF')
    _library.define('nms' + _SCHEMA)
    _library.define('qnms' + _SCHEMA)
    import torchvision  # noqa: F401
    return True

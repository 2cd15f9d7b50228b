"""Mixed precision on a CPU, where MMEngine's ``AmpOptimWrapper`` refuses to run."""
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; where it does not, emulating it would be slower than float32."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
    return bool(found.get('avx512_bf16') or found.get('amx_bf16'))


@OPTIM_WRAPPERS.register_module()
class CpuBf16OptimWrapper(OptimWrapper):
    """Forward in bfloat16 autocast; no loss scale is needed, since bfloat16 has float32's range.

    Args:
        dtype (str): Accepted so that configs written for ``AmpOptimWrapper`` work; the forward pass is in bfloat16 whatever it says.
        **kwargs: As MMEngine's ``OptimWrapper``.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs):
        super().__init__(**kwargs)

    @contextmanager
    def optim_context(self, model):
        """Autocast the forward pass."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield

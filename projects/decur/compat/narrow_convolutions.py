"""Keep oneDNN from crashing in the gradient of narrow 1x1 convolutions with a stride.

The float32 gradient of a 1x1 convolution with stride 2 of 8 or 12 channels in channels-last memory writes beyond its memory on CPUs with
AVX-512: the process ends with a segmentation fault or ``double free``. 16 channels and more, a stride of 1, and bfloat16 are right. So the
pixels between the strides are left out first, which is the same convolution.

Delete this file when ``tests/compat/test_narrow_convolutions.py`` passes without it (seen with PyTorch 2.13).
"""
from torch import nn

#: Channels from which on the gradient is right.
ENOUGH = 16


def leave_out_between_strides(module: nn.Module) -> None:
    """Let the narrow 1x1 convolutions with a stride below a module take every stride-th pixel themselves; weights and values stay."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1) and max(conv.stride) > 1 and conv.in_channels < ENOUGH:
            rows, columns = conv.stride
            conv.stride = (1, 1)
            conv.register_forward_pre_hook(lambda m, args, rows=rows, columns=columns: (args[0][..., ::rows, ::columns], *args[1:]))

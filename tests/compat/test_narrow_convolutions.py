"""Narrow strided 1x1 convolutions: the same values and gradients as without the workaround, which crashes; in a process of its own."""
import subprocess
import sys

import pytest
from helpers import ROOT

SCRIPT = '''
import torch
from torch import nn
from decur.compat.narrow_convolutions import leave_out_between_strides

torch.manual_seed(0)
for channels in (8, 12, 16):
    conv = nn.Conv2d(channels, channels, 1, stride=2, bias=False)
    exact = nn.Conv2d(channels, channels, 1, stride=2, bias=False).double()
    exact.load_state_dict(conv.state_dict())
    leave_out_between_strides(nn.Sequential(conv))
    assert conv.stride == ((1, 1) if channels < 16 else (2, 2))
    for size in (64, 63):
        x = torch.rand(4, channels, size, size).to(memory_format=torch.channels_last).requires_grad_()
        y = x.detach().double().requires_grad_()
        (conv(x) ** 2).sum().backward()
        (exact(y) ** 2).sum().backward()
        torch.testing.assert_close(conv(x).double(), exact(y), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(x.grad.double(), y.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(conv.weight.grad.double(), exact.weight.grad, rtol=1e-4, atol=1e-2)
print('right')
'''


@pytest.mark.timeout(300)
def test_values_and_gradients():
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and done.stdout == 'right\n', done.stderr[-2000:]

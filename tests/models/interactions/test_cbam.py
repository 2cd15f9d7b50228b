import pytest
import torch

from decur.errors import ConfigError
from decur.models.interactions import CBAM


def test_it_equals_the_formula():
    torch.manual_seed(0)
    module = CBAM(8, reduction=2, kernel_size=3).double()
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)

    def mlp(v):
        return module.mlp[2].weight @ torch.relu(module.mlp[0].weight @ v + module.mlp[0].bias) + module.mlp[2].bias

    expected = []
    for image in x:
        flat = image.flatten(1)
        image = image * torch.sigmoid(mlp(flat.mean(1)) + mlp(flat.max(1).values))[:, None, None]
        pooled = torch.nn.functional.pad(torch.stack([image.mean(0), image.max(0).values]), (1, 1, 1, 1))
        weights = torch.stack([(pooled[:, i:i + 3, j:j + 3] * module.conv.weight[0]).sum() for i in range(5) for j in range(6)])
        expected.append(image * torch.sigmoid(weights.reshape(5, 6)))
    assert torch.allclose(module(x), torch.stack(expected), atol=1e-12)


def test_gradients_and_bfloat16():
    torch.manual_seed(0)
    module = CBAM(4, reduction=2, kernel_size=3).double()
    assert torch.autograd.gradcheck(module, torch.randn(1, 4, 3, 4, dtype=torch.float64, requires_grad=True))
    out = module.bfloat16()(torch.randn(2, 4, 7, 7, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16 and out.isfinite().all()


def test_impossible_sizes_are_named():
    with pytest.raises(ConfigError, match='reduction'):
        CBAM(8, reduction=16)
    with pytest.raises(ConfigError, match='odd'):
        CBAM(16, kernel_size=4)

"""Batch normalisation over all processes on any backend; torch's ``SyncBatchNorm`` exists for GPUs only."""
import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class _AllReduceBatchNorm(torch.autograd.Function):
    """Normalise with the statistics of all processes; the backward pass sends two sums per channel."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, count: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps = eps
        # The library's kernel for given statistics: vectorised, any memory format, mixed precision.
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps) if x.numel() else torch.empty_like(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight, mean, var, count = ctx.saved_tensors
        scale = torch.rsqrt(var + ctx.eps)
        if x.numel():
            grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, var, mean, scale, False, ctx.eps, [True, True, True])
        else:
            grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.zeros_like(mean), torch.zeros_like(mean)
        sums = torch.cat([grad_weight.double(), grad_bias.double()])
        dist.all_reduce(sums)
        inner, shift = (sums / count).to(mean.dtype).chunk(2)
        if x.numel():
            # Through mean and variance: grad_x -= w s (shift + (x - mean) s inner), an affine map of x per channel.
            gain = scale if weight is None else scale * weight
            slope = -gain * scale * inner
            shape = [1, -1] + [1] * (x.ndim - 2)
            constant = (-gain * shift - slope * mean).view(shape)
            grad_x = (grad_x + torch.addcmul(constant, x.to(mean.dtype), slope.view(shape))).to(x.dtype)
        affine = weight is not None
        return grad_x, grad_weight if affine else None, grad_bias if affine else None, None, None, None, None


@MODELS.register_module()
class AllReduceBN(_BatchNorm):
    """Batch norm of ``(N, C)``, ``(N, C, L)``, ``(N, C, H, W)`` or ``(N, C, D, H, W)`` whose statistics are those of all processes.

    Parameters, buffers and results are those of ``BatchNorm1d/2d/3d`` on the concatenated batch, forwards and backwards; processes may
    have different numbers of samples, and some none. Every process must call it equally often. With one process, or in eval mode, it is
    the ordinary batch norm.

    Args:
        num_features (int): C.
        eps (float): Added to the variance. Defaults to 1e-5.
        momentum (float | None): Of the running statistics. Defaults to 0.1.
        affine (bool): Learn a scale and a shift per channel. Defaults to True.
        track_running_stats (bool): Keep running statistics for eval mode. Defaults to True.
    """

    _abbr_ = 'bn'  # mmcv names the layer in its parent after this

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f'expected at least 2 dimensions (N, C, ...), got {tuple(x.shape)}.')

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C, ...)``; the same shape, dtype and memory format."""
        self._check_input_dim(x)
        batch = self.training or not self.track_running_stats
        if not batch or not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        mean, var, count = self._statistics(x.detach())
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            rate = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
            self.running_var.lerp_((var * (count / (count - 1))).to(self.running_var.dtype), rate)
        dtype = torch.promote_types(x.dtype, torch.float32)
        return _AllReduceBatchNorm.apply(x, self.weight, self.bias, mean.to(dtype), var.to(dtype), count, self.eps)

    @staticmethod
    def _statistics(x: Tensor) -> tuple:
        """Mean and biased variance ``(C,)`` over all processes and the number of values, in double."""
        channels = x.shape[1]
        dims = [d for d in range(x.ndim) if d != 1]
        values = x.numel() // channels
        if values:
            var, mean = torch.var_mean(x.to(torch.promote_types(x.dtype, torch.float32)), dim=dims, correction=0)
        else:
            var = mean = x.new_zeros(channels)
        own = torch.cat([mean.double(), var.double(), mean.new_full((1, ), values, dtype=torch.float64)])
        everyone = own.new_empty((dist.get_world_size(), len(own)))
        dist.all_gather_into_tensor(everyone, own[None])
        means, variances, counts = everyone[:, :channels], everyone[:, channels:2 * channels], everyone[:, -1:]
        count = counts.sum()
        shares = counts / count
        mean = (means * shares).sum(0)
        # Each process's own variance plus how far its mean lies from the common one (Chan et al., 1979).
        var = ((variances + (means - mean).square()) * shares).sum(0)
        if int(count) < 2:
            raise ValueError(f'Expected more than 1 value per channel in all processes when training, got input size {tuple(x.shape)}.')
        return mean, var, count


def convert_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every batch norm below ``module`` by :class:`AllReduceBN`, as ``SyncBatchNorm.convert_sync_batchnorm`` does.

    Parameters and buffers are handed over (the same tensors), so an optimiser that was built before stays valid.

    Args:
        module (nn.Module): Changed in place, unless it is a batch norm itself.

    Returns:
        nn.Module: The module, or what replaces it.
    """
    if isinstance(module, _BatchNorm) and not isinstance(module, AllReduceBN):
        new = AllReduceBN(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
        new._parameters, new._buffers = module._parameters, module._buffers
        new.training = module.training
        return new
    for name, child in module.named_children():
        new = convert_batch_norm(child)
        if new is not child:
            module.add_module(name, new)
    return module

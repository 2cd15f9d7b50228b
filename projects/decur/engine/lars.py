"""The LARS optimiser, computed for many parameters at once, and parameter groups by number of dimensions."""
import inspect
from collections.abc import Callable, Iterable

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn
from torch.optim import Optimizer

from decur.errors import ConfigError, check_choice

RULES = ('barlow_twins', 'you2017')


@OPTIMIZERS.register_module()
class ForeachLARS(Optimizer):
    r"""Layer-wise adaptive rate scaling (You et al., 2017, arXiv 1708.03888).

    The published training's rule, which is Barlow Twins' (``rule='barlow_twins'``), for a parameter w with gradient g:

    .. math:: u = g + \beta w, \quad q = \eta \|w\| / \|u\|, \quad v \leftarrow m v + q u, \quad w \leftarrow w - \gamma v

    with learning rate :math:`\gamma`, momentum m, weight decay :math:`\beta`; q is 1 where either norm is 0, and in groups with
    ``adapt=False``. ``rule='you2017'`` is the first publication's Algorithm 1: :math:`q = \eta \|w\| / (\|g\| + \beta \|w\|)`,
    :math:`v \leftarrow m v + \gamma q u`, :math:`w \leftarrow w - v`. With weight decay 1e-6 they differ while the learning rate changes.

    Norms are never copied to the host, so a step does not synchronise with the device. The tensors of a group are updated together
    (``torch._foreach_*``).

    Args:
        params (Iterable): Parameters, or parameter groups, which may override the options below.
        lr (float): Learning rate.
        momentum (float): Defaults to 0.9.
        weight_decay (float): Defaults to 0.
        eta (float): The trust coefficient. Defaults to 0.001.
        adapt (bool): Scale by q. Defaults to True.
        rule (str): ``'barlow_twins'`` or ``'you2017'``. Defaults to ``'barlow_twins'``.

    Raises:
        ConfigError: If a value is out of range.
    """

    #: Bytes of gradients that are updated together. A step needs twice as much temporary memory (or twice the largest parameter).
    chunk_bytes = 256 * 2**20

    def __init__(self,
                 params: Iterable,
                 lr: float,
                 momentum: float = 0.9,
                 weight_decay: float = 0.,
                 eta: float = 0.001,
                 adapt: bool = True,
                 rule: str = 'barlow_twins'):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, eta=eta, adapt=adapt, rule=rule))
        for group in self.param_groups:
            wrong = {key: group[key] for key in ('lr', 'momentum', 'weight_decay', 'eta') if not group[key] >= 0}
            if wrong:
                raise ConfigError(f'ForeachLARS: {wrong} must not be negative.')
            check_choice('ForeachLARS: rule', group['rule'], RULES)

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """Update the parameters that have a gradient.

        Args:
            closure (Callable, optional): Computes the loss and the gradients anew.

        Returns:
            The closure's loss, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for params in self._chunks([p for p in group['params'] if p.grad is not None]):
                self._step_chunk(params, group)
        return loss

    def _chunks(self, params: list):
        """Split into lists of one device and dtype and of limited size."""
        buckets = {}
        for p in params:
            if p.grad.is_sparse:
                raise RuntimeError('ForeachLARS does not take sparse gradients.')
            buckets.setdefault((p.device, p.dtype), []).append(p)
        for bucket in buckets.values():
            chunk, size = [], 0
            for p in bucket:
                if chunk and size + p.nbytes > self.chunk_bytes:
                    yield chunk
                    chunk, size = [], 0
                chunk.append(p)
                size += p.nbytes
            yield chunk

    def _step_chunk(self, params: list, group: dict) -> None:
        lr, decay = group['lr'], group['weight_decay']
        grads = [p.grad for p in params]
        updates = torch._foreach_add(grads, params, alpha=decay) if decay else grads
        if group['adapt']:
            factors = self._factors(params, grads, updates, group)
            updates = torch._foreach_mul(updates, list(factors.unbind()))
        inside = group['rule'] == 'you2017'
        for p in params:
            if 'momentum_buffer' not in self.state[p]:
                self.state[p]['momentum_buffer'] = torch.zeros_like(p)
        buffers = [self.state[p]['momentum_buffer'] for p in params]
        torch._foreach_mul_(buffers, group['momentum'])
        torch._foreach_add_(buffers, updates, alpha=lr if inside else 1)
        torch._foreach_add_(params, buffers, alpha=-1 if inside else -lr)

    @staticmethod
    def _factors(params: list, grads: list, updates: list, group: dict) -> torch.Tensor:
        """The factor q of every parameter, ``(len(params),)``."""
        norms = torch.stack(torch._foreach_norm(params))
        if group['rule'] == 'you2017':
            below = torch.stack(torch._foreach_norm(grads)) + group['weight_decay'] * norms
        else:
            below = torch.stack(torch._foreach_norm(updates))
        return torch.where((norms > 0) & (below > 0), group['eta'] * norms / below, torch.ones_like(norms))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NdimOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Two parameter groups: weights, and everything with at most one dimension (biases, norm layers, scalars).

    The latter have no weight decay, are not adapted by LARS and may have a learning rate of their own. By ``ndim`` and not by name or
    layer type, so it cannot miss a batch norm inside ``nn.Sequential``. Schedulers scale both groups.

    Args:
        optim_wrapper_cfg (dict): As in MMEngine.
        paramwise_cfg (dict, optional): ``lr_1d`` (float): learning rate of the second group. Defaults to the optimiser's ``lr``.

    Raises:
        ConfigError: If ``paramwise_cfg`` has another key.
    """

    def _validate_cfg(self) -> None:
        unknown = sorted(set(self.paramwise_cfg) - {'lr_1d'})
        if unknown:
            raise ConfigError(f'NdimOptimWrapperConstructor: unknown paramwise_cfg {unknown}. Known: lr_1d.')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser and its wrapper."""
        if is_model_wrapper(model):
            model = model.module
        cfg = self.optimizer_cfg.copy()
        cls = cfg['type']
        if isinstance(cls, str):
            with OPTIMIZERS.switch_scope_and_registry(None) as registry:
                cls = registry.get(cfg['type'])
        params = [p for p in model.parameters() if p.requires_grad]
        if not params:
            raise ConfigError('the model has no parameter to train: everything is frozen.')
        small = dict(params=[p for p in params if p.ndim <= 1], weight_decay=0.)
        if 'lr_1d' in self.paramwise_cfg:
            small['lr'] = self.paramwise_cfg['lr_1d']
        if cls is not None and 'adapt' in inspect.signature(cls).parameters:
            small['adapt'] = False
        groups = [dict(params=[p for p in params if p.ndim > 1]), small]
        # A group without parameters would be an error for some optimisers.
        cfg['params'] = [group for group in groups if group['params']]
        wrapper = dict(self.optim_wrapper_cfg)
        wrapper.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(wrapper, default_args=dict(optimizer=OPTIMIZERS.build(cfg)))

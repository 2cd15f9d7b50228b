"""The learning rate for another batch size than the config's (``--auto-scale-lr``)."""
import numpy as np
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ..errors import ConfigError
from .lars import ForeachLARS

#: Barlow Twins' base learning rates for LARS by batch size (their rate is this times batch / 256): the authors' advice for small batches
#: (facebookresearch/barlowtwins, issue 7), and the paper's 0.2 for 2048.
BASE_RATES = {128: .7, 256: .4, 1024: .25, 2048: .2}


def rate(batch_size: int) -> float:
    """Barlow Twins' learning rate for a batch size: interpolated between the table's sizes (both on log scales), beyond them linear."""
    base = np.exp(np.interp(np.log(batch_size), np.log([*BASE_RATES]), np.log([*BASE_RATES.values()])))
    return float(base * batch_size / 256)


def scale_factor(batch_size: int, reference: int, lars: bool) -> float:
    """By what the learning rate of a config for batches of ``reference`` samples is multiplied.

    Args:
        batch_size (int): Samples of a step, over all processes.
        reference (int): Those that the config's rate is for.
        lars (bool): Whether the optimiser is LARS, for which the table is; the rates of others are scaled linearly.
    """
    return rate(batch_size) / rate(reference) if lars else batch_size / reference


def scale_learning_rate(runner: Runner, optim_wrapper, options: dict | None) -> None:
    """Scale the rates of all parameter groups, before schedules are built on them.

    Args:
        runner (Runner): For the number of processes and the batch size.
        optim_wrapper (OptimWrapper): Built.
        options (dict): The config's ``auto_scale_lr``: ``enable``, ``base_batch_size``.

    Raises:
        ConfigError: If the config does not say which batch size its rate is for.
    """
    if not options or not options.get('enable', False):
        return
    reference = options.get('base_batch_size')
    if not isinstance(reference, int) or reference < 1:
        raise ConfigError(f'auto_scale_lr.base_batch_size must be the batch size, over all processes, that the learning rate of the config '
                          f'is for; got {reference!r}.')
    loader = runner._train_dataloader
    own = loader['batch_size'] if isinstance(loader, dict) else loader.batch_size
    for wrapper in optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]:
        lars = isinstance(wrapper.optimizer, ForeachLARS)
        factor = scale_factor(own * runner.world_size, reference, lars)
        for group in wrapper.optimizer.param_groups:
            group['lr'] *= factor
        runner.logger.info(f'The learning rate is for batches of {reference}, a step has {own * runner.world_size}: it is multiplied by '
                           f'{factor:.4g} ({"Barlow Twins table for LARS" if lars else "linearly"}).')

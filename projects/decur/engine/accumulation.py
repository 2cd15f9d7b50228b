"""What gradient accumulation does not do."""
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner


def tell_accumulation(runner: Runner) -> None:
    """Warn where a pretraining accumulates gradients: its objective is a statistic of the batch, which this does not enlarge."""
    wrapper = runner.optim_wrapper
    count = getattr(wrapper, '_accumulative_counts', 1) if isinstance(wrapper, OptimWrapper) else wrapper.get('accumulative_counts', 1)
    model = runner.model
    while hasattr(model, 'module'):
        model = model.module
    if count > 1 and hasattr(model, 'micro_batch'):
        size = runner.train_loop.dataloader.batch_size
        runner.logger.warning(
            f'accumulative_counts={count} averages the gradients of {count} batches of {size}: every correlation is still that of '
            f'{size} samples of each process. For the loss of {count * size}: train_dataloader.batch_size={count * size} '
            f'model.micro_batch={size}.')

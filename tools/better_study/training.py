"""The loop of a small training without a data set on disk."""
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from decur.progress import Progress


def fit(optimizer: Optimizer, loss_of_step: Callable, steps: int, title: str) -> None:
    """Take steps whose rate falls from the optimizer's to 0 as a cosine.

    Args:
        optimizer: of all parameters.
        loss_of_step: without arguments, draws a batch and returns its loss.
        steps: how many.
        title: of the progress.
    """
    schedule = CosineAnnealingLR(optimizer, steps)
    with Progress(steps, title) as progress:
        for _ in range(steps):
            loss = loss_of_step()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.update()

"""The runner of configs that say their modalities once."""
from mmengine.registry import RUNNERS

from .checked_runner import CheckedRunner


@RUNNERS.register_module()
class MultimodalRunner(CheckedRunner):
    """The runner of this project: it checks before it starts, loads strictly and resumes exactly (:class:`CheckedRunner`).

    Chosen by ``runner_type = 'MultimodalRunner'`` in ``configs/_base_/default_runtime.py``, so that the command lines of MMPretrain and
    MMSegmentation build it too.
    """

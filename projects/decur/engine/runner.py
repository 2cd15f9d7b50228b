"""The runner of configs that say their modalities once."""
from mmengine.registry import RUNNERS

from decur.binding import bind

from .checked_runner import CheckedRunner


@RUNNERS.register_module()
class MultimodalRunner(CheckedRunner):
    """:class:`CheckedRunner`, whose model, data sets and hooks get the config's top-level ``modalities`` (:func:`~decur.binding.bind`).

    Chosen by ``runner_type = 'MultimodalRunner'`` in ``configs/_base_/default_runtime.py``, so that the command lines of MMPretrain and
    MMSegmentation build it too. The config that it logs, writes to the work directory and stores in checkpoints is the one that was given,
    unbound: read again, or taken as ``_base_``, it means what it meant.

    Args:
        cfg (Config): The whole config, as :meth:`from_cfg` hands it over.
        **parts: The other arguments of MMEngine's ``Runner``, all by name.

    Raises:
        ConfigError: If the modalities of the config are wrong.
    """

    def __init__(self, *, cfg=None, **parts):
        shared = (cfg or {}).get('modalities')
        bound = bind(dict(parts, modalities=shared))
        del bound['modalities']
        super().__init__(cfg=cfg, **bound)

"""Checkpoints that say what they are."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from decur.weights.metadata import describe


@HOOKS.register_module()
class MetadataHook(Hook):
    """Store bands, statistics, encoders, data and licence under ``meta.decur`` of every checkpoint; ``decur.load`` reads them.

    ``started_from`` says for each encoder that was not initialised at random which file its first weights came from and, if that is a
    pretraining of this project, its objective.
    """

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the description of the runner's model."""
        described = describe(runner.cfg.get('model') or {})
        if described:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            checkpoint['meta']['decur'] = dict(described, started_from=model.backbone.started_from)

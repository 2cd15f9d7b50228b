"""Checkpoints that say what they are."""
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from decur.weights.metadata import describe


@HOOKS.register_module()
class MetadataHook(Hook):
    """Store bands, statistics, encoders, data and licence under ``meta.decur`` of every checkpoint; ``decur.load`` reads them."""

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the description of the runner's model."""
        described = describe(runner.cfg.get('model') or {})
        if described:
            checkpoint['meta']['decur'] = described

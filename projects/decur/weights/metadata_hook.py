"""Checkpoints that say what they are."""
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from decur.weights.metadata import describe, unwrapped
from decur.weights.strict import inner_model


@HOOKS.register_module()
class MetadataHook(Hook):
    """Store bands, statistics, encoders, data and licence under ``meta.decur`` of every checkpoint; ``decur.load`` reads them.

    ``started_from`` says for each encoder that was not initialised at random which file its first weights came from and, if that is a
    pretraining of this project, its objective; ``trained_on`` which share of its data set the run was given (``fraction`` or
    ``num_samples``; empty for all of it).
    """

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the description of what the runner has built: its model, its preprocessor and its training data."""
        model = inner_model(runner.model)
        modalities = getattr(getattr(model, 'backbone', None), 'modalities', None)
        if modalities is None:
            return
        dataset = unwrapped(runner.train_dataloader.dataset)
        # What is not among the modalities of the built parts (interactions, the objective) is as the config says.
        cfg = runner.cfg.get('model') or {}
        described = describe(
            dict(cfg, backbone=dict(cfg.get('backbone') or {}, modalities=modalities),
                 data_preprocessor=dict(modalities=getattr(model.data_preprocessor, 'modalities', None))),
            getattr(dataset, 'modalities', None))
        share = {key: getattr(dataset, key) for key in ('fraction', 'num_samples') if getattr(dataset, key, None) is not None}
        checkpoint['meta']['decur'] = dict(described, started_from=model.backbone.started_from, trained_on=share)

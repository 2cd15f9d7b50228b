"""The result of a test, in a file that ``tools/table.py`` collects."""
import time
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from decur.weights import unwrap
from decur.weights.metadata import plain
from decur.weights.strict import differences, inner_model
from decur.writing import write_json

#: Name of the file, beside the log of the test: every test has a folder of its own, so none replaces another.
RECORD = 'test.json'


@HOOKS.register_module()
class TestRecordHook(Hook):
    """Write the metrics of a test with what they are of into ``<work dir>/<time stamp>/test.json``.

    ``config``, ``options``, ``checkpoint``, ``seed`` (of its training), ``encoders`` (``{modality: {file, objective}}``, None for one that
    started at random; None altogether where the checkpoint does not say), ``trained_on`` (the share of the training set, if not all of it),
    ``not_loaded`` (what of the checkpoint did not fit the model; empty if all did), ``samples``, ``time`` (UTC), ``metrics``.

    Args:
        options (dict, optional): What was asked for beside the config (``--cfg-options``, ``--tta``).
    """

    def __init__(self, options: Mapping | None = None):
        self.options = plain(options or {})
        self.meta, self.not_loaded = {}, 'no checkpoint was loaded'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remember what the checkpoint says about itself, and whether it has all weights of the model."""
        meta = checkpoint.get('meta')
        self.meta = meta if isinstance(meta, Mapping) else {}
        self.not_loaded = differences(inner_model(runner.model).state_dict(), unwrap(checkpoint, runner.cfg.load_from))

    @master_only
    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        """Write."""
        described = self.meta.get('decur') or {}
        encoders = None
        if 'started_from' in described:
            encoders = {name: described['started_from'].get(name) for name in described['modalities']}
        write_json(Path(runner.log_dir) / RECORD, dict(
            config=str(runner.cfg.filename), options=self.options, checkpoint=str(runner.cfg.load_from), seed=self.meta.get('seed'),
            encoders=encoders, trained_on=described.get('trained_on') or {}, not_loaded=self.not_loaded,
            samples=len(runner.test_dataloader.dataset),
            time=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            metrics={key: float(value) for key, value in (metrics or {}).items()}))


# Not a test of pytest's, whatever its name.
TestRecordHook.__test__ = False

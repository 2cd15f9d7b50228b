"""Let every command line of OpenMMLab build the runner that a config names.

A config chooses its runner by ``runner_type``. MMSegmentation's ``tools/test.py`` does not look at it: it calls ``Runner.from_cfg``, which
builds MMEngine's own runner, and the modalities of the config would stay unbound.

Delete this file when MMSegmentation's ``tools/test.py`` heeds ``runner_type``, as its ``tools/train.py`` does.
"""
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def heed() -> None:
    """Make ``Runner.from_cfg`` build the runner of ``cfg['runner_type']``, where the config has one."""
    build = Runner.from_cfg.__func__

    def from_cfg(cls, cfg):
        if cls is Runner and cfg.get('runner_type') not in (None, 'Runner'):
            return RUNNERS.build(cfg)
        return build(cls, cfg)

    from_cfg.__doc__ = build.__doc__
    Runner.from_cfg = classmethod(from_cfg)

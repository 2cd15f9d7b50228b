"""Let ``_base_ = 'mmseg::...'`` find the installed mmsegmentation.

MMEngine looks a config package up by the name of its distribution (``mmsegmentation``); the maintained fork is distributed under another
name, so the look-up fails, and ``mmengine.hub.get_config`` would even pip-install the old package. The import name works for both.

Delete this file when MMEngine's table knows the fork's name.
"""


def register() -> None:
    """Point MMEngine's table of config packages at mmseg's import name."""
    from mmengine.config import utils
    utils.MODULE2PACKAGE['mmseg'] = 'mmseg'

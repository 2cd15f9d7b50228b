"""Let ``_base_ = 'mmseg::...'`` and ``'decur::...'`` find the configs of the installed packages.

MMEngine looks a config package up by the name of its distribution. The maintained fork of MMSegmentation is distributed under another
name than ``mmsegmentation``, so the look-up fails, and ``mmengine.hub.get_config`` would even pip-install the old package. This project is
not in MMEngine's table at all. The import names work for both.

Delete this file when MMEngine's table knows the fork's name and takes further packages.
"""


def register() -> None:
    """Add both to MMEngine's table of config packages, and take ``decur::configs/...`` for ``decur::...``."""
    from mmengine.config import config, utils
    from mmengine.hub import hub
    utils.MODULE2PACKAGE.update(mmseg='mmseg', decur='decur')
    split = utils._get_package_and_cfg_path

    def split_name(cfg_path):
        return split(cfg_path.replace('decur::configs/', 'decur::', 1))

    for module in (config, hub):
        module._get_package_and_cfg_path = split_name

"""Let ``_base_ = 'mmseg::...'`` and ``'decur::...'`` find the configs of the installed packages.

MMEngine looks a config package up by the name of its distribution. The maintained fork of MMSegmentation is distributed under another
name than ``mmsegmentation``, so the look-up fails, and ``mmengine.hub.get_config`` would even pip-install the old package. The import
name works for both.

This project is not in MMEngine's table. What a config takes from another package gets that package's name as its scope; the classes of
this project are in MMEngine's root registry, and its configs name the library whose scope they need, so theirs must stay without.

Delete this file when MMEngine's table knows the fork's name and takes further packages.
"""
from decur.shipped import find_config


def register() -> None:
    """Add both to MMEngine's table of config packages; ``decur::configs/...`` means ``decur::...``."""
    from mmengine.config import Config, utils
    from mmengine.hub import hub
    utils.MODULE2PACKAGE.update(mmseg='mmseg', decur='decur')
    base_path, split_name = Config._get_cfg_path, utils._get_package_and_cfg_path

    def with_this_package(cfg_path, filename):
        if isinstance(cfg_path, str) and cfg_path.startswith('decur::'):
            return str(find_config(cfg_path)), None
        return base_path(cfg_path, filename)

    Config._get_cfg_path = staticmethod(with_this_package)
    hub._get_package_and_cfg_path = lambda cfg_path: split_name(cfg_path.replace('decur::configs/', 'decur::', 1))

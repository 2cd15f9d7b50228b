"""Keep notes for developers off the screen.

MMEngine's ``print_log`` prints what is said to no logger whatever its level, so that importing MMPretrain's and MMSegmentation's data sets
prints 'Could not import OneDL', a note of level DEBUG, which is about a service that this project does not use, before anything else.
mmcv's build without C++ operators warns at import that ``MultiScaleDeformableAttention`` is not there; no model here uses it, and
building one that does still fails with mmcv's own error.

Delete this file when ``print_log`` heeds the level, or the libraries no longer say so.
"""
import functools
import logging
import warnings

import mmengine.logging


def drop() -> None:
    """Let ``print_log`` leave out what is of level DEBUG and for no logger, and mmcv import without its warning."""
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``', category=UserWarning)
    print_log = mmengine.logging.print_log

    @functools.wraps(print_log)
    def heeding_the_level(msg, logger=None, level=logging.INFO):
        if logger is not None or level > logging.DEBUG:
            print_log(msg, logger, level)

    mmengine.logging.print_log = heeding_the_level

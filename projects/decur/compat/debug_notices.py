"""Notes of the libraries for their own developers, kept off the screen and out of the logs: all of them are listed here.

Each is about a part that this project does not use, or that a user of it cannot change, and is told by its words. Whatever says
something about data, weights or a config stays. docs/install.md has the list for users.

Delete an entry when the library no longer says it.
"""
import functools
import logging
import warnings

import mmengine.logging

#: Python warnings at import, by how they begin. mmcv's build without C++ operators has no ``MultiScaleDeformableAttention``; no model here
#: uses it, and building one that does still fails with mmcv's own error.
AT_IMPORT = ('Fail to import ``MultiScaleDeformableAttention``', )
#: Lines of a log, by how they begin: MMEngine's checkpoint hook makes a client of a class that it calls deprecated, and metrics have no
#: prefix in MMSegmentation's own configs either.
IN_LOGS = ('"FileClient" will be deprecated in future', '"HardDiskBackend" is the alias of "LocalBackend"',
           'The prefix is not set in metric class')
#: Lines of a log, by how they end: of every frozen tensor one. The runner says in one line how many are frozen, and which is the first.
OF_FROZEN = 'is skipped since its requires_grad=False'


def drop() -> None:
    """Keep what is said at import off the screen.

    MMEngine's ``print_log`` prints what is said to no logger whatever its level, so that importing MMPretrain's and MMSegmentation's data
    sets prints 'Could not import OneDL', a note of level DEBUG about a service that is not used here: what is of that level and for no
    logger is left out.
    """
    for message in AT_IMPORT:
        warnings.filterwarnings('ignore', message=message, category=UserWarning)
    print_log = mmengine.logging.print_log

    @functools.wraps(print_log)
    def heeding_the_level(msg, logger=None, level=logging.INFO):
        if logger is not None or level > logging.DEBUG:
            print_log(msg, logger, level)

    mmengine.logging.print_log = heeding_the_level


def is_wanted(record: logging.LogRecord) -> bool:
    """Whether a line of a log is for users; a filter of the runner's logger."""
    text = record.getMessage()
    return not text.startswith(IN_LOGS) and not text.endswith(OF_FROZEN)

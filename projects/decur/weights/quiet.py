"""Initialisation without MMEngine's line for every tensor."""
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def no_line_for_every_tensor() -> Iterator[None]:
    """MMEngine logs nothing below a warning inside; ``init_weights`` says for each tensor how it was initialised.

    Its level is set, not ``logging.disable``: MMEngine's loggers remember what was enabled and would stay silent afterwards.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)

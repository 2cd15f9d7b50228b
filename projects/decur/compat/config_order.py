"""Let a dumped config keep the order of its keys.

MMEngine sorts the keys of every dict when it writes a config (to the work directory, and into each checkpoint). The order of
``modalities`` has a meaning: channels are concatenated in it, and the published two-stream weights are assigned by it. A model rebuilt from
a sorted dump would read (HHA, RGB) for (RGB, HHA), in silence.

Delete this file when MMEngine keeps the order.
"""


def keep() -> None:
    """Shadow ``sorted`` in MMEngine's config module, whose only use of it is this one."""
    from mmengine.config import config
    config.sorted = lambda items, key=None: list(items)

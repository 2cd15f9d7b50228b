"""The keys at the top of a config: which are read, and what is most likely a misspelt one."""
import inspect
from collections.abc import Iterable
from difflib import get_close_matches

from mmengine.runner import Runner

from .errors import ConfigError

#: Keys that are read, by MMEngine's runner, by OpenMMLab's tools and by those of this project.
TOP_LEVEL = frozenset({
    *inspect.signature(Runner.__init__).parameters, 'activation_checkpointing', 'allow_missing', 'classes', 'compile', 'custom_imports',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'modalities', 'model_wrapper_cfg', 'palette', 'runner_type', 'score_dataset',
    'sync_bn', 'tta_model', 'tta_pipeline',
} - {'self', 'cfg'})
#: Names of variables that configs of OpenMMLab have at their top by convention, and that resemble keys that are read.
_VARIABLES = frozenset({'train_pipeline', 'val_pipeline', 'test_pipeline', 'modality', 'optimizer', 'optim', 'schedule'})


def check_top_level(keys: Iterable[str]) -> None:
    """Refuse a key that nothing reads and that is nearly one that is read: what it says would be left out in silence.

    Other keys are variables of the config, which may be called anything.

    Args:
        keys: The keys at the top of a config.

    Raises:
        ConfigError: It names the key and the closest one that is read.
    """
    for key in keys:
        if key not in TOP_LEVEL | _VARIABLES:
            found = get_close_matches(str(key), TOP_LEVEL, n=1, cutoff=0.85)
            if found:
                raise ConfigError(f'nothing reads {key!r} at the top of the config: did you mean {found[0]!r}? If it is a variable of the '
                                  'config, give it another name.')

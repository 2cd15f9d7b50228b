"""Keys at the top of a config that nothing reads."""
import pytest
from helpers import ROOT
from mmengine.config import Config

from decur.errors import ConfigError
from decur.top_level import TOP_LEVEL, check_top_level


@pytest.mark.parametrize('key', sorted(TOP_LEVEL))
def test_a_letter_more_or_less_is_noticed(key):
    check_top_level([key])
    if len(key) >= 6:
        for wrong in (key[:-1], key + 'x', key[:2] + key[3:]):
            if wrong != key and wrong not in TOP_LEVEL:
                with pytest.raises(ConfigError, match=f"nothing reads '{wrong}'"):
                    check_top_level([wrong])


def test_variables_are_left_alone():
    check_top_level(['encoder', 'views', 'stream', 'data', 'crop_size', 'train_pipeline', 'test_pipeline', 'test', 'warmup', 'iterations'])
    for path in (ROOT / 'configs').rglob('*.py'):
        if path.name != 'study.py':
            check_top_level(Config.fromfile(path).keys())

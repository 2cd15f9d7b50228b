"""What a run writes about itself must rebuild the same model."""
from mmengine.config import Config

import decur  # noqa: F401


def test_a_dumped_config_keeps_the_order_of_modalities(tmp_path):
    cfg = Config(dict(model=dict(modalities=dict(rgb=dict(std=1, mean=2), hha=dict(channels=3)), stages={'1': dict(b=1), '0': dict(a=2)})))
    cfg.dump(tmp_path / 'config.py')
    for again in (Config.fromfile(tmp_path / 'config.py'), Config.fromstring(cfg.pretty_text, '.py')):
        assert list(again.model.modalities) == ['rgb', 'hha'] and list(again.model.modalities.rgb) == ['std', 'mean']
        assert list(again.model.stages) == ['1', '0'] and again.model == cfg.model

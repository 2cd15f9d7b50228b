"""The Python of docs/scenes.md runs as written."""
import re

import numpy as np
import torch
from helpers import ROOT, entries
from mmengine.registry import MODELS
from scene_files import NORTH, WEST, write_scene

from decur.weights import save_file
from decur.weights.metadata import describe


def test_five_lines(tmp_path, monkeypatch):
    code = next(block for block in re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'scenes.md').read_text(encoding='utf-8'), re.S)
                if 'decur.load' in block)
    assert len(code.strip().splitlines()) == 5
    backbone = dict(type='MultimodalBackbone', modalities=entries())
    torch.manual_seed(0)
    state = {f'backbone.{name}': value for name, value in MODELS.build(backbone).state_dict().items()}
    save_file(dict(meta=dict(decur=describe(dict(type='MultimodalPretraining', backbone=backbone))), state_dict=state),
              tmp_path / 'decur.pth')
    rng = np.random.default_rng(0)
    write_scene(tmp_path / 's2.tif', rng.integers(1, 4000, (240, 250, 13)).astype(np.uint16))
    # The radar has pixels of 20 m, and lies elsewhere.
    write_scene(tmp_path / 's1.tif', rng.normal(-12, 5, (150, 150, 2)).astype(np.float32), 20., WEST - 37, NORTH + 51)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(code, found)
    assert found['features'].keys() == {'sar', 'optical'}
    assert all(x.shape == (1, 64) and x.isfinite().all() for x in found['features'].values())
    assert found['images']['optical'].shape == (224, 224, 13) and found['images']['sar'].shape == (224, 224, 2)

"""The confusion matrix of written label maps, counted against NumPy, as a user gets it."""
import json

import numpy as np
import pytest
from helpers import entries, run_tool, write_pairs
from mmengine.config import Config
from PIL import Image

from decur.errors import ConfigError, DataError
from decur.evaluation.confusion import count_confusion


@pytest.fixture
def world(tmp_path):
    write_pairs(tmp_path / 'data', ids='abc')
    with Image.open(tmp_path / 'data' / 'label' / 'a.png') as image:
        label = np.array(image)
    label[:3] = 255
    Image.fromarray(label).save(tmp_path / 'data' / 'label' / 'a.png')
    dataset = dict(type='PairedRasterDataset', data_root=str(tmp_path / 'data'), label=dict(folder='label', suffix='.png'),
                   metainfo=dict(classes=('water', 'trees', 'crops', 'built', 'never')), pipeline=[dict(type='LoadModalities')])
    cfg = dict(default_scope='mmseg', modalities=entries(), model=dict(), test_dataloader=dict(dataset=dataset))
    (tmp_path / 'config.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in cfg.items()))
    rng = np.random.default_rng(0)
    (tmp_path / 'predictions').mkdir()
    for name in 'abc':
        Image.fromarray(rng.integers(0, 5, (32, 40), dtype=np.uint8)).save(tmp_path / 'predictions' / f'{name}.png')
    return tmp_path, Config(cfg)


def test_counts(world):
    folder, cfg = world
    expected = np.zeros((5, 5), int)
    for name in 'abc':
        label, found = (np.asarray(Image.open(folder / place / f'{name}.png')) for place in ('data/label', 'predictions'))
        for row in range(5):
            for column in range(5):
                expected[row, column] += ((label == row) & (found == column)).sum()
    classes, counts = count_confusion(cfg, folder / 'predictions')
    assert classes[0] == 'water' and (counts == expected).all() and counts.sum() == 3 * 32 * 40 - 3 * 40 and not counts[4].any()
    done = run_tool('tools/analysis/confusion_matrix.py', folder / 'config.py', folder / 'predictions', folder / 'x' / 'cm.png',
                    '--out', folder / 'cm.json')
    assert f'{100 * expected[1, 1] / expected[1].sum():.1f} % right' in done.stdout
    assert json.loads((folder / 'cm.json').read_text())['pixels'] == expected.tolist()
    assert Image.open(folder / 'x' / 'cm.png').size[0] > 300


def test_what_cannot_be_counted(world):
    folder, cfg = world
    with pytest.raises(ConfigError, match='no val_dataloader'):
        count_confusion(cfg, folder / 'predictions', 'val')
    with pytest.raises(DataError, match='--show-dir'):
        count_confusion(cfg, folder / 'nothing')
    for image, words in ((np.full((32, 40), 9, np.uint8), 'value 9, but there are 5 classes'), (np.zeros((32, 41), np.uint8), 'shape')):
        Image.fromarray(image).save(folder / 'predictions' / 'b.png')
        with pytest.raises(DataError, match=words):
            count_confusion(cfg, folder / 'predictions')
    (folder / 'predictions' / 'b.png').unlink()
    with pytest.raises(DataError, match="b.png does not exist: sample 'b'"):
        count_confusion(cfg, folder / 'predictions')

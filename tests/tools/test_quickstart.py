"""The quickstart's driver, with every size scaled down: all steps, what they gave, the picture; a second run repeats nothing."""
import json
import re

import pytest
from helpers import assert_started_at_random, assert_started_from, counted_figures, run_tool, without_void
from PIL import Image


@pytest.mark.slow
def test_quickstart_compares_encoders_that_were_pretrained_with_random_ones(tmp_path):
    scale, rooms = ['--scale', 0.02], tmp_path / 'rooms'
    done = run_tool('tools/quickstart.py', '--out', tmp_path / 'out', '--data', rooms, *scale)
    last = done.stdout.strip().splitlines()[-1]
    shown = re.fullmatch(r'quickstart: mIoU random=(\d+\.\d+) decur=(\d+\.\d+)', last)
    out = tmp_path / 'out' / 'seed0'
    pretraining, = (out / 'decur').glob('epoch_*.pth')
    figures = {}
    for config in ('rooms_rgb_small-resnet_frozen', 'rooms_rgb_small-resnet_finetune'):
        for start in ('random', 'decur'):
            folder = out / f'{start}_{config}'
            checkpoint, = folder.glob('iter_*.pth')
            if start == 'random':
                assert_started_at_random(checkpoint, pretraining)
            else:
                assert_started_from(checkpoint, pretraining, frozen=config.endswith('frozen'))
            counted = counted_figures(folder / 'show' / 'predictions', lambda stem: without_void(rooms / 'label' / f'{stem}.png'), 7)
            found = json.loads((folder / 'metrics.json').read_text())
            assert {key: found[key] for key in counted} == pytest.approx(counted, abs=0.006)
            figures[start, config] = found['mIoU']
    expected = [figures[start, 'rooms_rgb_small-resnet_frozen'] for start in ('random', 'decur')]
    assert [float(x) for x in shown.groups()] == pytest.approx(expected, abs=0.006)
    # The table above the last line: random, DeCUR and the gain of each row.
    for title, config in (('RGB, frozen encoder', 'frozen'), ('RGB, fine-tuned', 'finetune')):
        row = next(line for line in done.stdout.splitlines() if line.startswith(title)).split()[-3:]
        random, decur = (figures[start, f'rooms_rgb_small-resnet_{config}'] for start in ('random', 'decur'))
        assert [float(value) for value in row] == pytest.approx([random, decur, decur - random], abs=0.011)
    with Image.open(out / 'quickstart.png') as image:
        assert image.width > 900
    again = run_tool('tools/quickstart.py', '--out', tmp_path / 'out', '--data', rooms, *scale)
    assert again.stdout.count('done before') == done.stdout.count('$ python') and again.stdout.strip().splitlines()[-1] == last

"""The quickstart's driver, with every size scaled down: all steps, the picture, the last line; a second run repeats nothing."""
import re

import pytest
from helpers import ROOT, run_tool
from PIL import Image


@pytest.mark.slow
def test_quickstart_ends_with_the_line_that_compares(tmp_path):
    scale = ['--scale', 0.02]
    done = run_tool(ROOT / 'tools' / 'quickstart.py', '--out', tmp_path / 'out', '--data', tmp_path / 'rooms', *scale)
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r'quickstart: mIoU random=\d+\.\d+ decur=\d+\.\d+', last)
    with Image.open(tmp_path / 'out' / 'seed0' / 'quickstart.png') as image:
        assert image.width > 900
    again = run_tool(ROOT / 'tools' / 'quickstart.py', '--out', tmp_path / 'out', '--data', tmp_path / 'rooms', *scale)
    assert again.stdout.count('done before') == done.stdout.count('$ python') and again.stdout.strip().splitlines()[-1] == last

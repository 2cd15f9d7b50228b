"""docs/results.md is what the code writes; every row's command leads to configs; the hours grow with what is computed."""
import importlib.util
import re
import sys

import pytest
from helpers import ROOT

from decur.errors import ConfigError
from decur.evaluation.published import ELSEWHERE, PUBLISHED
from decur.evaluation.results import collect

sys.path.insert(0, str(ROOT / 'tools'))  # where a tool finds what it is made of
for name, path in (('results_page', 'docs/results.py'), ('reproduce', 'tools/reproduce.py')):
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    globals()[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(globals()[name])
ROWS = collect([])[0]


def test_the_page_is_of_today():
    assert results_page.PAGE.read_text(encoding='utf-8') == results_page.page(), 'run: python docs/results.py'  # noqa: F821


def test_every_published_figure_is_on_the_page():
    lines = results_page.PAGE.read_text(encoding='utf-8').splitlines()  # noqa: F821
    rows = [line for line in lines if re.match(r'\| (SAR|optical|RGB)', line)]
    assert len(rows) == len(PUBLISHED) == len(ROWS)
    for line, row in zip(rows, ROWS):
        cells = [cell.strip() for cell in line.split('|')[1:-1]]
        assert cells[:5] == [row['modalities'], f'{row["labels"]} %', row['protocol'], row['encoder'], row['pretraining']]
        assert cells[5].rstrip('†') == f'{row["published"]:.1f}' and cells[6] == ''
    assert sum(line.count('leaderboard') + line.count('TerraFM |') for line in lines if line.startswith('| ')) == len(ELSEWHERE) == 36


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row["config"]}-{row["labels"]}-{row["pretraining"]}')
def test_a_row_s_command_leads_to_configs(row, monkeypatch):
    text = results_page.command(row)  # noqa: F821
    if row['encoder'] == 'ResNet50-Cross-DA':  # its attention needs both sensors, and the row has one
        assert text == ''
        return
    monkeypatch.setattr('sys.argv', text.strip('`').split()[1:])
    args = reproduce.parse_args()  # noqa: F821
    assert args.labels == row['labels'] and args.tta == (row['dataset'] != 'BigEarthNet-MM' and row['encoder'].startswith('CMX'))
    config = reproduce.transfer_config(args.config)  # noqa: F821
    assert config.is_file() and config.stem == row['config']
    if args.pretraining in reproduce.OBJECTIVES:  # noqa: F821
        pretraining, _ = reproduce.pretraining_config(args.config, args.pretraining)  # noqa: F821
        assert pretraining.is_file()


def test_hours_are_those_of_the_operations():
    rows = {(row['config'], row['labels'], row['pretraining']): row for row in ROWS}
    before, after = results_page.hours(rows['bigearthnet_s1-s2_r50_frozen', 100, 'SimCLR'])  # noqa: F821
    # 251,079 locations, 100 epochs, two passes at 2500 images a second; then 269,695 patches, two encoders, forward alone.
    assert before == pytest.approx(251_079 * 100 * 2 / 2500 / 3600) and after == pytest.approx(269_695 * 100 * 2 / 3 / 2500 / 3600)
    tuned = results_page.hours(rows['bigearthnet_s1-s2_r50_finetune', 1, 'SimCLR'])  # noqa: F821
    assert tuned == pytest.approx((before, 3 * after / 100))
    assert results_page.hours(rows['bigearthnet_s1_vit-s16_frozen', 1, 'random'])[0] == 0  # noqa: F821


def test_what_cannot_be_reproduced_is_said():
    with pytest.raises(ConfigError, match='no transfer config'):
        reproduce.transfer_config('sites_s1-s2_small-resnet_frozen')  # noqa: F821
    with pytest.raises(ConfigError, match='no pretraining config'):
        reproduce.pretraining_config('nyudv2_rgb-hha_mit-b4_finetune', 'decur')  # noqa: F821

"""docs/results.md is what the code writes; every row's command leads to configs; the hours grow with what is computed."""
import importlib.util
import re
import sys

import pytest
from helpers import ROOT

from decur.engine import load_config
from decur.errors import ConfigError
from decur.evaluation.published import ELSEWHERE, PUBLISHED, SETTINGS
from decur.evaluation.results import collect
from decur.weights.zoo import WEIGHTS

sys.path.insert(0, str(ROOT / 'tools'))  # where a tool finds what it is made of
for name, path in (('results_page', 'docs/results.py'), ('reproduce', 'tools/reproduce.py')):
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    globals()[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(globals()[name])
ROWS = collect([])[0]
SETTINGS_OF = {config: setting for (config, _), setting in SETTINGS.items()}


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
        name = results_page.weights(row)  # noqa: F821
        assert cells[9] == (results_page.command(row).replace('--pretraining decur', f'--weights {name}') if name else  # noqa: F821
                            'none needed' if row['pretraining'] in ('random', 'ImageNet') else 'not published')
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


def test_rows_of_published_weights():
    """The paper's own encoders, ViT and CMX were published; its ablations and the baselines were not. The weights are those of the row."""
    found = {(row['config'], row['labels']): results_page.weights(row) for row in ROWS if results_page.weights(row)}  # noqa: F821
    assert len(found) == 20 and all(encoder in config for config, _ in found for encoder in ('r50-rda', 'vit-s16', 'mit-b')
                                    if encoder[:3] in config)
    for (config, _), name in found.items():
        entry, cfg = WEIGHTS[name], load_config(str(reproduce.transfer_config(config)))  # noqa: F821
        assert entry.method == 'DeCUR' and entry.encoder in SETTINGS_OF[config].encoder
        assert list(entry.modalities) == [key for key, value in cfg.modalities.items() if value is not None]
        always = reproduce.start_options(cfg, name, 'decur')[1]  # noqa: F821
        assert sorted(always) == sorted(f'modalities.{key}.channel_order=bgr' for key in entry.inputs if key in ('rgb', 'hha'))


@pytest.mark.parametrize('dataset', dict.fromkeys(row['dataset'] for row in ROWS))
def test_the_data_are_prepared_where_the_configs_look(dataset, monkeypatch):
    commands = re.findall('`python (tools/prepare_dataset.py [^`]+)`', results_page.prepare(dataset))  # noqa: F821
    configs = {row['config'] for row in ROWS if row['dataset'] == dataset and results_page.command(row)}  # noqa: F821
    roots = set()
    for name in configs:
        for config in (reproduce.transfer_config(name), reproduce.pretraining_config(name, 'decur')[0]):  # noqa: F821
            cfg = load_config(str(config))
            roots |= {cfg[f'{split}_dataloader'].dataset.data_root for split in ('train', 'test') if cfg.get(f'{split}_dataloader')}
    assert {command.split()[3] for command in commands} == roots
    assert all(command.split()[1] == command.split()[3].removeprefix('data/') for command in commands)


def test_starts_without_a_pretraining():
    cmx = load_config(str(reproduce.transfer_config('sunrgbd_rgb-hha_mit-b2_finetune')))  # noqa: F821
    name = 'segformer_mit-b2_imagenet'
    for weights, pretraining in ((None, 'imagenet'), (name, 'decur')):  # it began at random, and nobody was told
        assert reproduce.start_options(cmx, weights, pretraining) == (  # noqa: F821
            [f'model.backbone.pretrained.rgb={name}', f'model.backbone.pretrained.hha={name}'], [])
    fcn = load_config(str(reproduce.transfer_config('geonrw_rgb-dem_r50_frozen')))  # noqa: F821
    assert reproduce.start_options(fcn, None, 'imagenet') == ([], [])  # noqa: F821
    assert reproduce.start_options(fcn, None, 'random')[0] == [  # noqa: F821
        f'modalities.{key}.encoder.init_cfg=None' for key in ('rgb', 'dem')]
    assert reproduce.start_options(fcn, 'run/epoch_1.pth', 'decur') == (['model.backbone.pretrained=run/epoch_1.pth'], [])  # noqa: F821
    with pytest.raises(ConfigError, match='do not begin with ImageNet weights.*--weights'):
        reproduce.start_options(load_config(str(reproduce.transfer_config('nyudv2_rgb_r50_finetune'))), None, 'imagenet')  # noqa: F821


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

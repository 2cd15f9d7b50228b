"""The choice of settings on OMBRIA: what its runs see, which setting wins, and its records and table."""
import importlib
import sys

import pytest
from helpers import ROOT
from mmengine.config import Config
from ombria_study import runs, tuning
from ombria_study.plan import TESTS, Pretraining

from decur.errors import ConfigError, DataError

STUDY = ROOT / 'configs' / 'ombria' / 'study.py'


def study():
    return Config(dict(
        arms=dict(decur=dict(label='DeCUR', options={}), single=dict(label='alone', options={'a': 1})),
        tuning=dict(arms=('decur', 'single'), seed=3, subsets=(0, 1), settings=dict(
            default=dict(label='as is', options={}), wide=dict(label='wide', options={'b': 2}, more=dict(decur={'c': 3}))))))


def test_every_arm_gets_every_setting():
    found = tuning.plan_tuning(study())
    assert [run.name for run in found[:3]] == [
        'pretrain/tuning/decur/default/seed3', 'transfer/tuning/decur/default/s1-s2_frozen_32/subset0',
        'transfer/tuning/decur/default/s1-s2_frozen_32/subset1']
    assert len(found) == len({run.name for run in found}) == 2 * 2 * 3
    assert {run.arm: run.options for run in found if isinstance(run, Pretraining)} == {
        f'tuning/{arm}/{setting}': {**options, 'train_dataloader.dataset.split': 'scene_fit.txt'} for arm, setting, options in (
            ('decur', 'default', {}), ('decur', 'wide', {'b': 2, 'c': 3}), ('single', 'default', {'a': 1}),
            ('single', 'wide', {'a': 1, 'b': 2}))}
    assert [run.arm for run in tuning.plan_tuning(study(), ['single'], ['wide'])] == ['tuning/single/wide'] * 3
    with pytest.raises(ConfigError, match="no arm 'clip'"):
        tuning.plan_tuning(study(), ['clip'])
    with pytest.raises(ConfigError, match="no setting 'deep'"):
        tuning.plan_tuning(study(), settings=['deep'])


def test_no_run_of_the_choice_reads_a_list_of_the_test(tmp_path):
    setup = runs.Setup(STUDY, tmp_path / 'data', tmp_path / 'work')
    found = tuning.plan_tuning(Config.fromfile(STUDY))
    for run in found:
        if isinstance(run, Pretraining):
            assert run.options['train_dataloader.dataset.split'] == 'scene_fit.txt'
        else:
            assert run.split == f'scene_fit_few32_seed{run.subset}.txt' and not set(run.tests) & set(TESTS)
    wide, cell, *_ = tuning.plan_tuning(Config.fromfile(STUDY), ['decur'], ['wide'])
    cfg = runs.config_of(wide, setup)
    assert (cfg.model.neck.out_channels, cfg.model.head.common_dim) == (1024, 768)
    assert cfg.train_dataloader.dataset.split == 'scene_fit.txt' and cfg.train_cfg.max_epochs == 12
    cfg = runs.config_of(cell, setup)
    assert cfg.train_dataloader.dataset.split == 'scene_fit_few32_seed0.txt' and cfg.model.backbone.frozen
    assert cell.tests == ('scene_val.txt', )


def row(arm, setting, subset, found):
    pretraining = Pretraining(f'tuning/{arm}/{setting}', 3, {})
    run = tuning.TuningTransfer(pretraining.arm, pretraining, 's1-s2', 'frozen', '32', subset)
    areas = dict(scene_val=[found, 0, 1000 - found])
    return tuning.tuning_row(run, dict(seconds=36., loss=0.5, areas=areas, fitted=areas, threshold=0.4))


def test_the_largest_mean_is_chosen_once_all_is_in(tmp_path):
    rows = [row('decur', 'default', 0, 600), row('decur', 'default', 1, 500), row('decur', 'wide', 0, 400)]
    assert tuning.chosen(rows, study(), 'decur') is None and '**' not in tuning.tuning_table(rows, study())
    rows.append(row('decur', 'wide', 1, 710))
    assert tuning.chosen(rows, study(), 'decur') == 'wide'
    assert tuning.chosen([*rows[:3], row('decur', 'wide', 1, 700)], study(), 'decur') == 'default'  # equal: the first of the study
    rows.append(tuning.tuning_row(Pretraining('tuning/decur/wide', 3, {}), dict(seconds=3600., loss=9.)))
    tuning.write_tuning(tmp_path / 't.csv', tuning.merge_tuning(rows, [row('decur', 'wide', 1, 720)]))
    found = tuning.read_tuning(tmp_path / 't.csv')
    assert len(found) == 5
    table = tuning.tuning_table(found, study())
    assert '| as is | 55.0 (60.0, 50.0) |  |' in table and '| wide | **56.0 (40.0, 72.0)** |  |' in table
    assert '1 pretrainings and 4 transfers; 1.0 hours' in table
    (tmp_path / 't.csv').write_text((tmp_path / 't.csv').read_text().replace('720', 'many'))
    with pytest.raises(DataError, match='t.csv, line .: no record'):
        tuning.read_tuning(tmp_path / 't.csv')


@pytest.mark.parametrize('arguments, message', [
    ([], 'give SRC'), (['{}/nowhere'], 'is not a folder'), (['{}', '--arms', 'moco'], "no arm 'moco'"),
    (['--report-only'], 'tuning.csv cannot be read'), (['--study', '{}/none.py'], 'none.py does not exist')])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    tool = importlib.import_module('ombria_tuning')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['ombria_tuning.py', *(a.format(tmp_path) for a in arguments), '--data', f'{tmp_path}/data',
                                      '--work-dir', f'{tmp_path}/work'])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    said = f'{capsys.readouterr().err}{ended.value.code}'
    assert ended.value.code and message in said and said.count('\n') <= 1 and not any(tmp_path.iterdir())


def test_an_arm_with_a_chosen_setting_has_the_one_that_the_records_choose():
    study = Config.fromfile(STUDY)
    rows = tuning.read_tuning(ROOT / 'docs' / 'ombria_tuning.csv')
    chosen = {name: entry['options'] for name, entry in study.arms.items() if name.endswith('_chosen')}
    assert chosen == {f'{arm}_chosen': tuning.settings_of(study, arm, tuning.chosen(rows, study, arm)) for arm in (
        name.removesuffix('_chosen') for name in chosen)} and chosen


def test_the_page_says_what_its_records_say():
    table = tuning.tuning_table(tuning.read_tuning(ROOT / 'docs' / 'ombria_tuning.csv'), Config.fromfile(STUDY))
    assert f'<!-- tuning -->\n{table}\n<!-- /tuning -->' in (ROOT / 'docs' / 'ombria.md').read_text()

"""The comparison of changes with plain DeCUR: what is run, what the score is, and the command."""
import csv
from pathlib import Path

import pytest
from better_study import report
from better_study.plan import plan, tasks_of
from better_study.runs import FACTORS, Setup, config_of, execute, fingerprint, stored
from explain_config import tiny
from helpers import ROOT, run_tool
from mmengine.config import Config

from decur.errors import ConfigError, DataError

STUDY = ROOT / 'configs' / 'better' / 'study.py'


def study(**changes):
    return Config(dict(dict(
        seeds=(0, 1), tasks=dict(one=dict(config='one.py'), two=dict(config='two.py', share=.5), extra=dict(config='one.py', scored=False)),
        arms=dict(plain=dict(label='plain'), better=dict(label='better', options={'a': 1}, tasks={'two': {'b': 2}, 'extra': {}}, steps=.5),
                  other=dict(label='other', only=['one']))), **changes))


def test_runs_come_task_by_task_and_seed_by_seed_with_their_options():
    runs = plan(study())
    assert [run.name for run in runs] == [f'{task}/{arm}/seed{seed}' for task, arms in (
        ('one', ('plain', 'better', 'other')), ('two', ('plain', 'better')), ('extra', ('better', ))) for seed in (0, 1) for arm in arms]
    by_name = {run.name: run for run in runs}
    assert by_name['one/better/seed0'].options == {'a': 1} and by_name['two/better/seed0'].options == {'a': 1, 'b': 2}
    assert [by_name[f'two/{arm}/seed0'].steps for arm in ('plain', 'better')] == [.5, .25]
    assert [run.name for run in plan(study(), ['two'], ['better'], [1])] == ['two/better/seed1']


@pytest.mark.parametrize('changes, message', [
    (dict(tasks=dict(one=dict(share=1))), "the task 'one' of the study lacks 'config'"),
    (dict(arms=dict(plain=dict(label='a', option={}))), "the arm 'plain' of the study has an unknown 'option'"),
    (dict(arms=dict(better=dict(label='a'))), "no arm 'plain'"),
    (dict(arms=dict(plain=dict(label='a', only=['x']))), "names the task 'x'")])
def test_a_study_that_is_not_whole(changes, message):
    with pytest.raises(ConfigError, match=message):
        plan(study(**changes))
    with pytest.raises(ConfigError, match="there is no arm 'worse'"):
        plan(study(), arms=['worse'])


def row(task, arm, seed, score, **factors):
    return {**dict.fromkeys(report.COLUMNS, ''), **factors, 'task': task, 'arm': arm, 'seed': str(seed), 'score': str(score),
            'seconds': '1', 'loss': '1', 'fingerprint': 'x'}


def test_the_score_is_the_mean_over_tasks_of_paired_differences():
    rows = [row('one', 'plain', 0, 10), row('one', 'plain', 1, 20), row('two', 'plain', 0, 5), row('two', 'plain', 1, 5),
            row('one', 'better', 0, 13), row('one', 'better', 1, 25), row('two', 'better', 0, 6)]
    scores = report.values(rows)
    assert report.differences(scores, 'one', 'better') == {0: 3, 1: 5}
    assert report.primary(study(), scores, 'better') == [2], 'of the one seed that is whole'
    scores = report.values([*rows, row('two', 'better', 1, 4)])
    found = report.primary(study(), scores, 'better')
    # Seed 0: (3 + 1) / 2, seed 1: (5 - 1) / 2; the extra task does not count.
    assert found == [2, 2]
    found = report.tables(study(), rows)
    assert '| better | +4.0 ± 12.7 (n = 2) | +1.0 (n = 1) | +2.0 (n = 1) |' in found['scores']
    assert '| plain | 15.0 ± 63.5 (n = 2) | 5.0 ± 0.0 (n = 2) |  |' in found['scores']
    assert '7 runs are in' in found['runs'] and 'better (two, extra)' in found['runs'] and 'other (one)' in found['runs']


def test_a_recipe_is_judged_on_tasks_that_it_was_not_chosen_by(tmp_path):
    found = study(judging_seeds=(0, 1, 2))
    found.tasks.judge = dict(config='one.py', judged=True)
    assert not any(run.task == 'judge' for run in plan(found)), 'nothing is judged before a recipe is named'
    found.recipe = 'better'
    assert [run.name for run in plan(found, ['judge'])] == [f'judge/{arm}/seed{seed}' for seed in range(3) for arm in ('plain', 'better')]
    rows = [row('judge', arm, seed, 10 + seed + change) for seed in range(3) for arm, change in (('plain', 0), ('better', 4 + seed))]
    rows += [row(task, arm, seed, 5) for task in ('one', 'two') for arm in ('plain', 'better') for seed in (0, 1)]
    elsewhere = {'other place': [{0: 1., 1: 1., 2: 1.}, {0: 3., 1: 3., 2: 3.}]}
    text = report.tables(found, rows, elsewhere)
    assert '| judge | 11.0 ± 2.5 | 16.0 ± 5.0 | +5.0 ± 2.5 |' in text['judging'] and '| +2.0 ± 0.0 |' in text['judging']
    assert '| mean over tasks |  |  | +3.5 ± 1.2 |' in text['judging'], '(4 + 2) / 2, (5 + 2) / 2, (6 + 2) / 2'
    assert 'judge' not in text['scores'] and '| better | +0.0 ± 0.0 (n = 2) | +0.0 ± 0.0 (n = 2) | +0.0 ± 0.0 |' in text['scores']
    del elsewhere['other place'][1][2]
    assert '| mean over tasks |  |  | +3.2 ± 3.2 (n = 2) |' in report.tables(found, rows, elsewhere)['judging'], 'a run is missing'
    with pytest.raises(ConfigError, match="the recipe of the study is 'none'"):
        plan(study(recipe='none'))


def test_the_suggested_split_is_compared_with_the_best_of_the_others():
    found = study(split=dict(tasks=['one', 'two'], shares=['plain', 'other'], suggested='better'))
    rows = [row('one', arm, seed, score + seed, **{'common: shared / private': '8'})
            for arm, score in (('plain', 5), ('other', 7), ('better', 6)) for seed in (0, 1)]
    text = report.tables(found, rows)
    assert '| as suggested, less the best of the others | -1.0 ± 0.0 (n = 2) |  |  |  |  |  |' in text['split']
    assert '| other | 7.5 ± 6.4 (n = 2) | 8.0 ± 0.0 (n = 2) |  |  |' in text['split']
    assert 'better' not in text['scores'] and '| plain |' in text['scores']


def test_records_come_back_and_newer_ones_win(tmp_path):
    path = tmp_path / 'r.csv'
    assert report.read_records(path) == []
    rows = report.merge([row('one', 'plain', 0, 10)], [row('one', 'plain', 0, 11), row('one', 'better', 0, 1)])
    report.write_records(path, rows)
    assert report.read_records(path) == rows and [r['score'] for r in rows] == ['1', '11']
    for damage in (lambda text: text.replace('fingerprint', 'print'), lambda text: text.replace(',11,', ',eleven,'),
                   lambda text: text[:text.rindex(',')] + '\n'):
        path.write_text(damage(path.read_text()))
        with pytest.raises(DataError, match='Write '):
            report.read_records(path)
        report.write_records(path, rows)


def test_every_setting_of_the_study_is_one_of_its_configs(tmp_path):
    """The configs take the options of all arms on the first task, and those that differ by task on all; no two arms are the same run."""
    found, setup = Config.fromfile(STUDY), Setup(STUDY, tmp_path, tmp_path)
    seen, by_task = {}, [arm for arm, entry in found.arms.items() if arm == 'plain' or any(entry.get('tasks', {}).values())]
    for run in plan(found, seeds=[0]):
        if run.task != 'shapes' and run.arm not in by_task:
            continue
        key = fingerprint(run, setup)
        assert key not in seen, (run.name, seen.get(key))
        seen[key] = run.name
        cfg = config_of(run, setup)
        steps = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
        assert cfg.param_scheduler[0].T_max == steps and cfg.default_hooks.checkpoint.interval == steps
        if run.data:
            assert cfg.train_dataloader.dataset.data_root.startswith(str(tmp_path)) and run.data in found.data
        assert stored(run, setup) is None
    assert all('shapes' in tasks_of(found, arm) for arm in found.arms)


def test_the_page_has_the_tables_of_its_records():
    text, rows = (ROOT / 'docs' / 'better.md').read_text(encoding='utf-8'), report.read_records(ROOT / 'docs' / 'better.csv')
    found = Config.fromfile(STUDY)
    for name, table in report.tables(found, rows, report.ombria_scores(found, STUDY.parent)).items():
        assert text.split(f'<!-- {name} -->')[1].split('<!-- /')[0].strip() == table.strip(), f'{name}: tools/better.py --report-only'


@pytest.mark.slow
def test_the_command_runs_and_reports_and_what_is_done_is_not_done_again(tmp_path):
    tiny(tmp_path / 'shapes.py', extra='model.update(head=dict(common_dim=8))')
    (tmp_path / 'study.py').write_text('''
seeds = (0, )
tasks = dict(shapes=dict(config='shapes.py'))
arms = dict(plain=dict(label='plain'), all=dict(idea='at once', label='everything', options={
    'model.head.extra': [dict(type='CrossBlockTerm')],
    'model.teacher': dict(type='ExponentialMovingAverage', momentum=0.1),
    'model.auxiliary_heads': [dict(type='CompletenessHead', grid=2), dict(type='DenseHead', grid=2)]}))
''')
    (tmp_path / 'doc.md').write_text(''.join(f'<!-- {name} -->\n<!-- /{name} -->\n' for name in (
        'runs', 'scores', 'aside', 'split', 'judging', 'factors')))
    command = ['tools/better.py', '--study', tmp_path / 'study.py', '--work-dir', tmp_path / 'work', '--doc', tmp_path / 'doc.md',
               '--records', tmp_path / 'r.csv', '--figures', tmp_path / 'figures', '--jobs', '1']
    first = run_tool(*command, fresh=True)
    assert '[2/2] shapes/all/seed0' in first.stdout and '| at once, everything |' in (tmp_path / 'doc.md').read_text()
    assert {path.name for path in (tmp_path / 'figures').iterdir()} == {'better_scores.png'}
    with open(tmp_path / 'r.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [r['arm'] for r in rows] == ['all', 'plain'] and all(0 < float(r['score']) <= 100 and r[FACTORS[0]] for r in rows)
    setup = Setup(tmp_path / 'study.py', Path('data'), tmp_path / 'work')
    runs = plan(Config.fromfile(setup.study))
    before = (tmp_path / 'work' / runs[0].name / 'record.json').stat().st_mtime_ns
    assert [str(execute(run, setup)['score']) for run in runs] == [rows[1]['score'], rows[0]['score']], 'taken from what is there'
    assert (tmp_path / 'work' / runs[0].name / 'record.json').stat().st_mtime_ns == before
    assert stored(runs[0], setup._replace(scale=.5)) is None, 'other settings are another run'
    wrong = run_tool(*command, '--arms', 'worse', check=False)
    assert wrong.returncode == 1 and wrong.stderr.startswith("error: there is no arm 'worse'")

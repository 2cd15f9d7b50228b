import json

import pytest
from decoupling_study import document
from decoupling_study.runs import execute, plan
from explain_config import tiny
from helpers import ROOT, run_tool
from mmengine.config import Config

from decur.errors import ConfigError, DataError
from decur.evaluation.intervals import t_interval

DOC = '# Results\n' + ''.join(f'<!-- {group}: {table} -->\nold\n<!-- /{group}: {table} -->\n' for group in ('objectives', 'share')
                              for table in ('blocks', 'factors', 'probes', 'geometry')) + '<!-- runs -->\n<!-- /runs -->\nWords.\n'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('study')
    tiny(root / 'decur.py', extra='model.update(head=dict(common_dim=8))')
    (root / 'study.py').write_text('''
seeds = (0, 1)
runs = [dict(config='decur.py', label='DeCUR', groups=('objectives', 'share'), labels=dict(share='50 %')),
        dict(config='decur.py', options={'model.head': dict(_delete_=True, type='MultimodalCLIPHead')}, name='clip', label='CLIP',
             groups=('objectives', )),
        dict(config='decur.py', label='random', groups=('objectives', ), train=False),
        dict(config='decur.py', options={'model.head.common_dim': 0}, name='decur0', label='0 %', groups=('share', ))]
''')
    (root / 'doc.md').write_text(DOC)
    return root


def command(root, *more):
    return ['tools/study.py', '--study', root / 'study.py', '--work-dir', root / 'work', '--doc', root / 'doc.md', '--figures',
            root / 'images', *more]


@pytest.mark.slow
def test_the_command_fills_the_document_and_resumes(folder):
    run_tool(*command(folder), fresh=True)  # joblib's workers do not start from a fork of the server
    text = (folder / 'doc.md').read_text()
    assert 'old' not in text and text.endswith('Words.\n') and '8 of 8 runs are in (4 settings, seeds 0, 1)' in text
    rows = [line.split('|')[1].strip() for line in text.splitlines() if line.startswith('|')]
    assert rows[:5] == ['objective', '---', 'DeCUR', 'CLIP', 'random']
    assert rows.index('0 %') < rows.index('50 %')  # in the order of the setting
    for figure in ('objectives', 'share', 'world'):
        assert (folder / 'images' / f'decoupling_{figure}.png').stat().st_size > 5000
    scores = folder / 'work' / 'clip' / 'seed1' / 'scores.json'
    before = {path: path.stat().st_mtime_ns for path in folder.glob('work/*/seed*/scores.json')}
    assert len(before) == 8
    scores.unlink()
    run_tool(*command(folder, '--report-only'))
    assert 'Missing: seed 1 of clip.' in (folder / 'doc.md').read_text()
    again = run_tool(*command(folder, '--jobs', '1'), fresh=True)
    assert '[8/8]' in again.stdout
    after = {path: path.stat().st_mtime_ns for path in before}
    assert [path for path in before if before[path] != after[path]] == [scores]  # only what was missing
    assert (folder / 'doc.md').read_text().split('<!-- runs -->')[0] == text.split('<!-- runs -->')[0]  # and the same came out

    checkpoint = next((folder / 'work' / 'decur' / 'seed0').glob('iter_*.pth'))
    done = run_tool('tools/decoupling.py', folder / 'decur.py', checkpoint, '--out', folder / 'scores.json')
    assert 'linear probe of the unique' in done.stdout
    fresh, stored = json.loads((folder / 'scores.json').read_text()), json.loads((checkpoint.parent / 'scores.json').read_text())
    assert [r['score'] for r in fresh['explained']] == pytest.approx([r['score'] for r in stored['explained']], abs=1e-4)


def test_errors_of_the_commands(folder):
    done = run_tool(*command(folder, '--report-only'), '--work-dir', folder / 'nothing', check=False)
    assert done.returncode == 1 and 'holds no scores' in done.stderr
    done = run_tool('tools/decoupling.py', ROOT / 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', 'random', check=False)
    assert done.returncode == 1 and 'has no score_dataset' in done.stderr


def test_tables():
    rows = {'one': {'common: shared': t_interval([0.7, 0.72, 0.74])}, 'two': {'unique: shared': t_interval([0.1])}}
    table = document.measure_table(rows, {'common: shared': 'C', 'unique: shared': 'U', 'all: shared': 'A'}, 'run')
    assert table.splitlines() == ['| run | C | U |', '|---|---:|---:|', '| one | 0.72 ± 0.05 |  |', '| two |  | 0.10 |']
    with pytest.raises(ConfigError, match='no place'):
        document.replace_between('text', 'a', 'b')


def with_arm(study, **arm):
    study = study.to_dict()
    return Config(dict(study, runs=[*study['runs'], arm]))


def test_arms_differ_by_their_options_and_have_folders_of_their_own(folder):
    study = Config.fromfile(folder / 'study.py')
    runs = plan(study, folder, folder / 'work', options={'model.head.statistics': False})
    assert [(run.seed, run.folder.relative_to(folder).as_posix()) for run in runs[:4]] == [
        (0, f'work/{name}/seed0') for name in ('decur', 'clip', 'decur_random', 'decur0')]
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4
    heads = [run.load().model.head for run in runs]
    assert heads[1] == dict(type='MultimodalCLIPHead', statistics=False) == heads[5]  # loading one changes no other
    assert [heads[i].common_dim for i in (0, 2, 3)] == [8, 8, 0]
    assert len({run.fingerprint(run.load()) for run in runs}) == 8
    study = with_arm(study, config='decur.py', label='again', groups=())
    with pytest.raises(ConfigError, match="several arms of the study have the name 'decur'"):
        plan(study, folder, folder / 'work')


@pytest.mark.parametrize('change, message', [
    (dict(runs=[]), 'the study says no runs'), (dict(seeds=()), 'the study says no seeds'),
    (dict(runs=[dict(label='A', groups=())]), "lacks 'config'"), (dict(runs=[dict(config='decur.py', groups=())]), "lacks 'label'"),
    (dict(runs=[dict(config='decur.py', label='A', groups=(), option={})]), "has an unknown 'option'"),
    (dict(runs=[dict(config='gone.py', label='A', groups=())]), 'gone.py of an arm of the study does not exist')])
def test_a_study_that_lacks_something(folder, change, message):
    study = Config(dict(dict(seeds=(0, ), runs=[dict(config='decur.py', label='A', groups=('objectives', ))]), **change))
    with pytest.raises(ConfigError, match=message):
        plan(study, folder, folder / 'work')


def test_the_document_is_checked_before_the_runs(folder):
    study = Config.fromfile(folder / 'study.py')
    document.check(study, folder / 'doc.md')
    study = with_arm(study, config='decur.py', label='A', groups=('gaussian', ))
    with pytest.raises(ConfigError, match='no place <!-- gaussian: blocks -->'):
        document.check(study, folder / 'doc.md')
    with pytest.raises(ConfigError, match="two arms of the study have the label 'CLIP' in the group 'objectives'"):
        document.check(with_arm(study, config='decur.py', label='CLIP', groups=('objectives', )), folder / 'doc.md')
    with pytest.raises(ConfigError, match='--jobs must be at least 1, got 0'):
        next(execute([], 0))


def test_scores_are_taken_only_of_the_config_as_it_is(folder, tmp_path):
    run = plan(Config.fromfile(folder / 'study.py'), folder, tmp_path)[0]
    assert run.stored() is None
    run.folder.mkdir(parents=True)
    path = run.folder / 'scores.json'
    for key, there in ((run.fingerprint(run.load()), True), ('of another config', False)):
        path.write_text(json.dumps(dict(fingerprint=key, seed=0)))
        assert bool(run.stored()) == there
    for content in ('', '{"fingerprint": "', '[]', '{}'):
        path.write_text(content)
        with pytest.raises(DataError, match='scores.json is damaged: delete it'):
            run.stored()


def test_every_arm_of_the_study_is_there():
    path = ROOT / 'configs' / 'decoupling' / 'study.py'
    study = Config.fromfile(path)
    configs = {run.folder.parent.name: run.load() for run in plan(study, path.parent, path.parent, seeds=[0])}
    assert len(configs) == len(study.runs)
    text = (ROOT / 'docs' / 'decoupling.md').read_text()
    for arm in study.runs:
        for group in arm.groups:
            label = arm.get('labels', {}).get(group, arm.label)
            for table in ('blocks', 'probes', 'factors', 'geometry'):
                part = text.split(f'<!-- {group}: {table} -->')[1].split('<!-- /')[0]
                assert f'\n| {label} |' in part, (group, table, label)

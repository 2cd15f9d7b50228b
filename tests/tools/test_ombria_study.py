"""The comparison on OMBRIA: its plan, its counts, its tables, the per-pixel baseline, and the command as a whole on chips of noise."""
import importlib
import json
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT, run_tool
from mmengine.config import Config
from ombria_study import frozen, per_pixel, records, report, runs
from ombria_study.plan import Pretraining, Transfer, plan
from ombria_study.scores import GROUPS, STEPS, at_threshold, best_step, count, group_of, histogram, iou
from PIL import Image

from decur.errors import ConfigError, DataError
from decur.evaluation.intervals import t_interval
from decur.evaluation.segmentation import PerClassIoUMetric
from decur.prepare import ombria
from decur.prepare.ombria_scenes import FIRST_CHIPS, TEST_SCENES

STUDY = ROOT / 'configs' / 'ombria' / 'study.py'


def study(**changes):
    return Config(dict(dict(
        pretraining='ombria_s1-s2_small-resnet_decur.py', seeds=(0, 1),
        arms=dict(per_pixel=dict(label='per pixel', options=None), random=dict(label='random', options=None),
                  random_normalized=dict(label='random, normalized', options={}), decur=dict(label='DeCUR', options={}),
                  decur_chosen=dict(label='DeCUR, chosen setting', options={'a': 1}),
                  clip=dict(label='CLIP', options={'model.head': dict(type='MultimodalCLIPHead')})),
        rounds=[dict(name='first', arms=('random', 'decur'), protocols=('frozen', )),
                dict(name='more', arms=('decur', 'clip'), protocols=('frozen', 'finetune'), labels=('8', )),
                dict(name='subsets', arms=('decur', ), protocols=('frozen', ), subsets=range(2, 4))]), **changes))


def test_a_pretraining_stands_before_the_first_transfer_that_needs_it():
    found = plan(study())
    assert [run.name for run in found[:4]] == [
        'transfer/random/s1-s2_frozen_32/subset0', 'pretrain/decur/seed0', 'transfer/decur/s1-s2_frozen_32/subset0',
        'transfer/random/s1-s2_frozen_32/subset1']
    for place, run in enumerate(found):
        needed = getattr(run, 'pretraining', None)
        assert needed is None or needed in found[:place]
        assert not isinstance(run, Transfer) or needed is None or needed.seed == run.subset % 2
    assert len(found) == len(set(found)) == 4 + 2 + 8 + 2 + 2
    assert plan(study(), ['subsets'])[0] == Pretraining('decur', 0, {})
    assert {run.subset for run in plan(study(), ['first', 'more'], quick=True) if isinstance(run, Transfer)} == {0}


def test_the_study_has_its_configs_and_arms():
    found = plan(Config.fromfile(STUDY))
    assert all((STUDY.parent / Config.fromfile(STUDY)[name]).is_file() for name in ('pretraining', 'transfer'))
    pretrained = {run.arm for run in found if isinstance(run, Pretraining)}
    assert pretrained == {'decur', 'decur_chosen', 'decur_contrast', 'barlow_twins', 'simclr', 'clip', 'vicreg', 'single', 'disentangled',
                          'comm', 'barlow_twins_x2', 'clip_x2', 'random_normalized'}


@pytest.mark.parametrize('entry, message', [
    (dict(name='x', arms=('random', )), "lacks 'protocols'"),
    (dict(name='x', arms=('random', ), protocols=('frozen', ), seeds=(1, )), "unknown 'seeds'"),
    (dict(name='x', arms=('moco', ), protocols=('frozen', )), "names the arm 'moco'"),
    (dict(name='x', arms=('random', ), protocols=('frozen', ), labels=('9', )), "labels='9'")])
def test_a_wrong_round(entry, message):
    with pytest.raises(ConfigError, match=message):
        plan(study(rounds=[entry]))


def test_rounds_that_share_a_cell_and_a_round_that_is_not_there():
    entry = dict(name='x', arms=('random', ), protocols=('frozen', ))
    with pytest.raises(ConfigError, match='a cell of another round.*transfer/random'):
        plan(study(rounds=[entry, dict(entry, name='y')]))
    with pytest.raises(ConfigError, match="no round 'z'"):
        plan(study(), ['z'])
    with pytest.raises(ConfigError, match="no arm 'moco'"):
        plan(study(), arms=['moco'])
    with pytest.raises(ConfigError, match='no transfer of the rounds'):
        plan(study(), ['first'], subsets=[7])
    assert [run.name for run in plan(study(), ['first'], arms=['decur'], subsets=[1])] == [
        'pretrain/decur/seed1', 'transfer/decur/s1-s2_frozen_32/subset1']


def setup(tmp_path, **changes):
    return runs.Setup(STUDY, tmp_path / 'data', tmp_path / 'work', **changes)


def test_what_a_run_trains_is_what_the_plan_says(tmp_path):
    pretraining = Pretraining('decur', 3, {'model.head.common_dim': 256})
    cfg = runs.config_of(pretraining, setup(tmp_path))
    assert cfg.model.head.common_dim == 256 and cfg.randomness.seed == 3 and cfg.train_cfg.max_epochs == 12
    cell = Transfer('decur', pretraining, 's1-s2', 'finetune', '8', 13)
    cfg = runs.config_of(cell, setup(tmp_path))
    assert cfg.train_dataloader.dataset.split == 'scene_few8_seed13.txt' and cfg.randomness.seed == 13
    assert cfg.model.backbone.pretrained == str(tmp_path / 'work/pretrain/decur/seed3/weights.pth')
    # One sensor, and frozen encoders.
    alone = runs.config_of(Transfer('random', None, 's1', 'frozen', 'all', 0, options={'train_cfg.max_iters': 7}), setup(tmp_path))
    assert alone.modalities.optical is None and alone.modalities.sar and alone.model.backbone.frozen and alone.train_cfg.max_iters == 7
    assert cfg.modalities.optical and not cfg.model.backbone.get('frozen')
    # A result belongs to the settings of its pretraining too, and not to where files lie.
    key = runs.fingerprint(cell, setup(tmp_path))
    assert key == runs.fingerprint(cell, setup(tmp_path / 'elsewhere'))
    runs.fingerprint.cache_clear()  # runs are equal by their names
    assert key != runs.fingerprint(Transfer('decur', Pretraining('decur', 3, {}), 's1-s2', 'finetune', '8', 13), setup(tmp_path))
    runs.fingerprint.cache_clear()


def test_a_record_is_taken_only_if_it_is_whole_and_of_these_settings(tmp_path):
    cell = Transfer('random', None, 's1-s2', 'frozen', '8', 0)
    path = tmp_path / 'work' / cell.name / 'record.json'
    path.parent.mkdir(parents=True)
    assert runs.stored(cell, setup(tmp_path)) is None
    path.write_text(json.dumps(dict(fingerprint='other')))
    assert runs.stored(cell, setup(tmp_path)) is None
    path.write_text(json.dumps(dict(fingerprint=runs.fingerprint(cell, setup(tmp_path)), areas={})))
    assert runs.stored(cell, setup(tmp_path)) == runs.execute(cell, setup(tmp_path))
    path.write_text('{"fingerprint": ')
    with pytest.raises(DataError, match='record.json is damaged: delete it'):
        runs.stored(cell, setup(tmp_path))


def test_iou_is_that_of_the_metric():
    rng = np.random.default_rng(0)
    predicted, label = rng.integers(0, 2, (2, 5, 40, 30))
    metric = PerClassIoUMetric()
    metric.dataset_meta = dict(classes=('dry', 'flood'))
    metric.process({}, [dict(pred_sem_seg=dict(data=torch.tensor(p)[None]), gt_sem_seg=dict(data=torch.tensor(true)[None]))
                        for p, true in zip(predicted, label)])
    areas = [count(p, true) for p, true in zip(predicted, label)]
    assert iou(areas) == pytest.approx(metric.compute_metrics(metric.results)['IoU.flood'], abs=0.01)
    assert [group_of(name) for name in ('train_0001', 'test_0700', 'albania_0001', 'timor_0000')] == [
        'scene_test', 'scene_test', 'albania', 'timor']


def test_thresholds_of_a_histogram():
    rng = np.random.default_rng(0)
    probability, label = rng.random((20, 30)), rng.integers(0, 2, (20, 30))
    counts = histogram(probability, label)
    assert counts.shape == (2, STEPS) and counts.sum() == 600
    for step in (1, 50, 99):
        assert at_threshold(counts, step).tolist() == count(probability >= step / STEPS, label).tolist()
    assert best_step(histogram(np.where(label, 0.335, 0.295), label)) in range(30, 34)  # all of it between the two
    assert histogram(np.array([1.0, 0.0]), np.array([1, 0])).nonzero()[1].tolist() == [0, STEPS - 1]


def test_maps_that_are_kept_are_those_of_the_encoders():
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    seen = []

    class Backbone(torch.nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return inner(x), x.mean(dim=1, keepdim=True)

    plain, backbone = Backbone(), Backbone()
    frozen.remember_maps(backbone)
    pictures = torch.randn(5, 3, 8, 8)
    for chosen in ([0, 1], [1, 0, 2], [2, 2, 3], [4, 4]):
        for one, two in zip(plain(pictures[chosen]), backbone(pictures[chosen])):
            assert torch.allclose(one, two, atol=1e-6)
    assert seen == [2, 2, 3, 1, 3, 1, 2, 1]  # every picture went through once; of the plain one, each time
    backbone.eval()
    backbone(pictures[:2])
    assert seen[-1] == 2  # in a test nothing is kept


def rows(scene, event, arm='decur', **more):
    """Records of one arm with an IoU for each subset: tp of 1000 pixels, all the others missed."""
    out = []
    for subset, (a, b) in enumerate(zip(scene, event)):
        areas = {group: [a if group == 'scene_test' else b, 0, 1000 - (a if group == 'scene_test' else b)] for group in GROUPS}
        cell = Transfer(arm, None, **dict(dict(sensors='s1-s2', protocol='frozen', labels='32', subset=subset), **more))
        out.append(records.row_of(cell, dict(seconds=10., loss=0.5, areas=areas, fitted=areas, threshold=0.5)))
    return out


def test_records_come_back_and_newer_ones_win(tmp_path):
    first = rows([600, 610], [400, 410]) + [records.row_of(Pretraining('decur', 1, {}), dict(seconds=7., loss=1.))]
    records.write_records(tmp_path / 'r.csv', records.merge([], first))
    again = records.merge(records.read_records(tmp_path / 'r.csv'), rows([700], [500]))
    assert len(again) == 3 and sorted(row['scene_test_tp'] for row in again) == ['', '610', '700']
    (tmp_path / 'r.csv').write_text((tmp_path / 'r.csv').read_text().replace('610', 'many'))
    with pytest.raises(DataError, match='r.csv, line .: no record'):
        records.read_records(tmp_path / 'r.csv')
    with pytest.raises(DataError, match='none.csv cannot be read'):
        records.read_records(tmp_path / 'none.csv')


def test_tables_say_what_the_records_say():
    decur, random = ([620, 540, 600], [470, 410, 440]), ([400, 340, 430], [300, 430, 420])
    found = rows(*decur) + rows(*random, arm='random') + rows([547], [414], arm='per_pixel', protocol='per-pixel')
    results = report.Results(found, study(seeds=(0, 1, 2), rounds=study().rounds[:2]))
    text = report.tables(results)
    interval = t_interval([62, 54, 60])
    assert f'| DeCUR | {interval.mean:.1f} ± {interval.mean - interval.low:.1f} (3) |' in text['main']
    assert '| per pixel | 54.7 (1) | 41.4 (1) |' in text['main'] and '| CLIP |  |  |  |  |' in text['main']
    gains = t_interval([22, 20, 17])
    assert f'| random | {gains.mean:+.1f} [{gains.low:+.1f}, {gains.high:+.1f}], 3 of 3 | ' in text['differences']
    assert ', 2 of 3 |' in text['differences']  # event2021: +17, -2, +2
    assert '| subset 1, pretraining seed 1 | 34.0 | 54.0 | +20.0 | 43.0 | 41.0 | -2.0 |' in text['subsets']
    assert '| first | 6 of 6 |' in text['runs'] and 'ROUNDS=more' in text['runs']
    figure = report.plot(results)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ['random', 'DeCUR']
    dots = sorted(x for line in figure.axes[0].lines if line.get_marker() == 'o' for x in line.get_xdata())
    assert dots == pytest.approx([34, 40, 43, 54, 60, 62])


def test_two_subsets_of_one_pretraining_are_averaged_first():
    results = report.Results(rows([600, 500, 580, 520], [1] * 4) + rows([400] * 4, [2] * 4, arm='random'), study())
    last = report.tables(results)['subsets'].splitlines()[-1]
    gains = t_interval([(20 + 18) / 2, (10 + 12) / 2])
    assert f'{gains.mean:+.1f} [{gains.low:+.1f}, {gains.high:+.1f}], 2 of 2' in last


def test_the_chosen_setting_is_compared_over_subsets_and_over_pretrainings():
    found = rows([600, 500, 580, 520], [1] * 4, arm='decur_chosen') + rows([400] * 4, [2] * 4, arm='random')
    table = report.tables(report.Results(found, study()))['chosen'].splitlines()
    first, every, averaged = t_interval([20, 10]), t_interval([20, 10, 18, 12]), t_interval([19, 11])
    line = ' | '.join(f'{i.mean:+.1f} [{i.low:+.1f}, {i.high:+.1f}], {n} of {n}' for i, n in ((first, 2), (every, 4), (averaged, 2)))
    assert f'| 0.5, less random | {line} |' in '\n'.join(table)
    assert table[2].startswith(f'| 0.5, DeCUR, chosen setting | {first.mean + 40:.1f} ± {first.mean - first.low:.1f} (2) | ')
    assert '| 0.5, less DeCUR |  |  |  |  |  |  |' in table


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """Chips of noise in which a flood is where radar grows dark, enough for 32 labels, and one of each other flood."""
    src, rng = tmp_path_factory.mktemp('ombria') / 'OMBRIA', np.random.default_rng(0)

    def write(name, image):
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(src / name, compress_level=0)

    def chip(names):
        flood = np.kron(rng.random((8, 8)) < 0.4, np.ones((32, 32), bool))
        for sensor, channels in ((1, 1), (2, 3)):
            before = rng.integers(100, 200, (256, 256, channels))
            after = np.where(flood[..., None], before // 3, before)
            write(names[f'{sensor}_before'], before.astype(np.uint8).squeeze())
            write(names[f'{sensor}_after'], after.astype(np.uint8).squeeze())
            write(names[f'{sensor}_mask'], flood.astype(np.uint8) * 255)

    for number in (*range(1, 33), *(FIRST_CHIPS[scene] for scene in TEST_SCENES)):
        chip({f'{s}_{date}': f'OmbriaS{s}/{"test" if number == 1 else "train"}/{date.upper()}/S{s}_{date}_{number:04d}.png'
              for s in (1, 2) for date in ('before', 'after', 'mask')})
    for event in ('ALBANIA', 'FRANCE', 'GUYANA', 'TIMOR'):
        chip({f'{s}_{date}': f'2021/{event}/Sentinel{s}/{date.upper()}/{"gt" if date == "mask" else f"im{date}"}_0.png'
              for s in (1, 2) for date in ('before', 'after', 'mask')})
    return src


def test_the_per_pixel_baseline_learns_a_rule_of_values(clone, tmp_path):
    ombria.prepare(clone, tmp_path, any_version=True)
    found = per_pixel.per_pixel(tmp_path, 's1', ['train_0002', 'train_0003'], ['train_0135', 'timor_0000'], 0)
    areas = found['areas']
    assert iou([found['fitted']['timor']]) > 95
    assert iou([areas['scene_test']]) > 95 and iou([areas['timor']]) > 95 and areas['albania'] == [0, 0, 0]
    values, label = per_pixel.features('train_0002', tmp_path, 's1-s2')
    assert values.shape == (65536, 16) and label.shape == (65536, )
    image = np.asarray(Image.open(clone / 'OmbriaS1/train/BEFORE/S1_before_0002.png'), np.float64)
    assert values[100 * 256 + 50, 0] == image[100, 50]
    assert values[100 * 256 + 50, 8] == pytest.approx(image[96:105, 46:55].mean(), rel=1e-5)


@pytest.mark.slow
def test_the_command_runs_resumes_and_reports(clone, tmp_path):
    work = tmp_path / 'work'
    command = ['tools/ombria.py', clone, '--quick', '--any-version', '--scale', '0.01', '--data', tmp_path / 'data', '--work-dir', work]
    run_tool(*command, fresh=True, timeout=560)
    found = records.read_records(work / 'records.csv')
    assert [(row['arm'], row['protocol']) for row in found] == [
        ('decur', 'finetune'), ('decur', 'frozen'), ('decur', 'pretraining'), ('per_pixel', 'per-pixel'), ('random', 'finetune'),
        ('random', 'frozen')]
    tested = 256 * 256
    for row in found:
        if row['protocol'] != 'pretraining':
            for group in GROUPS:
                label = np.asarray(Image.open(clone / f'2021/{group.upper()}/Sentinel1/MASK/gt_0.png')) if group != 'scene_test' else None
                flood = int(row[f'{group}_tp']) + int(row[f'{group}_fn'])
                assert flood + int(row[f'{group}_fp']) <= 2 * tested and (label is None or flood == (label > 0).sum())
    assert (work / 'results.png').stat().st_size > 5000 and '| DeCUR | ' in (work / 'tables.md').read_text()
    before = {path: path.stat().st_mtime_ns for path in work.rglob('weights.pth')}
    assert len(before) == 5
    gone = work / 'transfer/random/s1-s2_frozen_32/subset0/record.json'
    wanted = json.loads(gone.read_text())['areas']
    gone.unlink()
    run_tool(*command, fresh=True, timeout=560)
    assert [path for path in before if path.stat().st_mtime_ns != before[path]] == [gone.parent / 'weights.pth']
    assert json.loads(gone.read_text())['areas'] == wanted  # the same came out


@pytest.mark.parametrize('arguments, message', [
    ([], 'give SRC'), (['{}/nowhere'], 'is not a folder'), (['CLONE'], 'not the version of OMBRIA'),
    (['CLONE', '--rounds', 'nine'], "no round 'nine'"), (['--report-only'], 'records.csv cannot be read'),
    (['CLONE', '--study', '{}/none.py'], 'none.py does not exist')])
def test_bad_input_is_one_line_and_leaves_nothing(clone, tmp_path, monkeypatch, capsys, arguments, message):
    tool = importlib.import_module('ombria')
    arguments = [str(clone) if argument == 'CLONE' else argument.format(tmp_path) for argument in arguments]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['ombria.py', *arguments, '--data', f'{tmp_path}/data', '--work-dir', f'{tmp_path}/work'])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    said = capsys.readouterr()
    assert ended.value.code and message in f'{said.err}{ended.value.code}' and not said.out
    assert f'{said.err}{ended.value.code}'.count('\n') <= 1
    assert not any(tmp_path.iterdir())


def test_the_page_says_what_its_records_say():
    results = report.Results(records.read_records(ROOT / 'docs' / 'ombria.csv'), Config.fromfile(STUDY))
    page = (ROOT / 'docs' / 'ombria.md').read_text()
    for name, table in report.tables(results).items():
        assert f'<!-- {name} -->\n{table}\n<!-- /{name} -->' in page, f'{name}: run tools/ombria.py --report-only, see the page'

"""The comparison over seeds: what runs, what is kept, and the table. The training itself is replaced by figures."""
import json

import compare
import pytest
from helpers import ROOT
from mmengine.config import Config

from decur.errors import DataError


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run the tool with runs that cost nothing: IoU of water is 50 + 10 x seed, 20 more for DeCUR."""
    ran = []

    def run(cfg, test):
        seed = cfg.randomness.seed
        ran.append((cfg.work_dir, cfg.model.backbone.get('pretrained'), cfg.train_dataloader.dataset.get('split'), cfg.train_cfg))
        folder = tmp_path / 'work' / str(cfg.work_dir).rpartition('/')[2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'epoch.pth').write_text('weights')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch.pth'))
        return ({'IoU.water': 50. + 10 * seed + 20 * bool(cfg.model.backbone.get('pretrained'))} if test else {}), 1.5

    monkeypatch.setattr(compare, 'run', run)
    monkeypatch.setattr(compare.logging, 'disable', lambda level: None)
    monkeypatch.setattr(compare.torch, 'set_num_threads', lambda number: None)

    def call(*args):
        ran.clear()
        monkeypatch.setattr('sys.argv', ['compare.py', 'configs/water/study.py', '--work-dir', str(tmp_path / 'work'), *map(str, args)])
        compare.main()
        return list(ran), capsys.readouterr().out
    return call


def test_every_start_and_seed_runs_once(command, tmp_path):
    ran, out = command('--seeds', 0, 1)
    assert len(ran) == 2 * (1 + 2 * 2)
    assert [split for _, _, split, _ in ran[:5]] == ['train.txt', *['few32_seed0.txt'] * 4]
    assert [bool(weights) for _, weights, _, _ in ran[:5]] == [False, False, True, False, True]
    assert all(weights.endswith('decur_seed1/weights.pth') for _, weights, _, _ in ran[5:] if weights)
    row = next(line for line in out.splitlines() if line.startswith('| optical + elevation, frozen'))
    assert row == '| optical + elevation, frozen | 55.0 (50.0, 60.0) | 75.0 (70.0, 80.0) | +20.0 [+20.0, +20.0] | 2 |'
    record = json.loads((tmp_path / 'work' / 'record.json').read_text())
    assert len(record['runs']) == 8 and record['pretraining'] == {'0': 1.5, '1': 1.5}
    again, text = command('--seeds', 0, 1)
    assert again == [] and row in text
    more, _ = command('--seeds', 2, '--scale', .5)
    assert len(more) == 5 and more[0][3].max_epochs == 12 and more[1][3].max_iters == 40


def test_a_difference_is_paired():
    runs = [dict(row='a', start=start, seed=seed, metrics=dict(x=value))
            for start, values in (('random', (1., 5., 9.)), ('DeCUR', (2., 7., 12.))) for seed, value in enumerate(values)]
    text = compare.table(dict(runs=runs[:-1]), 'x').splitlines()[-1]  # seed 2 has no partner
    assert text.startswith('| a | 3.0 (1.0, 5.0) | 4.5 (2.0, 7.0) | +1.5 [')
    low, high = (float(value) for value in compare.table(dict(runs=runs), 'x').split('+2.0 [')[1].split(']')[0].split(','))
    assert (low, high) == pytest.approx((2 - 2.48, 2 + 2.48), abs=.05)  # t(2) = 4.30 times 1 / sqrt(3)


@pytest.mark.parametrize('name', ['water', 'potholes', 'sites'])
def test_the_document_has_the_tables_of_the_records(name):
    record = compare.read_record(ROOT / 'docs' / 'records' / f'{name}.json', name)
    study = Config.fromfile(ROOT / 'configs' / name / 'study.py')
    assert {entry['row'] for entry in record['runs']} == set(study.rows)
    text = (ROOT / 'docs' / 'real_data.md').read_text(encoding='utf-8')
    shown = text.partition(f'<!-- {name} -->\n')[2].partition(f'\n<!-- /{name} -->')[0]
    assert shown == compare.table(record, study.figure)


@pytest.mark.parametrize('text', ['{', '{"study": "other", "pretraining": {}, "runs": []}',
                                  '{"study": "water", "pretraining": {}, "runs": [{}]}'])
def test_a_record_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / 'record.json'
    path.write_text(text)
    with pytest.raises(DataError, match='damaged, or no record of water'):
        compare.read_record(path, 'water')

"""tools/table.py on records as tools/test.py writes them."""
import csv
import json

import pytest
import table

DECUR = dict(file='pre/epoch_100.pth', objective='DeCURHead')


def record(folder, config, value, seed=0, time='2026-01-01T00:00:00Z', key='multi-label/mAP_micro', encoders=DECUR, not_loaded='',
           trained_on=None, **options):
    folder.mkdir(parents=True)
    (folder / 'test.json').write_text(json.dumps(dict(
        config=f'/x/configs/{config}.py', options=options, checkpoint='x.pth', seed=seed, encoders=dict(sar=encoders), samples=9, time=time,
        not_loaded=not_loaded, trained_on=trained_on or {}, metrics={key: value})))
    return folder / 'test.json'


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the tool here; what it printed, and what it ended with (None if it ended well)."""
    def run(*args):
        monkeypatch.setattr('sys.argv', ['table.py', *map(str, args)])
        try:
            end = table.main()
        except SystemExit as error:
            end = error.code
        out, err = capsys.readouterr()
        return out, err.rstrip('\n') or end
    return run


def test_tables_in_markdown_and_csv(tmp_path, command):
    name, share = 'bigearthnet_s1_r50-rda_frozen', dict(fraction=0.01)
    record(tmp_path / 'a' / '1', name, 10., time='2025-01-01T00:00:00Z', trained_on=share)  # tested again later
    for seed, value in ((0, 72.), (1, 74.)):
        record(tmp_path / 'a' / f'2{seed}', name, value, seed, trained_on=share, **{'test_dataloader.dataset.data_root': f'here/{seed}'})
    # All labels, and a number of them that no table has: other rows.
    record(tmp_path / 'a' / '3', name, 90., 1, trained_on={})
    record(tmp_path / 'a' / '4', name, 33., 1, trained_on=dict(num_samples=32))
    record(tmp_path / 'b', 'my_config', 50.5, key='mIoU', encoders=None)
    out, end = command(tmp_path / 'a', tmp_path / 'b', '--out', tmp_path / 'out' / 't.md', tmp_path / 'out' / 't.csv')
    text = (tmp_path / 'out' / 't.md').read_text()
    assert out == text and end is None
    lines = text.splitlines()
    here = f'{name} train_dataloader.dataset.fraction=0.01'
    assert f'| SAR | 1 % | frozen | ResNet50-RDA | DeCUR | 74.4 | 73.0 ± 1.4 | 0, 1 | {here} |' in lines
    assert f'| SAR | 100 % | frozen | ResNet50-RDA | DeCUR | 79.5† | 90.0 | 1 | {name} |' in lines
    row = f'| {name} | train_dataloader.dataset.num_samples=32 | multi-label/mAP_micro | DeCUR | 33.0 | 1 |'
    assert row in lines
    assert ('| SAR | 1 % | frozen | ResNet50 | SimCLR | 68.1† |  |  | bigearthnet_s1_r50_frozen '
            'train_dataloader.dataset.fraction=0.01 |') in lines  # nobody ran it
    assert '| my_config |  | mIoU | random | 50.5 | 0 |' in lines
    assert 'not computed by this project' in lines[0]
    rows = list(csv.DictReader((tmp_path / 'out' / 't.csv').open()))
    own = [row for row in rows if row['config'] == name and row['pretraining'] == 'DeCUR' and row['labels'] == '1']
    assert [[r[key] for key in ('mean', 'std', 'runs', 'published', 'source')] for r in own] == [
        ['73.0000', '1.4142', '2', '74.4', 'supplement']]
    assert {row['dataset'] for row in rows} == {'BigEarthNet-MM', 'GeoNRW', 'SUN-RGBD', 'NYU-Depth v2', ''}


def test_what_is_wrong_is_said(tmp_path, command):
    def error(*args):
        out, end = command(*args)
        assert out == '' and '\n' not in end.split('table.py: ')[-1].strip()
        return end

    assert 'no_such is not a folder' in error(tmp_path / 'no_such')
    (tmp_path / 'empty').mkdir()
    assert 'run tools/test.py first' in error(tmp_path / 'empty')
    assert 'must end in .md or .csv' in error(tmp_path / 'empty', '--out', 'table.txt')
    record(tmp_path / 'a', 'geonrw_rgb_r50_frozen', 1., key='mAP')
    assert 'geonrw_rgb_r50_frozen has no mIoU' in error(tmp_path / 'a')
    path = record(tmp_path / 'b', 'x', 1.)
    whole = path.read_text()
    for content, reason in (('{"config": "x', 'Unterminated'), ('[]', 'expected an object'), ('{"config": "x"}', 'options, encoders, seed'),
                            (json.dumps(dict(json.loads(whole), metrics=dict(mIoU='9'))), 'metrics missing or wrong'),
                            (json.dumps(dict(json.loads(whole), encoders=dict(sar=dict(objective=None)))), 'encoders missing or wrong'),
                            ('[' * 100000, ''),
                            ('\xff', '')):
        path.write_bytes(content.encode('latin1'))
        last = error(tmp_path / 'b')
        assert f'{path} is ' in last and 'record of tools/test.py' in last and reason in last


def test_tests_of_checkpoints_that_did_not_fit_are_left_out(tmp_path, command):
    name = 'geonrw_rgb_r50_frozen'
    record(tmp_path / 'good', name, 30., key='mIoU')
    partly = record(tmp_path / 'partly', name, 3.96, seed=1, key='mIoU', not_loaded='2 missing in the file: decode_head.conv_seg.weight')
    old = record(tmp_path / 'old', name, 99., seed=2, key='mIoU')
    content = json.loads(old.read_text())
    del content['not_loaded']
    old.write_text(json.dumps(content))
    out, err = command(tmp_path)
    assert f'| 30.0 | 0 | {name} |' in out and '3.96' not in out and '99' not in out
    assert f'{partly} is left out: 2 missing in the file: decode_head.conv_seg.weight' in err
    assert f'{old} is left out: an earlier version wrote it' in err
    out, end = command(tmp_path / 'partly')
    assert out == '' and end.endswith('decode_head.conv_seg.weight. Test again.')
    record(tmp_path / 'nan', name, float('nan'), seed=3, key='mIoU')
    assert 'which is no figure' in command(tmp_path / 'nan')[1]


def test_of_two_checkpoints_with_one_seed_the_older_one_is_named(tmp_path, command):
    older, newer = (record(tmp_path / name, 'geonrw_rgb_r50_frozen', value, key='mIoU', time=time) for name, value, time in (
        ('a', 10., '2026-01-01T00:00:00Z'), ('b', 20., '2026-01-02T00:00:00Z')))
    assert '| 20.0 | 0 |' in command(tmp_path)[0] and 'left out' not in str(command(tmp_path)[1])  # tested twice
    older.write_text(older.read_text().replace('x.pth', 'y.pth'))
    out, err = command(tmp_path, tmp_path / 'a')  # a folder within another is read once
    assert '| 20.0 | 0 |' in out and err.count('left out') == 1
    assert f'{older} is left out: {newer}, of another checkpoint, is a newer test of the same config' in err


def test_checkpoints_without_a_seed_are_runs_of_their_own(tmp_path, command):
    for number, value in enumerate((10., 20.)):
        path = record(tmp_path / str(number), 'geonrw_rgb_r50_frozen', value, seed=None, key='mIoU')
        path.write_text(path.read_text().replace('x.pth', f'{number}.pth'))
    assert '| 15.0 ± 7.1 | ?, ? |' in command(tmp_path)[0]

import json

import pytest
from explain_config import tiny
from helpers import ROOT, run_tool

from decur.errors import ConfigError, DataError
from decur.evaluation import study

DOC = '# Results\n' + ''.join(f'<!-- {group}: {table} -->\nold\n<!-- /{group}: {table} -->\n' for group in ('objectives', 'share')
                              for table in ('blocks', 'factors', 'probes', 'geometry')) + '<!-- runs -->\n<!-- /runs -->\nWords.\n'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('study')
    tiny(root / 'decur.py', extra='model.update(head=dict(common_dim=8))')
    tiny(root / 'decur0.py', extra='model.update(head=dict(common_dim=0))')
    tiny(root / 'clip.py', 'clip_shapes.py')
    (root / 'study.py').write_text('''
seeds = (0, 1)
runs = [dict(config='decur.py', label='DeCUR', groups=('objectives', 'share'), labels=dict(share='50 %')),
        dict(config='clip.py', label='CLIP', groups=('objectives', )),
        dict(config='decur.py', label='random', groups=('objectives', ), train=False),
        dict(config='decur0.py', label='0 %', groups=('share', ))]
''')
    (root / 'doc.md').write_text(DOC)
    return root


def command(root, *more):
    return ['tools/study.py', '--study', root / 'study.py', '--work-dir', root / 'work', '--doc', root / 'doc.md', '--figures',
            root / 'images', *more]


@pytest.mark.slow
def test_the_command_fills_the_document_and_resumes(folder):
    run_tool(*command(folder))
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
    assert 'Missing: seed1 of clip.' in (folder / 'doc.md').read_text()
    again = run_tool(*command(folder, '--jobs', '1'))
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


def scores():
    """Two modalities, shape shared, a colour each, texture of a only; scores by hand."""
    factors = dict(shape=dict(kind='categorical', modalities=['a', 'b'], role='shared'),
                   colour_a=dict(kind='categorical', modalities=['a'], role='private'),
                   colour_b=dict(kind='categorical', modalities=['b'], role='private'),
                   texture_a=dict(kind='categorical', modalities=['a'], role='private'))
    table = {('a', 'common'): (0.8, 0.1, 0.0, 0.06), ('b', 'common'): (0.6, -0.01, 0.2, 0.01),
             ('a', 'unique'): (0.02, 0.3, 0.0, 0.3), ('b', 'unique'): (0.04, 0.0, 0.4, 0.0)}
    explained = [dict(modality=m, block=b, factor=f, score=s) for (m, b), values in table.items() for f, s in zip(factors, values)]
    probes = [dict(modality='a', representation='encoder', factor='shape', score=0.9),
              dict(modality='b', representation='encoder', factor='shape', score=0.7),
              dict(modality='a', representation='encoder', factor='colour_a', score=0.5)]
    return dict(factors=factors, explained=explained, probes=probes, alignment=[], cka=[], rank=[])


def test_shares_add_up_over_factors_and_average_over_modalities():
    shares = study.block_shares(scores())
    assert shares['common', 'shared'] == pytest.approx((0.8 + 0.6) / 2)
    assert shares['common', 'private'] == pytest.approx((0.16 + 0.2) / 2)
    assert shares['unique', 'private'] == pytest.approx((0.6 + 0.4) / 2)
    assert abs(shares['common', 'foreign']) < 0.01
    assert study.factor_shares(scores())['unique', 'colour', 'private'] == pytest.approx(0.35)
    assert study.probe_scores(scores())['shape'] == pytest.approx(0.8)
    numbers = study.measures(scores())
    assert numbers['common: shared / private'] == pytest.approx(0.7 / 0.18)
    assert numbers['unique: private / shared'] == pytest.approx(0.5 / 0.03)
    assert study.ratio(0.5, -0.001) == pytest.approx(0.5 / 0.005)  # chance does not make a ratio infinite


def test_interactions_with_a_private_factor_are_private():
    run = scores()
    run['interactions'] = [dict(modality='a', block='unique', factors=['shape', 'colour_a'], score=0.2),
                           dict(modality='a', block='unique', factors=['colour_a', 'texture_a'], score=0.1),
                           dict(modality='b', block='unique', factors=['shape', 'colour_b'], score=0.1)]
    shares = study.block_shares(run)
    assert shares['unique', 'private, joint'] == pytest.approx(0.2)
    assert ('unique', 'shared, joint') not in shares
    assert study.measures(run)['unique: private / shared, joint'] == pytest.approx((0.5 + 0.2) / 0.03)


def test_tables():
    rows = {'one': {'common: shared': study.t_interval([0.7, 0.72, 0.74])}, 'two': {'unique: shared': study.t_interval([0.1])}}
    table = study.markdown_table(rows, {'common: shared': 'C', 'unique: shared': 'U', 'all: shared': 'A'}, 'run')
    assert table.splitlines() == ['| run | C | U |', '|---|---:|---:|', '| one | 0.72 ± 0.05 |  |', '| two |  | 0.10 |']
    with pytest.raises(ConfigError, match='no place'):
        study.replace_between('text', 'a', 'b')


def test_a_data_set_without_factors():
    class Plain:
        metainfo = {}

    with pytest.raises(DataError, match='no known factors'):
        study.score_model(None, Plain(), 4)

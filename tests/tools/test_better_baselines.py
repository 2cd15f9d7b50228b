"""The experiments that CoMM and DisentangledSSL were published with: their data, a short training, the tables."""
import numpy as np
import pytest
import torch
from better_study import simulation, trifeature
from better_study.baselines import read_records, tables
from helpers import ROOT, run_tool

from decur.errors import DataError
from decur.synthetic.factors import ATTRIBUTES

CONFIG = ROOT / 'configs' / 'decoupling' / 'shapes_optical-radar_small-resnet_decur.py'


def test_labels_of_the_simulation_are_those_of_their_factors():
    x, labels = simulation.simulate(4000, 0)
    assert {name: tuple(v.shape) for name, v in x.items()} == dict(first=(4000, 100), second=(4000, 100))
    assert all(abs(values.mean() - .5) < 1e-3 for values in labels.values())

    def r2(inputs, label):
        """Of a linear fit, above chance."""
        inputs, label = np.column_stack([inputs, np.ones(len(label))]), label - label.mean()
        left = label - inputs @ np.linalg.lstsq(inputs, label, rcond=None)[0]
        return 1 - (left @ left) / (label @ label) - inputs.shape[1] / len(label)

    found = {(name, label): r2(x[name].numpy(), values) for name in x for label, values in labels.items()}
    assert min(found[name, label] for name in x for label in ('shared', name)) > .2, found
    assert max(abs(found['first', 'second']), abs(found['second', 'first'])) < .03, found


def test_a_third_of_the_vectors_is_noisy_a_third_lacks_a_tenth_a_third_is_as_it_was():
    torch.manual_seed(0)
    x = torch.ones(3000, 100)
    made = simulation.augmented(x)
    zeros = (made == 0).sum(1)
    assert set(zeros.tolist()) == {0, 10}
    same = (made == x).all(1)
    for share in ((zeros == 10), same, ~same & (zeros == 0)):
        assert abs(float(share.float().mean()) - 1 / 3) < .04
    assert float(made[~same & (zeros == 0)].std()) == pytest.approx(.01, rel=.05)


def test_a_drawn_direction_is_near_and_unique_dimensions_stay():
    torch.manual_seed(0)
    z = torch.randn(2000, 200) * 5
    made = simulation.drawn(z)
    cosine = torch.nn.functional.cosine_similarity(made[:, :100], z[:, :100])
    # The mean resultant length of the distribution in 100 dimensions: I_50(1000) / I_49(1000).
    from scipy.special import ive
    assert float(cosine.mean()) == pytest.approx(ive(50, 1000) / ive(49, 1000), abs=.005)
    assert torch.equal(made[:, 100:], z[:, 100:]) and made[:, :100].norm(dim=1).sub(1).abs().max() < 1e-5


def test_common_dimensions_learn_what_is_shared_and_unique_ones_their_own():
    found = simulation.run(.1, 1., False, seed=0, steps=80, num=4000, width=64)
    assert found['common: shared'] > found['common: first'] + 3 and found['common: shared'] > 62, found
    assert found['unique first: first'] > found['unique first: second'] + 4, found
    assert abs(found['unique first: second'] - 50) < 4 and abs(found['unique second: first'] - 50) < 4, found


def test_pairs_are_coupled_as_often_as_is_asked():
    whole, labels = trifeature.pairs(600, 0, coupled=1.)
    assert labels['together'].all() and whole['first'].shape == (600, 3, 24, 24)
    half = trifeature.pairs(2000, 0, coupled=.5)[1]['together']
    assert abs(half.mean() - .5) < .05
    # The colour of the second picture is a function of the texture of the first where they are coupled, and never that one elsewhere.
    from decur.synthetic.factors import RenderedWorld
    rendered = []
    original = RenderedWorld.render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RenderedWorld, 'render', lambda self, values: rendered.append(values) or original(self, values))
        together = trifeature.pairs(2000, 3, coupled=.5)[1]['together'].astype(bool)
    values, count = rendered[0], ATTRIBUTES['colour'][1]
    texture, colour = values['texture_first'], values['colour_second']
    pairs = {(int(a), int(b)) for a, b in zip(texture[together], colour[together])}
    assert len(pairs) == count == len({b for _, b in pairs})
    assert not pairs & {(int(a), int(b)) for a, b in zip(texture[~together], colour[~together])}


def test_pictures_are_moved_whole():
    torch.manual_seed(0)
    x = torch.arange(24.).view(1, 1, 24, 1).expand(200, 2, 24, 24) * 10
    made = trifeature.augmented(x)
    # Rows of the middle: the shift of each picture is one of five, and the same in both channels.
    shift = ((made - x)[:, :, 8:16].mean((2, 3)) / 10).round()
    assert set(shift.flatten().tolist()) == {-2, -1, 0, 1, 2} and torch.equal(shift[:, 0], shift[:, 1])


@pytest.mark.slow
def test_what_only_both_pictures_tell_is_in_the_class_token_alone():
    found = trifeature.run('comm', 0, 250, CONFIG, num=4096, num_probe=3000)
    assert found['together: together'] > 70 and found['encoders: together'] < 60, found
    assert found['encoders: shared'] > 90, found


def test_the_page_has_the_tables_of_its_records():
    text = (ROOT / 'docs' / 'better.md').read_text(encoding='utf-8')
    for name, table in tables(read_records(ROOT / 'docs' / 'better_baselines.csv')).items():
        shown = text.split(f'<!-- {name} -->')[1].split('<!-- /')[0]
        assert shown.strip() == table.strip(), f'{name}: tools/better_baselines.py --report-only'


def test_records_of_another_table(tmp_path):
    (tmp_path / 'other.csv').write_text('task,seed\na,0\n')
    with pytest.raises(DataError, match='other.csv is no table of this tool'):
        read_records(tmp_path / 'other.csv')


@pytest.mark.slow
def test_the_command_and_what_is_done_is_not_done_again(tmp_path):
    (tmp_path / 'doc.md').write_text(''.join(f'<!-- {name} -->\n<!-- /{name} -->\n' for name in ('simulation', 'trifeature')))
    command = ['tools/better_baselines.py', '--seeds', 0, '--steps', 1, '--records', tmp_path / 'r.csv', '--doc', tmp_path / 'doc.md']
    run_tool(*command)
    rows = read_records(tmp_path / 'r.csv')
    assert len({(row['experiment'], row['setting']) for row in rows}) == 15
    text = (tmp_path / 'doc.md').read_text()
    again = run_tool(*command)
    assert '[1/15]' not in again.stdout and read_records(tmp_path / 'r.csv') == rows and (tmp_path / 'doc.md').read_text() == text

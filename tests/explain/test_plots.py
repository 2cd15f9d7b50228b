import numpy as np
import pytest

from decur.errors import DataError
from decur.explain import plots
from decur.explain.files import load_npz, save_csv, save_figure, save_npz
from decur.explain.report import Section, write_report


def test_alignment_bars_are_the_counts_stacked():
    edges = np.linspace(0, 1, 5)
    counts = dict(common=np.array([[3, 0, 0, 1]] * 5), unique=np.array([[0, 0, 2, 4]] * 5))
    fig = plots.plot_alignment(edges, counts, [f'batch {i}' for i in range(5)])
    assert len(fig.axes) == 8 and not fig.axes[7].axison
    patches = fig.axes[0].patches
    assert [p.get_height() for p in patches] == [3, 0, 0, 1, 0, 0, 2, 4]
    assert patches[7].get_y() == 1  # unique on top of common
    assert patches[0].get_facecolor() != patches[4].get_facecolor()


def test_tsne_shows_every_point_twice():
    rng = np.random.default_rng(0)
    modality, block = np.repeat(['a', 'b', 'c'], 4), np.tile(['common', 'unique'], 6)
    fig = plots.plot_tsne(rng.normal(size=(12, 2)), modality, block)
    for axis in fig.axes:
        assert sum(len(c.get_offsets()) for c in axis.collections if len(c.get_offsets())) >= 12
    assert [t.get_text() for t in fig.axes[1].get_legend().get_texts()] == ['a', 'b', 'c', 'common', 'unique']


def test_overlays_have_a_column_per_modality_and_block():
    pictures = dict(a=np.zeros((2, 8, 8, 3), np.uint8), b=np.zeros((2, 6, 6, 3), np.uint8))
    maps = {m: {b: np.ones((2, 8, 8)) for b in ('common', 'unique')} for m in 'ab'}
    fig = plots.plot_overlays(pictures, maps)
    assert len(fig.axes) == 2 * 6 + 1  # and what the colours mean
    assert [len(axis.images) for axis in fig.axes[:6]] == [1, 2, 2, 1, 2, 2]
    assert fig.axes[1].images[1].get_clim() == (0, 1)
    signed = plots.plot_overlays(pictures, maps, signed=True)
    assert signed.axes[1].images[1].get_clim() == (-1, 1)  # so that what lowers the mean is not drawn as what is not looked at
    assert [t.get_text() for t in signed.axes[-1].get_xticklabels()] == ['lowers the mean', '0', 'raises the mean']


def test_bars_and_errors_are_the_numbers():
    bands = {f'B{i}': (i * 1.0, i - 0.5, i + 0.25) for i in range(1, 4)}
    fig = plots.plot_bands(dict(sar=dict(common=bands, unique=bands)), 'importance')
    axis = fig.axes[0]
    assert sorted(p.get_height() for p in axis.patches) == [1, 1, 2, 2, 3, 3]
    assert [t.get_text() for t in axis.get_xticklabels()] == ['B1', 'B2', 'B3']
    values = {'a – b': dict(common=np.linspace(0, 1, 9), unique=np.zeros(9))}
    fig = plots.plot_agreement(values, {'a – b': dict(common=(0.5, 0.4, 0.6), unique=(0., 0., 0.))})
    assert [t.get_text() for t in fig.axes[0].get_xticklabels()] == ['common', 'unique']
    fig = plots.plot_agreement(values, {'a – b': dict(common=(0.5, 0.4, 0.6), unique=(0., 0., 0.))}, others={
        'a – b': dict(common=0.25, unique=0.5)})
    lines = [line.get_segments()[0] for line in fig.axes[0].collections if line.get_linestyle()[0][1] is not None]
    assert [line[0, 1] for line in lines if np.ptp(line[:, 1]) == 0] == [0.25, 0.5]
    assert 'different samples' in [t.get_text() for t in fig.legends[0].get_texts()]


def test_files_and_page(tmp_path):
    save_npz(tmp_path / 'a.npz', **{'x/y': np.arange(3), 'names': ['p', 'q']})
    loaded = load_npz(tmp_path / 'a.npz')
    assert loaded['x/y'].tolist() == [0, 1, 2] and loaded['names'].tolist() == ['p', 'q']
    save_csv(tmp_path / 'a.csv', ('a', 'b'), [('x', np.float64(1 / 3)), ('y', 2)])
    assert (tmp_path / 'a.csv').read_text() == 'a,b\nx,0.333333\ny,2\n'
    save_figure(tmp_path / 'a.png', plots.figure()[0])
    assert (tmp_path / 'a.png').read_bytes()[:4] == b'\x89PNG'
    write_report(tmp_path / 'index.html', 'T', dict(config='<b>'), [Section('S', 'how & why', ['a.png'], ['a.csv'], [('h', ), (1, )])])
    page = (tmp_path / 'index.html').read_text()
    assert '&lt;b&gt;' in page and '<b>' not in page and 'how &amp; why' in page and 'src="a.png"' in page and '<th>h</th>' in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.csv', 'a.npz', 'a.png', 'index.html']  # no temporary files


def test_a_damaged_file_is_named(tmp_path):
    save_npz(tmp_path / 'a.npz', x=np.arange(100))
    (tmp_path / 'a.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:200])
    with pytest.raises(DataError, match='a.npz cannot be read'):
        load_npz(tmp_path / 'a.npz')

"""Tables and page from the files that batches left, with numbers set by hand."""
import csv

import numpy as np
import pytest

from decur.evaluation.intervals import bootstrap_interval
from decur.explain.files import save_npz
from decur.explain.folder import Folder, Options
from decur.explain.summary import Summary

ENTRIES = dict(sar=dict(channels=2, bands=('VV', 'VH')), optical=dict(channels=1))
STATISTICS = dict(agreement=(0.2, 0.3, 0.4, 0.5), others=(0.1, 0.1, 0.2, 0.2), correlation=(-0.5, 0.5, 0.25, 0.75))
MAGNITUDE = np.array([[1., 10], [2, 20], [3, 30], [4, 60]])


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture
def written(tmp_path):
    """Two batches of two samples; the folder, and its page."""
    options = Options(num_samples=4, batch_size=4, bins=2, analyses=('alignment', 'spatial', 'spectral'))
    folder = Folder(tmp_path, {}, 2)
    for batch in range(2):
        part = slice(2 * batch, 2 * batch + 2)
        ids = np.array(['p', 'q', 'r', 's'])[part]
        save_npz(folder.part('embeddings', batch), ids=ids, **{
            'counts/sar/optical/common': [5 + batch, 1], 'outside/sar/optical/common': batch,
            'loss/sar/optical/common': 0.25 + 0.5 * batch})
        save_npz(folder.part('saliency', batch), ids=ids, **{
            f'{name}/sar/optical/common': np.array(values)[part] for name, values in STATISTICS.items()}, **{
            'magnitude/sar/common': MAGNITUDE[part], 'signed/sar/common': -MAGNITUDE[part], 'delta/sar/common': np.full(2, 0.1),
            'change/sar/common': np.full(2, 0.4)})
    page = Summary(folder, options, ENTRIES, dict(config='c.py'), 5).write()
    return tmp_path, page.read_text()


def test_alignment_is_counted_by_batch(written):
    out, page = written
    assert [(r['batch'], r['from'], r['to'], r['dimensions']) for r in rows(out / 'alignment.csv')] == [
        ('0', '0', '0.5', '5'), ('0', '0.5', '1', '1'), ('1', '0', '0.5', '6'), ('1', '0.5', '1', '1')]
    assert '<td>sar – optical</td><td>common</td><td>0.500</td>' in page  # mean of the batches
    assert '<td>0.5</td></tr>' in page  # dimensions above 1, mean of the batches


def test_agreement_by_sample_and_its_means(written):
    out, page = written
    table = rows(out / 'spatial_agreement.csv')
    assert [r['sample'] for r in table] == ['p', 'q', 'r', 's']
    assert list(table[0]) == ['sample', 'sar/optical/common', 'sar/optical/common/others', 'sar/optical/common/correlation']
    for heading, values in zip(list(table[0])[1:], STATISTICS.values()):
        assert [float(r[heading]) for r in table] == pytest.approx(values)
    cells = [bootstrap_interval(values) for values in (STATISTICS['agreement'], STATISTICS['others'], [0.1, 0.2, 0.2, 0.3],
                                                       STATISTICS['correlation'])]
    assert ''.join(f'<td>{c.mean:.3f} ({c.low:.3f} to {c.high:.3f})</td>' for c in cells) in page


def test_bands_with_their_intervals(written):
    out, page = written
    found = {(r['measure'], r['band']): [float(r[key]) for key in ('mean', 'low', 'high')] for r in rows(out / 'spectral.csv')}
    assert list(found) == [('magnitude', 'VV'), ('magnitude', 'VH'), ('signed', 'VV'), ('signed', 'VH')]
    assert found['magnitude', 'VV'] == pytest.approx(bootstrap_interval(MAGNITUDE[:, 0]), rel=1e-5)
    assert found['signed', 'VH'] == pytest.approx(bootstrap_interval(-MAGNITUDE[:, 1]), rel=1e-5)
    assert 'by 25.0 % on average' in page  # 0.1 of 0.4


def test_the_page_says_what_was_explained(written):
    _, page = written
    assert '<li>config: <code>c.py</code></li>' in page and '<li>modalities: <code>sar, optical</code></li>' in page
    assert '<li>samples: <code>4 of 5, the others lack a modality</code></li>' in page

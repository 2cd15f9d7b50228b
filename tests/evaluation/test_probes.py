"""Nearest-neighbour figures of multi-label sets."""
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from sklearn.neighbors import KNeighborsRegressor

from decur.errors import ConfigError, DataError
from decur.evaluation import ProbeHook
from decur.evaluation.probes import knn_multilabel, knn_scores


def labelled(n, seed, lacking=()):
    """Features of two modalities that tell about four labels, the first one better."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n, 4)) < 0.4
    targets[:4] |= np.eye(4, dtype=bool)
    present = torch.ones(n, dtype=torch.bool)
    present[list(lacking)] = False
    features = {name: torch.tensor(targets @ np.random.default_rng(9).normal(size=(4, width)) + rng.normal(size=(n, width)) * noise,
                                   dtype=torch.float32) for name, width, noise in (('sar', 6, .5), ('optical', 9, 2.))}
    return dict(features=features, present=dict(sar=torch.ones(n, dtype=torch.bool), optical=present),
                targets=torch.tensor(targets, dtype=torch.float32), multilabel=True)


def scikit_votes(xa, ya, xb, k):
    """The weighted votes of scikit-learn's neighbours of unit vectors, of which the cosine is 1 - d^2 / 2 at a distance d."""
    regressor = KNeighborsRegressor(k, weights=lambda d: np.exp((1 - d**2 / 2) / .1))
    return regressor.fit(xa.double(), ya).predict(xb.double())


def test_votes_are_those_of_scikit_learn():
    train, test = labelled(80, 0), labelled(50, 1)
    xa, xb = (torch.nn.functional.normalize(part['features']['sar'], dim=1) for part in (train, test))
    votes = knn_scores(3 * xa, train['targets'], xb / 2, k=7, temperature=.1)
    np.testing.assert_allclose(votes.numpy(), scikit_votes(xa, train['targets'], xb, 7), atol=1e-5)


def test_figures_are_those_of_scikit_learn():
    train, test = labelled(80, 0), labelled(50, 1, lacking=(3, 7))
    # All are neighbours, so that every class has votes of every sample: where several have none, the order among them is nobody's.
    results = knn_multilabel(train, test, k=80, temperature=.1)
    assert list(results) == ['sar+optical', 'sar', 'optical']
    for key, names, keep in (('sar+optical', ('sar', 'optical'), test['present']['optical']), ('sar', ('sar', ), test['present']['sar']),
                             ('optical', ('optical', ), test['present']['optical'])):
        xa, xb = (torch.cat([part['features'][name] for name in names], 1) for part in (train, test))
        xa, xb = xa / xa.norm(dim=1, keepdim=True), (xb / xb.norm(dim=1, keepdim=True))[keep]
        votes, labels = scikit_votes(xa, train['targets'], xb, 80), test['targets'][keep].numpy() > 0
        expected = dict(mAP_micro=average_precision_score(labels, votes, average='micro'),
                        mAP_macro=average_precision_score(labels, votes, average='macro'),
                        F1_micro=f1_score(labels, votes >= .5, average='micro'))
        assert {name: results[key][f'multi-label/{name}'] for name in expected} == pytest.approx(
            {name: 100 * value for name, value in expected.items()}, abs=1e-3)
    assert results['sar']['multi-label/mAP_micro'] > results['optical']['multi-label/mAP_micro'] + 5


@pytest.mark.parametrize('which, index', [('training', 5), ('test', 7)])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_features_that_are_not_finite_are_named(which, index, value):
    parts = dict(training=labelled(20, 0), test=labelled(20, 1))
    parts[which]['features']['optical'][index, 2] = value
    for ids, named in ((None, f'number {index}'), ([f'scene_{i}' for i in range(20)], f'scene_{index}')):
        if ids:
            parts[which]['sample_ids'] = ids
        with pytest.raises(DataError, match=f"'optical' are not finite .* for 1 of 20 {which} samples: {named}. Look"):
            knn_multilabel(parts['training'], parts['test'])
    parts[which]['present']['optical'][index] = False  # nobody looks at what is not there
    assert knn_multilabel(parts['training'], parts['test'])


def test_settings_without_a_meaning_are_refused():
    part = labelled(9, 0)
    for settings in (dict(k=0), dict(temperature=0.), dict(temperature=float('nan'))):
        with pytest.raises(ConfigError, match='k of at least 1 and a temperature above 0'):
            knn_multilabel(part, part, **settings)


def test_the_hook_refuses_them_before_the_training():
    for settings in (dict(k=0), dict(temperature=-1.), dict(interval=0), dict(max_iter=0), dict(l2=float('nan'))):
        with pytest.raises(ConfigError, match='|'.join(settings)):
            ProbeHook({}, {}, **settings)
    ProbeHook({}, {}, methods=('linear', ), k=0)  # nobody asks for neighbours


def test_single_classes_are_refused():
    with pytest.raises(DataError, match='one class a sample'):
        knn_multilabel(dict(labelled(9, 0), multilabel=False), labelled(9, 1))

"""Nearest-neighbour figures of multi-label sets."""
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from sklearn.neighbors import KNeighborsRegressor

from decur.errors import DataError
from decur.evaluation.probes import knn_multilabel


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


def test_figures_are_those_of_scikit_learn():
    train, test = labelled(80, 0), labelled(50, 1, lacking=(3, 7))
    results = knn_multilabel(train, test, k=7, temperature=1e6)  # every neighbour counts the same, as in scikit-learn's
    assert list(results) == ['sar+optical', 'sar', 'optical']
    for key, names, keep in (('sar+optical', ('sar', 'optical'), test['present']['optical']), ('sar', ('sar', ), test['present']['sar']),
                             ('optical', ('optical', ), test['present']['optical'])):
        xa, xb = (torch.cat([part['features'][name] for name in names], 1) for part in (train, test))
        xa, xb = xa / xa.norm(dim=1, keepdim=True), (xb / xb.norm(dim=1, keepdim=True))[keep]
        votes = KNeighborsRegressor(7).fit(xa, train['targets']).predict(xb)
        # Sums of floats in another order must not make ties of the ranking into an order.
        votes, labels = votes.round(4).astype(np.float32), test['targets'][keep].numpy() > 0
        assert results[key]['multi-label/mAP_micro'] == pytest.approx(100 * average_precision_score(labels, votes, average='micro'), abs=.5)
        assert results[key]['multi-label/mAP_macro'] == pytest.approx(100 * average_precision_score(labels, votes, average='macro'), abs=.5)
        assert results[key]['multi-label/F1_micro'] == pytest.approx(100 * f1_score(labels, votes >= .5, average='micro'), abs=1e-4)
    assert results['sar']['multi-label/mAP_micro'] > results['optical']['multi-label/mAP_micro'] + 5


def test_single_classes_are_refused():
    with pytest.raises(DataError, match='one class a sample'):
        knn_multilabel(dict(labelled(9, 0), multilabel=False), labelled(9, 1))

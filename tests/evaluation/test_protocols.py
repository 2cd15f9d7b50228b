"""GEO-Bench's protocol against scikit-learn, and with few labels."""
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from decur.errors import ConfigError, DataError
from decur.evaluation.protocols import few_rows, geobench, nearest_scores, searched_linear


def labelled(count, seed, classes=3, noise=1.0, multilabel=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = np.random.default_rng(9).normal(size=(classes, 6))
    targets = torch.eye(classes)[labels]
    features = {name: torch.from_numpy(centres[labels] + spread * rng.normal(size=(count, 6))).float()
                for name, spread in (('sar', 3 * noise), ('optical', noise))}
    return dict(features=features, targets=targets, multilabel=multilabel, sample_ids=[str(i) for i in range(count)],
                present={name: torch.ones(count, dtype=torch.bool) for name in features})


def test_neighbours_are_those_of_scikit_learn():
    train, test = labelled(60, 0), labelled(40, 1)
    x, y, queries = train['features']['optical'], train['targets'], test['features']['optical']
    want = KNeighborsClassifier(5).fit(x.numpy(), y.argmax(1).numpy()).predict_proba(queries.numpy())
    found = nearest_scores(x, y, queries, 5)
    np.testing.assert_allclose(found.numpy(), want, atol=1e-5)
    assert (found.sum(1) - 1).abs().max() < 1e-6
    tie = nearest_scores(torch.tensor([[0.], [1.]]), torch.eye(2), torch.tensor([[.4]]), 2)
    assert tie.argmax() == 0
    with pytest.raises(ConfigError, match='k of at least 1'):
        nearest_scores(x, y, queries, 0)


def test_the_regularisation_is_chosen_on_the_validation_set():
    """Pure noise in the training set: the strongest regularisation; clean data: a weaker one."""
    train, val = labelled(40, 0, noise=.3), labelled(40, 1, noise=.3)
    pairs = [(part['features']['optical'], part['targets']) for part in (train, val)]
    logits, best = searched_linear(*pairs, labelled(30, 2, noise=.3)['features']['optical'], False, (-6, 4, 6))
    assert logits.shape == (30, 3) and 1e-6 <= best <= 1e4
    accuracy = (logits.argmax(1) == labelled(30, 2, noise=.3)['targets'].argmax(1)).float().mean()
    assert accuracy > .95


def test_all_modalities_and_each_alone():
    results = geobench(labelled(80, 0), labelled(40, 1), labelled(60, 2), c_range=(-4, 2, 4))
    assert list(results) == ['sar+optical', 'sar', 'optical']
    assert results['optical']['linear'] > results['sar']['linear'] > 100 / 3
    assert all(row['knn_std'] == 0 and np.isfinite(row['C']) for row in results.values())


def test_few_labels():
    targets = torch.eye(3)[torch.tensor([0, 0, 1, 1, 1, 2, 2])]
    rows = few_rows(targets, 2, 0)
    assert targets[rows].sum(0).tolist() == [2, 2, 2]
    assert few_rows(targets, 2, 1).tolist() != rows.tolist() or few_rows(targets, 2, 2).tolist() != rows.tolist()
    with pytest.raises(DataError, match='class 0 has 2 training samples: 3 shots'):
        few_rows(targets, 3, 0)
    few, many = (geobench(labelled(90, 0), labelled(40, 1), labelled(80, 2), shots=shots, seeds=(0, 1, 2)) for shots in (1, 10))
    assert many['optical']['linear'] > few['optical']['linear'] and few['optical']['linear_std'] > 0


def test_sets_of_two_kinds_are_refused():
    with pytest.raises(DataError, match='the probe needs one kind'):
        geobench(labelled(9, 0), labelled(9, 1, multilabel=True), labelled(9, 2))

"""GEO-Bench's protocol against scikit-learn, and with few labels."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import DataLoader

from decur.errors import ConfigError, DataError
from decur.evaluation.probes import labelled_features, score
from decur.evaluation.protocols import few_rows, geobench, nearest_scores, searched_linear


def labelled(count, seed, classes=3, noise=1.0, multilabel=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = np.random.default_rng(9).normal(size=(classes, 6))
    targets = torch.eye(classes)[labels]
    if multilabel:
        targets = torch.maximum(targets, torch.from_numpy(rng.random((count, classes)) < .2).float())
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
    tie = nearest_scores(torch.tensor([[0.], [1.]]), torch.eye(2), torch.tensor([[.9]]), 2)
    assert tie.argmax() == 0  # of equal shares the first class, as scikit-learn and FAISS
    for k in (0, 61):
        with pytest.raises(ConfigError, match=f'need k from 1 to the number of training samples, 60; got {k}. Set -k.'):
            nearest_scores(x, y, queries, k)


@pytest.mark.parametrize('multilabel', [False, True])
@pytest.mark.parametrize('c', [1e-2, 1., 100.])
def test_the_linear_probe_is_that_of_scikit_learn(multilabel, c):
    """With one value of C, so that it is known which; a classifier for every label where there are several."""
    train, val, test = (labelled(count, i, multilabel=multilabel) for i, count in enumerate((60, 20, 40)))
    (xa, ya), (xv, yv), (xb, _) = ((part['features']['sar'], part['targets']) for part in (train, val, test))
    logits, best = searched_linear((xa, ya), (xv, yv), xb, multilabel, (np.log10(c), np.log10(c), 1))
    x, y = torch.cat([xa, xv]).numpy(), torch.cat([ya, yv]).numpy()
    settings = dict(C=c, tol=1e-8, max_iter=5000)
    if multilabel:
        want = np.stack([LogisticRegression(**settings).fit(x, one).decision_function(xb.numpy()) for one in y.T], 1)
    else:
        want = LogisticRegression(**settings).fit(x, y.argmax(1)).decision_function(xb.numpy())
        logits = logits - logits.mean(1, keepdim=True)  # the softmax does not see what is common to all classes
        want = want - want.mean(1, keepdims=True)
    assert best == pytest.approx(c)
    np.testing.assert_allclose(logits.numpy(), want, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize('multilabel', [False, True])
def test_figures_are_those_of_scikit_learn(multilabel):
    """The whole protocol, and the search over C, written with scikit-learn."""
    train, val, test = (labelled(count, i, classes=4, noise=2., multilabel=multilabel) for i, count in enumerate((60, 30, 80)))
    x, xv, xb = (part['features']['optical'].numpy() for part in (train, val, test))
    y, yv, yb = ((part['targets'] if multilabel else part['targets'].argmax(1)).numpy() for part in (train, val, test))

    def scores(fit_on, targets, queries, c):
        one = (lambda t: LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(fit_on, t))  # noqa: E731
        return np.stack([one(t).decision_function(queries) for t in targets.T], 1) if multilabel else one(targets).predict(queries)

    def figure(truth, found):
        return 100 * (average_precision_score(truth, found, average='micro') if multilabel else accuracy_score(truth, found))

    values = np.logspace(-4, 2, 4)
    best = max(values, key=lambda c: (round(figure(yv, scores(x, y, xv, c)), 6), -c))
    want = figure(yb, scores(np.concatenate([x, xv]), np.concatenate([y, yv]), xb, best))
    neighbours = KNeighborsClassifier(5).fit(x, y)
    near = np.stack([p[:, 1] for p in neighbours.predict_proba(xb)], 1) if multilabel else neighbours.predict(xb)
    found = geobench(train, val, test, c_range=(-4, 2, 4))['optical']
    assert found['C'] == pytest.approx(best)
    assert found['knn'] == pytest.approx(figure(yb, near), abs=1e-3)
    assert found['linear'] == pytest.approx(want, abs=.3)  # of float32, and where the last steps of L-BFGS end


def test_a_class_that_no_sample_has_is_no_failure():
    targets, scores = torch.tensor([[1., 0, 0], [0, 1, 0]]), torch.tensor([[.9, .1, .2], [.2, .8, .3]])
    assert score(scores, targets, multilabel=True) == pytest.approx(100)
    with pytest.raises(DataError, match='none of the 2 samples has a label'):
        score(scores, targets * 0, multilabel=True)


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
    few, many = (geobench(labelled(90, 0), labelled(40, 1), labelled(80, 2), k=3, shots=shots, seeds=(0, 1, 2)) for shots in (1, 10))
    assert many['optical']['linear'] > few['optical']['linear'] and few['optical']['linear_std'] > 0


def test_sets_of_two_kinds_are_refused():
    with pytest.raises(DataError, match='the probe needs one kind'):
        geobench(labelled(9, 0), labelled(9, 1, multilabel=True), labelled(9, 2))


def change(part, **values):
    return dict(part, **values)


def spoilt(part):
    features = {name: x.clone() for name, x in part['features'].items()}
    features['sar'][3, 2] = float('nan')
    return dict(part, features=features)


@pytest.mark.parametrize('sets, settings, error, message', [
    (lambda a, b, c: (a, b, spoilt(c)), {}, DataError, "'sar' are not finite .* for 1 of 9 test samples: 3. Look"),
    (lambda a, b, c: (a, spoilt(b), c), {}, DataError, "'sar' are not finite .* for 1 of 9 validation samples: 3. Look"),
    (lambda a, b, c: (change(a, targets=torch.eye(3)[[1] * 9]), b, c), {}, DataError,
     'all 9 training samples are of class 1: a probe needs two classes or more'),
    (lambda a, b, c: (a, b, c), dict(k=10), ConfigError, 'k from 1 to the number of training samples, 9; got 10. Set -k.'),
    (lambda a, b, c: (a, b, c), dict(shots=1), ConfigError, 'k from 1 to the number of training samples, 3; got 5. Set -k.'),
])
def test_sets_without_a_figure_are_refused(sets, settings, error, message):
    with pytest.raises(error, match=message) as raised:
        geobench(*sets(*(labelled(9, i) for i in (3, 4, 5))), **settings)
    assert '\n' not in str(raised.value)


def test_labels_of_other_lengths_are_refused():
    sets = [labelled(9, i, multilabel=True, classes=classes) for i, classes in enumerate((3, 3, 4))]
    with pytest.raises(DataError, match="differ in the number of their labels: {'training': 3, 'validation': 3, 'test': 4}"):
        geobench(*sets)


@pytest.mark.parametrize('labels, num_classes, message', [
    ([0, 3], 3, "sample 'b' has the label 3; classes are counted from 0 to 2"),
    ([0, -1], None, "sample 'b' has the label -1; classes are counted from 0:"),
    ([[1, 0, 0], [1, 0]], None, r"sample 'b' has 2 labels \(gt_score\), expected 3"),
    ([[1, 0], [1, 0]], 3, r"sample 'a' has 2 labels \(gt_score\), expected 3"),
    ([0, [1, 0]], None, 'samples with one class and samples with several labels'),
])
def test_labels_that_are_no_classes_are_named(labels, num_classes, message):
    samples = [DataSample().set_gt_score(torch.tensor(y).float()) if isinstance(y, list) else DataSample(gt_label=torch.tensor([y]))
               for y in labels]
    for name, one in zip('ab', samples):
        one.set_metainfo(dict(sample_id=name))
    model = SimpleNamespace(data_preprocessor=lambda batch, training: batch, extract_feat=lambda inputs: dict(sar=torch.ones(2, 4)))
    loader = DataLoader([dict(inputs=0, data_samples=samples)], batch_size=None)
    with pytest.raises(DataError, match=message):
        labelled_features(model, loader, num_classes=num_classes)

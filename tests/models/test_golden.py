"""Features of every encoder with fixed weights stay what they were when they agreed with the published code."""
import json

import pytest
import torch
from golden import CASES, FILE, features, summary


@pytest.mark.parametrize('case', [pytest.param(case, marks=[pytest.mark.slow] if case == 'mit-b5' else []) for case in CASES])
def test_features_are_the_golden_ones(case):
    golden = json.loads(FILE.read_text())[case]
    found = features(case)
    assert list(found) == list(golden)
    for name, expected in golden.items():
        got = summary(found[name])
        assert got['shape'] == expected['shape']
        scale = expected['norm'] / len(found[name].flatten())**.5
        assert torch.allclose(torch.tensor(got['first']), torch.tensor(expected['first']), rtol=1e-4, atol=1e-4 * scale)
        for key in ('norm', 'sum', 'projection'):
            assert got[key] == pytest.approx(expected[key], rel=1e-4, abs=1e-4 * expected['norm'])
    a, b = found.values()
    assert a.shape == b.shape and not torch.allclose(a, b)  # each modality has weights and an input of its own

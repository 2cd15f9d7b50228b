"""Every encoder against an independent implementation, and against the golden values that the published code agreed with."""
import json

import pytest
import torch
from golden import CASES, FILE, build, features, images, reference, summary

cases = pytest.mark.parametrize('case', [pytest.param(case, marks=[pytest.mark.slow] if case == 'mit-b5' else []) for case in CASES])


@cases
def test_an_independent_implementation_agrees(case):
    name = list(CASES[case][0])[-1]
    encoder = build(case, [name]).double()
    inputs = {name: images(case, batch=1, size=224 if case == 'vit-s16' else 64)[name]}
    expected = reference(case, encoder, inputs)
    with torch.no_grad():
        found = encoder.extract_feat({name: x.double() for name, x in inputs.items()})
    assert torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-9 * expected[name].abs().max().item())


@cases
def test_features_are_the_golden_ones(case):
    golden = json.loads(FILE.read_text())[case]
    found = features(case)
    assert list(found) == list(golden)
    for name, expected in golden.items():
        got = summary(found[name])
        assert got['shape'] == expected['shape']
        scale = expected['norm'] / len(found[name].flatten())**.5
        assert torch.allclose(torch.tensor(got['first']), torch.tensor(expected['first']), rtol=1e-5, atol=1e-5 * scale)
        for key in ('norm', 'sum', 'projection'):
            assert got[key] == pytest.approx(expected[key], rel=1e-5, abs=1e-5 * expected['norm'])
    a, b = found.values()
    assert a.shape == b.shape and not torch.allclose(a, b)  # each modality has weights and an input of its own

import numpy as np
import pytest
import torch
from constructions import linear_projector, model

from decur.explain import BlockMeans, band_importance, blocks_of, integrated_gradients


@pytest.fixture
def setup():
    m = model(dict(a=5, b=2), kernel=3)
    m.backbone.streams['a'].encoder.conv.weight.data[:, 2] = 0  # band 2 is ignored
    return m, torch.randn(4, 5, 12, 12, generator=torch.Generator().manual_seed(1))


def means_of(m, **kwargs):
    return BlockMeans(m, 'a', blocks_of(m, 4), np.full(4, 0.1), np.full(4, 0.5), **kwargs)


def test_an_ignored_band_gets_nothing_and_the_others_something(setup):
    m, x = setup
    for result in integrated_gradients(means_of(m), x).values():
        importance = band_importance(result['attributions'])
        assert importance['magnitude'].shape == (4, 5)
        assert (importance['magnitude'][:, 2] == 0).all() and (importance['signed'][:, 2] == 0).all()
        assert (importance['magnitude'][:, [0, 1, 3, 4]] > 1e-5).all()


def test_completeness(setup):
    m, x = setup
    means = means_of(m)
    with torch.no_grad():
        difference = (means(x) - means(torch.zeros_like(x))).numpy()
    for index, result in enumerate(integrated_gradients(means, x, steps=200).values()):
        total = result['attributions'].sum(axis=(1, 2, 3))
        np.testing.assert_allclose(total, difference[:, index], atol=2e-3 * np.abs(difference).max())
        np.testing.assert_allclose(result['delta'], total - difference[:, index], atol=1e-5)


def test_a_linear_model_is_attributed_exactly(setup):
    m, _ = setup
    x = torch.rand(3, 5, 8, 8)
    encoder = m.backbone.streams['a'].encoder
    encoder.conv.weight.data.copy_(torch.zeros_like(encoder.conv.weight))
    weights = torch.tensor([1., 2., 0., 4., 8.])
    encoder.conv.weight.data[0, :, 1, 1] = weights  # positive input: the ReLU does nothing
    linear_projector(m, 'a', torch.tensor([[1., 0, 0, 0]] * 2 + [[0, 1., 0, 0]] * 2))
    means = BlockMeans(m, 'a', blocks_of(m, 4), np.zeros(4), np.ones(4), eps=0)
    out = integrated_gradients(means, x)
    np.testing.assert_allclose(out['common']['attributions'], (x * weights[:, None, None] / 64).numpy(), atol=1e-6)
    assert not out['unique']['attributions'].any()


def test_the_chunk_of_steps_does_not_matter(setup):
    m, x = setup
    small = integrated_gradients(means_of(m), x)['common']['attributions']
    large = integrated_gradients(means_of(m), x, internal_batch=64)['common']['attributions']
    np.testing.assert_allclose(small, large, atol=1e-6)


class Swap(torch.nn.Module):
    """Adds to each stream the mean of the other: an interaction whose effect on gradients is easy to see."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, maps):
        a, b = maps['a'], maps['b']
        return dict(a=a * b.mean(dim=(1, 2, 3), keepdim=True), b=b)


def test_streams_that_interact_keep_the_samples_apart(setup):
    m, x = setup
    m.backbone.interactions['0'] = Swap(None)
    y = torch.rand(4, 2, 12, 12) * torch.arange(1, 5)[:, None, None, None]
    for batch in (None, 64):
        together = integrated_gradients(means_of(m, others=dict(b=y)), x, internal_batch=batch)['common']['attributions']
        alone = [integrated_gradients(means_of(m, others=dict(b=y[i:i + 1])), x[i:i + 1])['common']['attributions'] for i in range(4)]
        np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)


def test_magnitude_does_not_cancel():
    attributions = np.zeros((1, 1, 2, 2))
    attributions[0, 0, 0], attributions[0, 0, 1] = 3, -3
    out = band_importance(attributions)
    assert out['signed'][0, 0] == 0 and out['magnitude'][0, 0] == 3

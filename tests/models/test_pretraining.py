import pytest
import torch
from helpers import entries
from mmpretrain.structures import DataSample

from decur.errors import ConfigError, DataError
from decur.models import MultimodalPretraining, decur_loss


def model(**kwargs):
    torch.manual_seed(0)
    cfg = dict(
        backbone=dict(type='MultimodalBackbone', modalities=entries()),
        neck=dict(type='MultimodalProjector', hid_channels=32, out_channels=48),
        head=dict(type='DeCURHead', common_dim=36))
    return MultimodalPretraining(**dict(cfg, **kwargs))


def views(n=6, size=32):
    generator = torch.Generator().manual_seed(1)
    return {name: [torch.randn(n, e['channels'], size, size, generator=generator) for _ in range(2)] for name, e in entries().items()}


def test_features_and_embeddings_have_the_promised_shapes():
    net = model()
    batch = {name: x[0] for name, x in views().items()}
    assert {n: tuple(x.shape) for n, x in net(batch, mode='tensor').items()} == dict(sar=(6, 64), optical=(6, 64))
    assert {n: tuple(x.shape) for n, x in net.extract_embeddings(batch).items()} == dict(sar=(6, 48), optical=(6, 48))


def test_loss_is_algorithm_1_on_the_embeddings_of_both_views():
    net = model()
    batch = views()
    logged = net(batch, mode='loss')
    twin = model()
    embeddings = {name: tuple(twin.extract_embeddings({name: x})[name] for x in pair) for name, pair in batch.items()}
    expected = decur_loss(embeddings, common_dim=36)
    assert torch.allclose(logged['loss'], expected['loss'], rtol=1e-5)
    # The runner sums every entry named like a loss: there must be one.
    assert [key for key in logged if 'loss' in key] == ['loss']


def test_projectors_are_not_shared():
    net = model()
    net.loss(views())['loss'].backward()
    weights = [p.fc0.weight for p in net.neck.projectors.values()]
    assert weights[0] is not weights[1] and not torch.equal(weights[0], weights[1])
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in weights)


def test_an_absent_sample_is_not_encoded_and_does_not_count():
    """Rows of samples that lack a modality may hold anything: loss and batch statistics do not change."""
    batch = views()
    samples = [DataSample() for _ in range(6)]
    for i in (1, 4):
        samples[i].set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
    results = []
    for junk in (0.0, 1e3):
        net = model()
        changed = {name: [x.clone() for x in pair] for name, pair in batch.items()}
        for x in changed['optical']:
            x[[1, 4]] = junk
        losses = net.loss(changed, samples)
        losses['loss'].backward()
        results.append((losses['loss'].item(), net.backbone.streams['optical'].encoder.bn1.running_mean.clone()))
    assert results[0][0] == results[1][0] and torch.equal(results[0][1], results[1][1])
    assert results[0][0] != model().loss(batch)['loss'].item()


def test_all_samples_lacking_a_modality_still_train_the_other():
    samples = [DataSample() for _ in range(6)]
    for sample in samples:
        sample.set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
    net = model()
    loss = net.loss(views(), samples)['loss']
    loss.backward()
    assert torch.isfinite(loss) and net.backbone.streams['sar'].encoder.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('count', [0, 1])
def test_a_modality_with_fewer_than_two_samples_is_left_out(count):
    samples = [DataSample() for _ in range(6)]
    for i, sample in enumerate(samples):
        sample.set_field(dict(sar=True, optical=i < count), 'present', field_type='metainfo')
    net = model()
    before = net.backbone.streams['optical'].encoder.bn1.running_mean.clone()
    losses = net.loss(views(), samples)
    assert losses['loss'].isfinite() and losses['intra_optical'] == 0 and losses['intra_sar'] > 0
    assert torch.equal(before, net.backbone.streams['optical'].encoder.bn1.running_mean)


def test_objectives_of_one_view_encode_one(monkeypatch):
    net = model(head=dict(type='MultimodalCLIPHead'))
    calls = []
    encode = net.extract_embeddings
    monkeypatch.setattr(net, 'extract_embeddings', lambda *a: calls.append(1) or encode(*a))
    net.loss(views())
    assert len(calls) == 1


def test_three_modalities_need_nothing_but_a_third_entry():
    three = dict(entries(), dem=dict(channels=1, encoder=entries()['sar']['encoder']))
    net = model(backbone=dict(type='MultimodalBackbone', modalities=three))
    batch = dict(views(), dem=[torch.randn(6, 1, 32, 32) for _ in range(2)])
    logged = net.loss(batch)
    assert {'common_sar_optical', 'common_sar_dem', 'common_optical_dem'} <= set(logged)


def test_preprocessor_normalises_by_modality_and_names_wrong_channels():
    net = model()
    data = dict(inputs={name: [torch.full((2, e['channels'], 4, 4), 3, dtype=torch.uint8)] * 2 for name, e in entries().items()})
    out = net.data_preprocessor(data)['inputs']
    assert torch.allclose(out['sar'][0], torch.full((2, 2, 4, 4), (3 + 12.0) / 5)) and out['optical'][1].dtype == torch.float32
    with pytest.raises(DataError, match="'sar' has 2 channels.*expected"):
        net.data_preprocessor(dict(inputs=dict(sar=torch.zeros(2, 3, 4, 4))))
    with pytest.raises(ConfigError, match='thermal'):
        net.data_preprocessor(dict(inputs=dict(thermal=torch.zeros(2, 3, 4, 4))))


def test_a_tensor_or_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match='must be a dict of tensors'):
        model()(torch.zeros(1, 2, 8, 8))
    with pytest.raises(RuntimeError, match="Invalid mode 'predict'"):
        model()({}, mode='predict')
    with pytest.raises(ConfigError, match='remove fusion'):
        model(backbone=dict(type='MultimodalBackbone', modalities=entries(), fusion=dict(type='ConcatFusion')))

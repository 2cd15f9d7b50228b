"""Heads beside the objective: completeness on coarse images, the objective on stage maps."""
import numpy as np
import pytest
import torch
from helpers import entries
from mmpretrain.structures import DataSample
from objective_reference import decur_terms, make_embeddings

from decur.errors import ConfigError, DataError
from decur.models import CompletenessHead, DenseHead, MultimodalPretraining
from decur.models.auxiliary import View
from decur.models.completeness import mean_over_processes
from decur.models.objectives import DeCURHead
from decur.transforms import MakeViews, PackModalities
from decur.transforms.augmentation import Geometry


def model(**kwargs):
    torch.manual_seed(0)
    return MultimodalPretraining(**dict(dict(
        backbone=dict(type='MultimodalBackbone', modalities=entries()),
        neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=24),
        head=dict(type='DeCURHead', common_dim=18)), **kwargs)).double()


def images(n=6):
    g = torch.Generator().manual_seed(1)
    return {m: [torch.randn(n, e['channels'], 32, 32, generator=g, dtype=torch.float64) for _ in range(2)] for m, e in entries().items()}


def completeness(**kwargs):
    net = model()
    torch.manual_seed(3)
    return CompletenessHead(backbone=net.backbone, neck=net.neck, **kwargs).double()


def view(n=6):
    embeddings = make_embeddings('ab', n, 24, dtype=torch.float64)
    return View({m: pair[0] for m, pair in images(n).items()}, None,
                {m: embeddings[k][0].clone().requires_grad_() for m, k in zip(('sar', 'optical'), 'ab')})


def test_completeness_reads_the_own_unique_and_the_others_common_dimensions():
    one, head = view(), completeness(grid=2, hidden=8)
    out = head.loss([one], DeCURHead(18), None, None)
    assert set(out) == {'completeness_sar_optical', 'completeness_optical_sar'}
    given = torch.cat([one.embeddings['optical'][:, :18], one.embeddings['sar'][:, 18:]], 1)
    target = torch.stack([one.images['sar'][:, :, y:y + 16, x:x + 16].mean((2, 3)) for y in (0, 16) for x in (0, 16)], 2).flatten(1)
    want = (head.decoders['sar'](given) - target).square().mean()
    assert float(out['completeness_sar_optical'].detach()) == pytest.approx(float(want.detach()), rel=1e-10)
    sar, optical = torch.autograd.grad(out['completeness_sar_optical'], list(one.embeddings.values()))
    assert not sar[:, :18].any() and sar[:, 18:].any() and optical[:, :18].any() and not optical[:, 18:].any()


def test_completeness_of_masked_samples_is_that_of_the_samples_that_are_there():
    one, head = view(), completeness(grid=2)
    present = dict(sar=torch.arange(6) != 1, optical=torch.arange(6) < 5)
    kept = [0, 2, 3, 4]
    some = View({m: x[kept] for m, x in one.images.items()}, None, {m: z[kept] for m, z in one.embeddings.items()})
    got, want = head.loss([one], DeCURHead(18), present, None), head.loss([some], DeCURHead(18), None, None)
    assert all(torch.allclose(got[name], want[name], rtol=1e-10) for name in want)
    nobody = head.loss([one], DeCURHead(18), dict(sar=torch.arange(6) < 3, optical=torch.arange(6) >= 3), None)
    assert all(float(value.detach()) == 0 for value in nobody.values())
    sum(nobody.values()).backward()
    assert float(mean_over_processes(torch.tensor([1., 5.]))) == 3


def dense(backbone_model, **kwargs):
    torch.manual_seed(4)
    options = dict(dict(stage=-2, grid=2, hid_channels=16, out_channels=12), **kwargs)
    return DenseHead(backbone=backbone_model.backbone, neck=backbone_model.neck, **options).double()


def maps_of(net, batch):
    return [View(one, net.backbone.features_and_maps(one)[1], {}) for one in ({m: x[v] for m, x in batch.items()} for v in range(2))]


def test_dense_is_decur_on_all_places():
    net = model()
    views, head = maps_of(net, images()), dense(net)
    got = head.loss(views, net.head, None, None)['dense']
    rows = {}
    for m, stages in views[0].maps.items():
        x = stages[-2]
        half = x.shape[2] // 2
        tiles = [x[:, :, y:y + half, w:w + half].mean((2, 3)) for y in (0, half) for w in (0, half)]
        rows[m] = head.projector({m: torch.stack(tiles, 1).flatten(0, 1)})[m]
    terms = decur_terms({m: (z, z) for m, z in rows.items()}, 9)
    want = sum(value for name, value in terms.items() if not name.startswith('loss_intra'))
    assert float(got.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    # Neither the order of the samples nor that of the places matters.
    turned = [View(v.images, {m: tuple(x.flip(0).transpose(2, 3) for x in stages) for m, stages in v.maps.items()}, {}) for v in views]
    assert float(head.loss(turned, net.head, None, None)['dense'].detach()) == pytest.approx(float(got.detach()), rel=1e-9)


def crop_sample(**crops):
    sample = DataSample()
    sample.set_field(crops, 'crops', field_type='metainfo')
    return sample


def coordinates(crop, size=64):
    """A map (2, size, size) whose values are where its pixels lie in the image (y, x)."""
    steps = (torch.arange(size, dtype=torch.float64) + .5) / size
    y, x = crop.y + crop.h * (steps.flip(0) if crop.vflip else steps), crop.x + crop.w * (steps.flip(0) if crop.hflip else steps)
    return torch.stack([y[:, None].expand(size, size), x[None].expand(size, size)])


def test_boxes_find_the_same_ground_in_every_crop():
    crops = dict(sar=[Geometry(.1, .2, .6, .7, False, False), Geometry(0, 0, 1, 1, True, True)],
                 optical=[Geometry(.3, .1, .5, .5, True, False), Geometry(.2, .15, .7, .8, False, True)])
    apart = dict(crops, optical=[Geometry(.8, .1, .2, .5, False, False), crops['optical'][1]])
    head = dense(model(), matching='boxes', grid=3, objective=dict(type='DeCURHead', common_dim=9))
    points, valid = head.match([crop_sample(**crops), crop_sample(**apart)], ['sar', 'optical'], torch.zeros(1))
    assert valid.tolist() == [True, False] and set(points) == {(m, v) for m in crops for v in range(2)}
    # The intersection of the four is y .3...7, x .2...6.
    want = torch.tensor([[[.3 + .4 * (i + .5) / 3, .2 + .4 * (j + .5) / 3] for j in range(3)] for i in range(3)], dtype=torch.float64)
    for (m, v), where in points.items():
        found = torch.nn.functional.grid_sample(coordinates(crops[m][v])[None], where[:1], align_corners=False)[0]
        torch.testing.assert_close(found.permute(1, 2, 0), want)


def test_samples_without_common_ground_do_not_count():
    net, batch = model(), images()
    whole, left, right = (Geometry(0, x, 1, w, False, False) for x, w in ((0, 1), (0, .5), (.5, .5)))
    samples = [crop_sample(sar=[whole], optical=[whole]) for _ in range(6)]
    samples[3] = crop_sample(sar=[left], optical=[right])
    kept = [0, 1, 2, 4, 5]
    views = maps_of(net, batch)
    some = [View({}, {m: tuple(x[kept] for x in stages) for m, stages in views[0].maps.items()}, {})]
    head = dense(net, matching='boxes')
    got = head.loss(views, net.head, None, samples)['dense']
    want = head.loss(some, net.head, None, [samples[i] for i in kept])['dense']
    assert float(got.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    nothing = head.loss(views, net.head, None, [samples[3]] * 6)['dense']
    assert float(nothing.detach()) == 0
    with pytest.raises(DataError, match="meta_keys=.'sample_id', 'crops'"):
        head.loss(views, net.head, None, [DataSample()] * 6)
    with pytest.raises(DataError, match='crops of ViewAugmentation'):
        head.loss(views, net.head, None, [crop_sample(sar=[(0, 1)], optical=[(0, 1)])] * 6)


def test_the_model_adds_them_and_without_them_nothing_changes():
    plain = model().loss(images())
    heads = [dict(type='CompletenessHead', weight=2., grid=2), dict(type='DenseHead', weight=.5, grid=2)]
    net = model(auxiliary_heads=heads)
    out = net.loss(images())
    assert set(out) - set(plain) == {'completeness_sar_optical', 'completeness_optical_sar', 'dense'}
    want = plain['loss'] + 2 * (out['completeness_sar_optical'] + out['completeness_optical_sar']) + .5 * out['dense']
    assert float(out['loss'].detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    assert [name for name in out if 'loss' in name] == ['loss']
    out['loss'].backward()
    assert all(p.grad is not None for p in net.parameters())
    assert list(model().state_dict()) == [key for key in net.state_dict() if not key.startswith('auxiliary_heads')]


def absent():
    sample = DataSample()
    sample.set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
    return sample


@pytest.mark.parametrize('wrong, message', [
    (dict(micro_batch=4, auxiliary_heads=[dict(type='DenseHead')]), 'micro_batch and auxiliary_heads'),
    (dict(neck=None, auxiliary_heads=[dict(type='DenseHead')]), 'needs a neck'),
    (dict(auxiliary_heads=[dict(type='CompletenessHead', grid=0)]), 'grid of CompletenessHead'),
    (dict(auxiliary_heads=[dict(type='CompletenessHead', weight=-1)]), 'weight of CompletenessHead'),
    (dict(auxiliary_heads=[dict(type='DenseHead', stage=9)]), 'no stage 9'),
    (dict(auxiliary_heads=[dict(type='DenseHead', objective=dict(type='DeCURHead', common_dim=9))]), 'different crops'),
    (dict(auxiliary_heads=[dict(type='DenseHead', matching='near')]), 'matching'),
    (dict(head=dict(type='MultimodalVICRegHead'), auxiliary_heads=[dict(type='CompletenessHead')]), 'common_dim=None')])
def test_what_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        model(**wrong).loss(images())
    with pytest.raises(ConfigError, match='heads on maps'):
        model(auxiliary_heads=[dict(type='DenseHead', grid=2)]).loss(images(), [absent(), *[DataSample()] * 5])


def test_the_crops_that_views_carry_are_those_that_were_cut():
    """A picture of its own coordinates: views of it are where the packed crops say, flips and all."""
    augmentation = dict(type='ViewAugmentation', size=32, scale=(.2, .8), jitter_prob=0, grayscale_prob=0, blur_prob=0, vflip_prob=.5)
    modalities = {m: dict(channels=2, augmentation=augmentation) for m in ('sar', 'optical')}
    make, pack = MakeViews(), PackModalities(meta_keys=('sample_id', 'crops'))
    for step in (make, pack):
        step.bind(modalities, None)
    whole = coordinates(Geometry(0, 0, 1, 1, False, False)).permute(1, 2, 0).float().numpy()
    np.random.seed(0)
    flips, samples = set(), []
    for number in range(8):
        packed = pack(make(dict(sample_id=str(number), images={m: whole.copy() for m in modalities})))
        samples.append(packed['data_samples'])
        for m, views in packed['inputs'].items():
            for view, crop in zip(views, packed['data_samples'].crops[m], strict=True):
                torch.testing.assert_close(view.double(), coordinates(crop, 32), atol=.03, rtol=0)  # a crop is of whole pixels
                flips.add((crop.hflip, crop.vflip))
    assert len(flips) == 4
    points, valid = dense(model(), matching='boxes').match(samples, ['sar', 'optical'], torch.zeros(1))
    assert points['sar', 0].shape == (8, 2, 2, 2) and valid.any()

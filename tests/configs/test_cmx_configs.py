"""The CMX and FCN configs: sizes, training recipe, options; one step and one evaluation on small generated files."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS, DefaultScope

import decur
from decur.binding import bind
from decur.engine import load_config
from decur.errors import DataError
from decur.weights.convert import build_model

ROOT = Path(__file__).resolve().parents[2]
CMX = ROOT / 'configs/cmx'
B2 = CMX / 'nyudv2_rgb-hha_mit-b2_finetune.py'


def small(path=B2, **options):
    """A config with MiT-B0, and images of 64x96 instead of 480x640."""
    return bind(load_config(str(path), {
        **{f'modalities.{name}.encoder.arch': 'b0' for name in ('rgb', 'hha')},
        'model.decode_head.in_channels': (32, 64, 160, 256), 'model.decode_head.channels': 32, 'model.data_preprocessor.size': (64, 96),
        'model.data_preprocessor.test_cfg.size': (64, 96), 'model.test_cfg.crop_size': (64, 96), 'model.test_cfg.stride': (43, 64),
        **options}))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def files(tmp_path):
    """Three NYU-like images in the prepared layout."""
    rng = np.random.default_rng(0)
    for folder in ('rgb', 'hha', 'label'):
        (tmp_path / folder).mkdir()
    for i, size in enumerate(((50, 70), (50, 70), (80, 60))):
        for folder in ('rgb', 'hha'):
            cv2.imwrite(str(tmp_path / folder / f'{i}.png'), rng.integers(0, 256, (*size, 3), np.uint8))
        cv2.imwrite(str(tmp_path / 'label' / f'{i}.png'), rng.integers(0, 41, size, np.uint8))
    for split in ('train', 'test'):
        (tmp_path / f'{split}.txt').write_text('0\n1\n2\n')
    return tmp_path


@pytest.mark.parametrize('arch, count', [
    ('b2', 66_581_424), pytest.param('b4', 139_874_224, marks=pytest.mark.slow), pytest.param('b5', 181_074_864, marks=pytest.mark.slow)])
def test_parameter_counts_are_the_published_ones(arch, count):
    model = decur.build_model(CMX / f'nyudv2_rgb-hha_mit-{arch}_finetune.py')
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize('data, arch, batch, epochs, classes, crop', [
    ('nyudv2', 'b2', 8, 500, 40, (480, 640)), ('nyudv2', 'b4', 6, 500, 40, (480, 640)), ('nyudv2', 'b5', 6, 500, 40, (480, 640)),
    ('sunrgbd', 'b2', 4, 200, 37, (480, 480)), ('sunrgbd', 'b4', 4, 250, 37, (480, 480)), ('sunrgbd', 'b5', 4, 300, 37, (480, 480))])
def test_table_of_settings(data, arch, batch, epochs, classes, crop):
    cfg = bind(Config.fromfile(CMX / f'{data}_rgb-hha_mit-{arch}_finetune.py'))
    assert cfg.train_dataloader.batch_size == batch and cfg.train_cfg.max_epochs == epochs
    assert [s.end for s in cfg.param_scheduler] == [10, epochs] and cfg.param_scheduler[1].begin == 0
    assert cfg.model.decode_head.num_classes == classes
    assert tuple(cfg.model.data_preprocessor.size) == crop and tuple(cfg.model.test_cfg.crop_size) == crop
    assert tuple(cfg.train_dataloader.dataset.pipeline[-2].crop_size) == crop
    assert all(cfg.model.backbone.modalities[name].encoder.arch == arch for name in ('rgb', 'hha'))
    dataset = {'nyudv2': 'NYUv2Dataset', 'sunrgbd': 'SUNRGBDDataset'}[data]
    assert cfg.train_dataloader.dataset.type == cfg.test_dataloader.dataset.type == dataset
    assert cfg.sync_bn == 'torch'


def test_decay_is_on_weights_only():
    model = MODELS.build(small().model)
    wrapper = build_optim_wrapper(model, Config.fromfile(B2).optim_wrapper)
    decay = {id(p): group['weight_decay'] for group in wrapper.optimizer.param_groups for p in group['params']}
    assert len(decay) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (.01 if parameter.ndim > 1 else 0.), name
    assert all(group['lr'] == 6e-5 and group['betas'] == (.9, .999) for group in wrapper.optimizer.param_groups)


def test_learning_rate():
    """Linear over 10 epochs, times (1 - t/T)^0.9 from iteration 0; the published code leaves the second factor out in the warm-up."""
    cfg = Config.fromfile(B2)
    per_epoch, epochs = 5, 500
    total = per_epoch * epochs
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=6e-5)
    given = dict(optimizer=optimizer, epoch_length=per_epoch)
    schedulers = [PARAM_SCHEDULERS.build(dict(s), default_args=given) for s in cfg.param_scheduler]
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    t = np.arange(total)
    poly = 6e-5 * (1 - t / total) ** .9
    after = slice(10 * per_epoch, int(.95 * total))
    assert np.allclose(rates[after], poly[after], rtol=.01)
    warm = slice(1, 10 * per_epoch)
    assert np.allclose(rates[warm], poly[warm] * t[warm] / (10 * per_epoch), rtol=.03)
    assert rates[0] < 1e-9


def test_training_sample(files):
    """Scales, crop, zero padding after normalisation, 255 below it, void ignored."""
    cfg = small()
    data = cfg.train_dataloader.dataset
    data.data_root = str(files)
    data.pipeline[-2].crop_size = (64, 96)
    dataset = DATASETS.build(data)
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    np.random.seed(0)
    sizes, padded = set(), 0
    for i in range(24):
        sample = dataset[i % 3]
        sizes.add(tuple(sample['inputs'].shape[1:]))
        batch = preprocessor(pseudo_collate([sample]), training=True)
        assert batch['inputs'].shape == (1, 6, 64, 96)
        label = batch['data_samples'][0].gt_sem_seg.data
        assert label.shape == (1, 64, 96) and set(label.unique().tolist()) <= {*range(40), 255}
        height, width = sample['inputs'].shape[1:]
        padded += height < 64 or width < 96
        # Half of the padding before the image, as the published code has it.
        inside = torch.zeros(64, 96, dtype=bool)
        top, left = (64 - height) // 2, (96 - width) // 2
        inside[top:top + height, left:left + width] = True
        image = (sample['inputs'].float() - preprocessor.mean) / preprocessor.std
        assert torch.equal(batch['inputs'][0][:, inside], image.flatten(1)) and (batch['inputs'][0][:, ~inside] == 0).all()
        assert torch.equal(label[0][inside], sample['data_samples'].gt_sem_seg.data.flatten()) and (label[0][~inside] == 255).all()
    assert padded and len(sizes) > 3
    assert (25, 35) in sizes or (40, 30) in sizes, 'scale 0.5 keeps the whole image'


def test_padding_at_test_time_is_cut_off_where_it_was_put():
    """Odd and even margins on all sides: the logits of a small image come back at its own place."""
    from mmseg.structures import SegDataSample
    cfg = small()
    model = MODELS.build(cfg.model).eval()
    image = torch.rand(6, 45, 70) * 255
    sample = SegDataSample(metainfo=dict(ori_shape=(45, 70), img_shape=(45, 70)))
    seen = []
    model.inference = lambda inputs, metas: seen.append(inputs) or inputs  # the logits are the padded image itself
    result = model.test_step(dict(inputs=[image], data_samples=[sample]))[0]
    assert seen[0].shape == (1, 6, 64, 96) and (seen[0][..., :9, :] == 0).all() and (seen[0][..., 54:, :] == 0).all()
    assert (seen[0][..., :13] == 0).all() and (seen[0][..., 83:] == 0).all()
    normalised = (image - model.data_preprocessor.mean) / model.data_preprocessor.std
    assert torch.allclose(result.seg_logits.data, normalised, atol=1e-5)


def test_one_step_reaches_every_parameter(files):
    cfg = small(**{'train_dataloader.dataset.data_root': str(files)})
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    data = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    optimizer.update_params(loss)
    assert torch.isfinite(loss) and loss.item() == pytest.approx(np.log(40), rel=.5)
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not still


def test_evaluation_of_different_sizes_and_by_scales(files):
    cfg = small(**{'test_dataloader.dataset.data_root': str(files)})
    model = build_model(cfg).eval()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    results = [model.test_step(pseudo_collate([dataset[i]]))[0] for i in range(3)]
    assert [tuple(r.pred_sem_seg.data.shape) for r in results] == [(1, 50, 70), (1, 50, 70), (1, 80, 60)]
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    sample = dataset[2]
    assert len(sample['inputs']) == 6 and sample['inputs'][0].shape == (6, 60, 45)
    assert sample['data_samples'][0].gt_sem_seg.data.shape == (1, 80, 60), 'the label keeps its size'
    tta = MODELS.build(dict(cfg.tta_model, module=model))
    assert tta.test_step(pseudo_collate([sample]))[0].pred_sem_seg.data.shape == (1, 80, 60)


def test_published_options(files):
    plain, published = small(), small(CMX / 'nyudv2_rgb-hha_mit-b2_published.py')
    data = dict(inputs=[torch.arange(6 * 64 * 96, dtype=torch.float).reshape(6, 64, 96) % 255], data_samples=[])
    ours = MODELS.build(plain.model.data_preprocessor)(data)['inputs'][0]
    theirs = MODELS.build(published.model.data_preprocessor)(data)['inputs'][0]
    mean, std = (torch.tensor(plain.model.backbone.modalities.rgb[k]).reshape(3, 1, 1) for k in ('mean', 'std'))
    # BGR images, statistics in the order R, G, B.
    assert torch.allclose(theirs[:3], (data['inputs'][0][:3].flip(0) - mean) / std, atol=1e-5)
    assert torch.allclose(theirs[3:], (data['inputs'][0][3:].flip(0) - mean) / std, atol=1e-5)
    assert torch.allclose(ours[:3], (data['inputs'][0][:3] - mean) / std, atol=1e-5)

    def rates(cfg, name):
        encoder = MODELS.build(dict(cfg.model.backbone.modalities[name].encoder, arch='b2'))
        return [[getattr(block.attn.dropout_layer, 'drop_prob', 0.) for block in stage[1]] for stage in encoder.layers]

    linear = np.linspace(0, .1, 16)
    for name, constant in (('rgb', linear[3]), ('hha', linear[4])):
        assert np.allclose(np.concatenate(rates(plain, name)), linear)
        found = rates(published, name)
        assert np.allclose(found[1], constant, atol=1e-6) and np.allclose(found[2], linear[7:13])


@pytest.mark.parametrize('path', [B2, CMX / 'sunrgbd_rgb-hha_mit-b2_finetune.py', ROOT / 'configs/fcn/nyudv2_rgb_r50_finetune.py'])
def test_an_image_of_another_size_than_its_label_is_named(files, path):
    """For CMX, RGB and HHA of different sizes; for FCN, RGB and label."""
    cfg = bind(Config.fromfile(path))
    odd = files / ('rgb' if 'hha' not in cfg.model.backbone.modalities else 'hha') / '0.png'
    cv2.imwrite(str(odd), cv2.imread(str(odd))[:-3])
    cv2.imwrite(str(files / 'label' / '0.png'), np.ones((50, 70), np.uint8))
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        data = dict(loader.dataset, data_root=str(files))
        with pytest.raises(DataError, match=r"'0'.*(hha|rgb).*\(47, 70\), expected \(50, 70\)"):
            DATASETS.build(data)[0]


@pytest.mark.parametrize('name, classes', [('nyudv2', 40), ('sunrgbd', 37)])
def test_fcn(name, classes):
    cfg = bind(Config.fromfile(ROOT / f'configs/fcn/{name}_rgb_r50_finetune.py'))
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=.01, momentum=.9, weight_decay=1e-5)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end == 40000 and cfg.train_dataloader.batch_size == 8
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 65, 97), mode='tensor').shape == (1, classes, 9, 13)


def test_every_pipeline_is_known():
    for path in [*CMX.glob('*.py'), *(ROOT / 'configs/fcn').glob('*_finetune.py')]:
        cfg = Config.fromfile(path)
        for pipeline in (cfg.train_dataloader.dataset.pipeline, cfg.test_dataloader.dataset.pipeline, cfg.get('tta_pipeline', [])):
            Compose(pipeline)

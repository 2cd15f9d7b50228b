"""The published results, and which config gives each. Data only: nothing here was computed by this project.

The authors' figures have two sources: the supplement's Tables 1 and 2 (first hand), and the tables of the paper (arXiv 2309.05300 v3),
which are known from a second-hand reading and marked as such wherever they are shown. The paper's DeCUR encoders are ResNet50 with residual
deformable attention: its figures for SAR and RGB at 1 % are those of RDA in the supplement's Table 2.
"""
from itertools import product
from typing import NamedTuple

PAPER, SUPPLEMENT = 'paper', 'supplement'


class Setting(NamedTuple):
    """What a config evaluates: one row of a table, whatever the encoders were pretrained with.

    ``labels`` is a share of the training labels in percent.
    """

    dataset: str
    modalities: str
    labels: int
    protocol: str
    encoder: str


#: The figure of each data set, by its name in the test's metrics, and how the tables call it.
FIGURES = {'BigEarthNet-MM': ('multi-label/mAP_micro', 'mAP micro'), 'GeoNRW': ('mIoU', 'mIoU'), 'SUN-RGBD': ('mIoU', 'mIoU'),
           'NYU-Depth v2': ('mIoU', 'mIoU')}
_ENCODERS = {'r50': 'ResNet50', 'r50-rda': 'ResNet50-RDA', 'r50-da': 'ResNet50-DA', 'r50-cross-da': 'ResNet50-Cross-DA',
             'r50-cbam': 'ResNet50-CBAM', 'vit-s16': 'ViT-S/16'}
_MODALITIES = {'bigearthnet': ('BigEarthNet-MM', {'s1-s2': 'SAR + optical', 's1': 'SAR', 's2': 'optical'}),
               'geonrw': ('GeoNRW', {'rgb-dem': 'RGB + DEM', 'rgb': 'RGB'})}
_PROTOCOLS = {'frozen': 'frozen', 'finetune': 'fine-tune'}


def _settings() -> dict:
    """(config name, options) to setting."""
    out = {}
    for task, (dataset, modalities) in _MODALITIES.items():
        for name, labels, protocol, encoder in product(modalities, (1, 10, 100), _PROTOCOLS, _ENCODERS):
            options = '' if labels == 100 else f'train_dataloader.dataset.fraction={labels / 100}'
            out[f'{task}_{name}_{encoder}_{protocol}', options] = Setting(dataset, modalities[name], labels, _PROTOCOLS[protocol],
                                                                         _ENCODERS[encoder])
    for name, dataset in (('sunrgbd', 'SUN-RGBD'), ('nyudv2', 'NYU-Depth v2')):
        out[f'{name}_rgb_r50_finetune', ''] = Setting(dataset, 'RGB', 100, 'fine-tune', 'FCN ResNet50')
        for size in ('b2', 'b4', 'b5'):  # published with multi-scale and flip
            out[f'{name}_rgb-hha_mit-{size}_finetune', 'tta=True'] = Setting(dataset, 'RGB + HHA', 100, 'fine-tune',
                                                                            f'CMX MiT-{size.upper()}')
    return out


#: (config name without ``.py``, options of its training and test) to :class:`Setting`; also of configs that are not there yet.
SETTINGS = _settings()


def _published() -> dict:
    """(setting, pretraining) to (value, source)."""
    out = {}
    # Data set, modalities, labels: {pretraining: (frozen, fine-tuned)}.
    main = {
        ('BigEarthNet-MM', 'SAR + optical', 1): {'SimCLR': (77.4, 78.7), 'Barlow Twins': (78.7, 80.3), 'DeCUR': (79.8, 81.5)},
        ('BigEarthNet-MM', 'SAR + optical', 100): {'SimCLR': (82.8, 89.6), 'Barlow Twins': (83.2, 89.5), 'DeCUR': (86.2, 89.8)},
        ('BigEarthNet-MM', 'SAR', 1): {'SimCLR': (68.1, 70.4), 'Barlow Twins': (72.3, 73.7), 'DeCUR': (74.4, 76.0)},
        ('BigEarthNet-MM', 'SAR', 100): {'SimCLR': (71.7, 83.7), 'Barlow Twins': (77.8, 83.6), 'DeCUR': (79.5, 84.0)},
        ('GeoNRW', 'RGB + DEM', 1): {'SimCLR': (23.0, 30.2), 'Barlow Twins': (31.2, 33.6), 'DeCUR': (34.7, 36.6)},
        ('GeoNRW', 'RGB + DEM', 100): {'SimCLR': (35.2, 47.3), 'Barlow Twins': (43.0, 48.4), 'DeCUR': (44.7, 48.9)},
        ('GeoNRW', 'RGB', 1): {'SimCLR': (20.1, 25.9), 'Barlow Twins': (29.4, 33.4), 'DeCUR': (32.2, 35.7)},
        ('GeoNRW', 'RGB', 100): {'SimCLR': (29.6, 42.5), 'Barlow Twins': (38.0, 45.9), 'DeCUR': (40.8, 46.7)},
    }
    for (dataset, modalities, labels), methods in main.items():
        for method, values in methods.items():
            encoder = 'ResNet50-RDA' if method == 'DeCUR' else 'ResNet50'
            for protocol, value in zip(('frozen', 'fine-tune'), values):
                out[Setting(dataset, modalities, labels, protocol, encoder), method] = value, PAPER
    for config, options, values in (('sunrgbd_rgb_r50_finetune', '', {'CLIP': 30.5, 'DeCUR': 34.5}),
                                    ('nyudv2_rgb_r50_finetune', '', {'CLIP': 30.4, 'DeCUR': 31.2}),
                                    ('sunrgbd_rgb-hha_mit-b2_finetune', 'tta=True', {'ImageNet': 49.7, 'DeCUR': 50.6}),
                                    ('nyudv2_rgb-hha_mit-b5_finetune', 'tta=True', {'ImageNet': 56.9, 'DeCUR': 57.3})):
        for method, value in values.items():
            out[SETTINGS[config, options], method] = value, PAPER
    # Supplement, Tables 1 and 2: SAR alone on BigEarthNet-MM and RGB alone on GeoNRW, frozen, 1 %.
    for encoder, method, sar, rgb in (
            ('ViT-S/16', 'random', 57.7, 13.2), ('ViT-S/16', 'SimCLR', 73.9, 35.1), ('ViT-S/16', 'DeCUR', 75.8, 35.6),
            ('ResNet50-DA', 'DeCUR', 73.5, 30.2), ('ResNet50-Cross-DA', 'DeCUR', 72.5, 29.6), ('ResNet50-CBAM', 'DeCUR', 73.1, 31.0),
            ('ResNet50-RDA', 'DeCUR', 74.4, 32.2)):
        out[Setting('BigEarthNet-MM', 'SAR', 1, 'frozen', encoder), method] = sar, SUPPLEMENT
        out[Setting('GeoNRW', 'RGB', 1, 'frozen', encoder), method] = rgb, SUPPLEMENT
    return out


#: (:class:`Setting`, pretraining) to (value in percent, :data:`PAPER` or :data:`SUPPLEMENT`).
PUBLISHED = _published()


class Elsewhere(NamedTuple):
    """A figure of the authors' weights that others computed, on a data set for which there is no config here; in percent."""

    dataset: str
    figure: str
    encoder: str
    protocol: str
    value: float
    source: str


def _elsewhere() -> tuple:
    out = []
    # Means of five seeds over the leaderboard's files; the optical encoder alone: fine-tuned, frozen.
    for dataset, figure, values in (
            ('benv2', 'F1', (73.2, 69.3)), ('so2sat', 'accuracy', (57.6, 49.5)), ('forestnet', 'accuracy', (55.0, 52.8)),
            ('treesatai', 'F1', (56.5, 48.8)), ('burn_scars', 'mIoU', (87.9, 86.9)), ('pastis', 'mIoU', (29.2, 27.5)),
            ('dynamic_earthnet', 'mIoU', (27.8, 24.7)), ('kuro_siwo', 'mIoU', (45.7, 50.5)), ('cloudsen12', 'mIoU', (66.8, 63.5)),
            ('fotw', 'mIoU', (56.4, 55.0)), ('caffe', 'mIoU', (60.5, 55.4)), ('flair2', 'mIoU', (43.2, 39.9)),
            ('spacenet2', 'mIoU', (84.5, 82.7)), ('spacenet7', 'mIoU', (57.2, 56.1))):
        out += [Elsewhere(dataset, figure, 'ResNet50, Sentinel-2', protocol, value, GEO_BENCH_2)
                for protocol, value in zip(('fine-tune', 'frozen'), values)]
    for dataset, figure, values in (('m-EuroSat', 'score', (89.0, 46.6)), ('m-BigEarthNet', 'score', (63.8, 49.6)),
                                    ('m-So2Sat', 'score', (45.8, 30.9)), ('m-Brick-Kiln', 'score', (83.7, 74.2))):
        out += [Elsewhere(dataset, figure, 'ViT-S', f'nearest neighbours, {share} % of the labels', value, TERRAFM)
                for share, value in zip((100, 1), values)]
    return tuple(out)


GEO_BENCH_2, TERRAFM = 'GEO-Bench-2 leaderboard (The-AI-Alliance/GEO-Bench-2-Leaderboard)', 'README of TerraFM'
#: What others published of the authors' weights.
ELSEWHERE = _elsewhere()

"""From records of tests to the paper's tables."""
import json

import pytest

from decur.evaluation.published import FIGURES, PUBLISHED, SETTINGS, Setting
from decur.evaluation.results import AUTHORS, Run, collect, format_values, pretraining_name, read_runs


def test_published_values_of_the_supplement():
    """Tables 1 and 2, and what the paper has in common with them."""
    sar, rgb = (Setting(*data, 1, 'frozen', 'ViT-S/16') for data in (('BigEarthNet-MM', 'SAR'), ('GeoNRW', 'RGB')))
    assert [PUBLISHED[sar, m] for m in ('random', 'SimCLR', 'DeCUR')] == [(v, 'supplement') for v in (57.7, 73.9, 75.8)]
    assert [PUBLISHED[rgb, m] for m in ('random', 'SimCLR', 'DeCUR')] == [(v, 'supplement') for v in (13.2, 35.1, 35.6)]
    for encoder, values in {'DA': (73.5, 30.2), 'Cross-DA': (72.5, 29.6), 'CBAM': (73.1, 31.0), 'RDA': (74.4, 32.2)}.items():
        found = [PUBLISHED[setting._replace(encoder=f'ResNet50-{encoder}'), 'DeCUR'] for setting in (sar, rgb)]
        assert found == [(value, 'supplement') for value in values]
    both = Setting('BigEarthNet-MM', 'SAR + optical', 1, 'fine-tune', 'ResNet50-RDA')
    assert PUBLISHED[both, 'DeCUR'] == (81.5, 'paper') and PUBLISHED[both._replace(encoder='ResNet50'), 'SimCLR'] == (78.7, 'paper')
    assert len(PUBLISHED) == 8 * 3 * 2 + 4 * 2 + 2 * 3 + 2 * 3  # main tables, RGB-D, ViT, DA, Cross DA and CBAM (RDA is in the main one)


def test_every_config_of_the_paper_s_tasks_has_its_row(repository):
    configs = [path for folder in ('classification', 'fcn', 'cmx') for path in (repository / 'configs' / folder).glob('*.py')]
    names = {name for name, _ in SETTINGS}
    assert len(configs) > 30 and [path.stem for path in configs if path.stem not in names and not path.stem.endswith('_published')] == []
    assert SETTINGS['bigearthnet_s1-s2_r50_frozen', 'train_dataloader.dataset.fraction=0.1'] == Setting(
        'BigEarthNet-MM', 'SAR + optical', 10, 'frozen', 'ResNet50')
    assert SETTINGS['geonrw_rgb_r50_finetune', ''] == Setting('GeoNRW', 'RGB', 100, 'fine-tune', 'ResNet50')
    assert SETTINGS['nyudv2_rgb-hha_mit-b5_finetune', 'tta=True'] == Setting('NYU-Depth v2', 'RGB + HHA', 100, 'fine-tune', 'CMX MiT-B5')
    assert {setting.dataset for setting, _ in PUBLISHED} == set(FIGURES)


@pytest.mark.parametrize('encoders, name', [
    (None, 'unknown'),
    (dict(rgb=None, dem=None), 'random'),
    (dict(rgb=dict(file='a/epoch_100.pth', objective='DeCURHead'), dem=dict(file='b.pth', objective='DeCURHead')), 'DeCUR'),
    (dict(rgb=dict(file='a.pth', objective='MultimodalBarlowTwinsHead')), 'Barlow Twins'),
    (dict(rgb=dict(file='torchvision://resnet50', objective=None)), 'ImageNet'),
    (dict(rgb=dict(file='files/mit_b2.pth', objective=None)), 'ImageNet'),
    (dict(rgb=dict(file='x/rn50_rgb_decur_ep100.pth::1', objective=None)), 'rn50_rgb_decur_ep100.pth'),
    (dict(rgb=dict(file='a.pth', objective='DeCURHead'), dem=None), 'rgb: DeCUR, dem: random'),
    (dict(rgb=dict(file='decur_resnet50-rda_geonrw', objective=None), dem=dict(file='decur_resnet50-rda_geonrw', objective=None)), AUTHORS),
    (dict(rgb=dict(file='segformer_mit-b2_imagenet', objective=None)), 'ImageNet'),
])
def test_what_encoders_started_from(encoders, name):
    assert pretraining_name(encoders) == name


def test_the_authors_weights_have_a_row_of_their_own(tmp_path):
    """Beside the published figure, not averaged with pretrainings of this project; the order of their channels is no other setting."""
    options = {'modalities.rgb.channel_order': 'bgr', 'test_dataloader.dataset.data_root': '/data'}
    record = dict(config='configs/fcn/geonrw_rgb_r50-rda_frozen.py', options=options,
                  encoders=dict(rgb=dict(file='decur_resnet50-rda_geonrw_rgb', objective=None)), seed=0, time='2026', not_loaded='',
                  trained_on=dict(fraction=.01), metrics=dict(mIoU=33.), checkpoint='a.pth')
    own = dict(record, encoders=dict(rgb=dict(file='a.pth', objective='DeCURHead')), metrics=dict(mIoU=31.), options={})
    for name, content in (('a', record), ('b', own)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'test.json').write_text(json.dumps(content))
    rows, others = collect(read_runs([tmp_path])[0])
    found = [(row['pretraining'], row['published'], row['values']) for row in rows if row['values']]
    assert found == [('DeCUR', 32.2, [31.]), (AUTHORS, 32.2, [33.])] and not others


def test_runs_find_their_rows_and_empty_rows_stay_empty():
    share = 'train_dataloader.dataset.fraction=0.01'
    runs = [Run('bigearthnet_s1_r50-rda_frozen', share, 'DeCUR', seed, {'multi-label/mAP_micro': value, 'multi-label/mAP_macro': 1.})
            for seed, value in ((0, 70.), (1, 73.), (2, 76.))]
    runs += [Run('geonrw_rgb_r50_frozen', '', 'random', 0, dict(mIoU=11.)),
             Run('geonrw_rgb_r50_frozen', 'model.data_preprocessor.absent=[rgb]', 'random', 0, dict(mIoU=5.)),
             Run('mine', '', 'DeCUR', 0, dict(accuracy=1.))]
    # CMX is published with multi-scale and flip.
    runs += [Run('sunrgbd_rgb-hha_mit-b2_finetune', options, 'DeCUR', 0, dict(mIoU=value))
             for options, value in (('tta=True', 50.), ('', 49.))]
    rows, others = collect(runs)
    assert len(rows) == len(PUBLISHED) + 1  # GeoNRW from random encoders was not published
    filled = {(row['config'], row['pretraining']): row for row in rows if row['values']}
    assert set(filled) == {('bigearthnet_s1_r50-rda_frozen', 'DeCUR'), ('geonrw_rgb_r50_frozen', 'random'),
                           ('sunrgbd_rgb-hha_mit-b2_finetune', 'DeCUR')}
    row = filled['sunrgbd_rgb-hha_mit-b2_finetune', 'DeCUR']
    assert (row['published'], row['values']) == (50.6, [50.])
    row = filled['bigearthnet_s1_r50-rda_frozen', 'DeCUR']
    assert (row['published'], row['source'], row['seeds'], format_values(row['values'])) == (74.4, 'supplement', [0, 1, 2], '73.0 ± 3.0')
    assert filled['geonrw_rgb_r50_frozen', 'random']['published'] is None
    assert [(row['config'], row['options'], row['values']) for row in others] == [
        ('geonrw_rgb_r50_frozen', 'model.data_preprocessor.absent=[rgb]', [5.]), ('mine', '', [1.]),
        ('sunrgbd_rgb-hha_mit-b2_finetune', '', [49.])]
    assert format_values([]) == '' and format_values([12.34]) == '12.3'

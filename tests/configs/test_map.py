"""configs/README.md is the map: every config by the naming rule in one row, with the published figures; every option it names works."""
import re
from collections import Counter

import pytest
from helpers import ROOT, bound_config
from mmengine.config import DictAction
from mmengine.registry import MODELS, init_default_scope

from decur.evaluation.published import PAPER, PUBLISHED, SETTINGS

MAP = (ROOT / 'configs' / 'README.md').read_text(encoding='utf-8')
ROWS = {match[1]: row for row in MAP.partition('## Earlier names')[0].splitlines()
        if (match := re.search(r'`.*configs/(\S+\.py)\b.*` \|$', row))}
PATHS = sorted(str(path.relative_to(ROOT / 'configs')) for path in (ROOT / 'configs').rglob('*.py')
               if '_base_' not in path.parts and path.name != 'study.py')
SENSORS = {'s1-s2', 's1', 's2', 's1-s2-dem', 'rgb-dem', 'rgb', 'rgb-hha', 'rgb-disparity', 'optical-dem', 'optical-radar',
           'optical-radar-height', 'camera-lidar', 'first-second'}
ENCODER = re.compile(r'r50(-rda|-da|-cross-da|-cbam)?|vit-s16|small-resnet|(cmx-|fcn-)?mit-b[0-5]')
PROTOCOLS = {'decur', 'decur-contrast', 'decur-subsets', 'simclr', 'clip', 'barlow-twins', 'vicreg', 'frozen', 'finetune', 'published',
             'upernet', 'segformer', 'scene', 'shares', 'height', 'change'}


def test_every_config_is_in_the_map_and_nothing_else():
    assert sorted(ROWS) == PATHS and sum(path.name != 'study.py' for path in (ROOT / 'configs').rglob('*.py')) <= 125


def test_names_follow_the_rule():
    stems = [path.rpartition('/')[2].removesuffix('.py') for path in PATHS]
    assert [stem for stem, count in Counter(stems).items() if count > 1] == [], 'work directories would be shared'
    for stem in stems:
        if stem != 'decur_sunrgbd':
            _, sensors, encoder, protocol = stem.split('_')
            assert sensors in SENSORS and ENCODER.fullmatch(encoder) and protocol in PROTOCOLS, stem


@pytest.mark.parametrize('path', PATHS)
def test_a_name_says_what_the_config_is(path):
    """Sensors, encoder and protocol of the name are those of the bound config."""
    stem = path.rpartition('/')[2].removesuffix('.py')
    _, sensors, encoder, protocol = ('sunrgbd_rgb-hha_mit-b2_decur' if stem == 'decur_sunrgbd' else stem).split('_')
    cfg = bound_config(path)
    sentinel = ('decur/s', 'decur/t', 'baselines/s', 'class', 'land', 'sites', 'ombria', 'heads')
    names = {'sar': 's1', 'optical': 's2'} if path.startswith(sentinel) else {}
    found = dict.fromkeys(name.removesuffix('_before').removesuffix('_after') for name in cfg.model.backbone.modalities)
    assert '-'.join(names.get(name, name) for name in found) == sensors
    for entry in cfg.model.backbone.modalities.values():
        kind = entry.encoder.type.rpartition('.')[2]
        want = dict(r50='ResNet', vit='VisionTransformer', small='SmallResNet', mit='DecurMixVisionTransformer')
        family = encoder.removeprefix('cmx-').removeprefix('fcn-').split('-')
        assert kind == want[family[0]]
        if kind == 'ResNet':
            assert entry.encoder.depth == 50
            found = {'-' + step.type.lower() for step in (entry.get('attention') or {}).values()} or {''}
            if cfg.model.backbone.get('interactions'):
                found = {'-cross-da'}
            assert found == {encoder.removeprefix('r50')}
        if family[0] == 'mit':
            assert entry.encoder.arch == family[1]
    heads = dict(decur='DeCURHead', simclr='MultimodalSimCLRHead', clip='MultimodalCLIPHead', vicreg='MultimodalVICRegHead',
                 **{'barlow-twins': 'MultimodalBarlowTwinsHead', 'decur-contrast': 'DeCURHead', 'decur-subsets': 'SubsetDeCURHead'})
    if protocol in heads:
        assert cfg.model.head.type == heads[protocol]
        assert ([term.type for term in cfg.model.head.get('extra', ())] == ['SampleContrastTerm']) == (protocol == 'decur-contrast')
    elif protocol in ('frozen', 'finetune'):
        assert bool(cfg.model.backbone.get('frozen')) == (protocol == 'frozen')


def test_published_figures_are_those_of_the_tables():
    for path, row in ROWS.items():
        own = {setting: options for (name, options), setting in SETTINGS.items() if name == path.rpartition('/')[2].removesuffix('.py')}
        expected = {}
        for (setting, method), (value, source) in PUBLISHED.items():
            if setting in own:
                text = f'{value:.1f}' + '†' * (source == PAPER) + (f' ({setting.labels} %)' if setting.labels != 100 else '')
                expected.setdefault(method, set()).add(text)
        cell = row.split(' | ')[4].strip(' |') if 'configs/' not in row.split(' | ')[4] else ''
        found = {}
        for part in filter(None, cell.split('; ')):
            method, _, values = re.match(r'(Barlow Twins|\S+)( )(.*)', part).groups()
            found[method] = set(values.split(', '))
        assert found == expected, path


def options_of(wanted):
    row = next(line for line in MAP.splitlines() if line.startswith(f'| {wanted}'))
    return re.findall(r'`([^`]+)`', row)


@pytest.mark.parametrize('wanted, path, value', [
    ('a share of the labels', 'fcn/geonrw_rgb_r50_frozen.py', lambda cfg: cfg.train_dataloader.dataset.fraction == 0.01),
    ('start from an encoder', 'fcn/geonrw_rgb_r50_frozen.py', lambda cfg: cfg.model.backbone.pretrained == 'CHECKPOINT'),
    ('no ImageNet weights', 'decur/decur_sunrgbd.py', lambda cfg: cfg.model.backbone.modalities.rgb.encoder.init_cfg is None),
    ("GeoNRW's background", 'fcn/geonrw_rgb_r50_frozen.py', lambda cfg: cfg.test_dataloader.dataset.background),
    ('one modality left out', 'sites/sites_s1-s2-dem_small-resnet_decur.py', lambda cfg: 'rgb' not in cfg.model.backbone.modalities),
    ('seasons of SSL4EO', 'decur/ssl4eo_s1-s2_r50_decur.py', lambda cfg: cfg.train_dataloader.dataset.pipeline[0].mode == 'paired'),
    ('another objective', 'quickstart/rooms_rgb-hha_small-resnet_decur.py', lambda cfg: cfg.model.head == dict(type='MultimodalCLIPHead')),
    ('other data', 'fcn/geonrw_rgb_r50_frozen.py', lambda cfg: cfg.test_dataloader.dataset.data_root == 'FOLDER'),
])
def test_options_of_the_map_take_effect(wanted, path, value):
    text = options_of(wanted)[0].replace('NAME', 'dem' if 'sites' in path else 'rgb')
    options = {key: DictAction._parse_iterable(item) for key, item in (part.split('=', 1) for part in text.split())}
    cfg = bound_config(path, options)
    assert value(cfg)
    if 'sites' in path:
        assert list(cfg.model.backbone.modalities) == list(cfg.train_dataloader.dataset.modalities) == ['sar', 'optical']
    if wanted == 'another objective':
        init_default_scope('mmpretrain')
        MODELS.build(cfg.model.head)


def test_earlier_names_lead_to_configs():
    """The table of earlier names: every place it points to exists."""
    def expand(text):
        match = re.search(r'\{([^{}]+)\}', text)
        return [text] if not match else [r for option in match[1].split(',') for r in expand(text.replace(match[0], option, 1))]

    targets = [target for row in MAP.partition('## Earlier names')[2].splitlines() if row.startswith('| ')
               for target in re.findall(r'`([^`]+\.py)`', row.split(' | ')[1])]
    assert len(targets) > 20
    for target in targets:
        for path in expand(target):
            assert list((ROOT / 'configs').glob(path)), path

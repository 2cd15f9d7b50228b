"""The metafile of each folder of configs and model-index.yml, which OpenMMLab's ``mim search`` and ``mim download`` read.

``python docs/metafiles.py`` writes them: from the name of a config (configs/README.md has the rule), from the config itself, from
``decur/evaluation/published.py`` and, for the weights, from ``decur/weights/zoo.py``. tests/configs/test_metafiles.py keeps them true. No
result in them was computed by this project.
"""
from pathlib import Path

import yaml
from mmengine.config import Config

from decur.evaluation.published import FIGURES, PAPER, PUBLISHED, SETTINGS
from decur.weights import zoo

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
INDEX = ROOT / 'model-index.yml'

DATA = {
    'bigearthnet': 'BigEarthNet-MM', 'geonrw': 'GeoNRW', 'ssl4eo': 'SSL4EO-S12 v1.0', 'ssl4eo-v11': 'SSL4EO-S12 v1.1',
    'ssl4eo-v11-shards': 'SSL4EO-S12 v1.1, tar shards', 'terramesh': 'TerraMesh',
    'sunrgbd': 'SUN-RGBD', 'nyudv2': 'NYU-Depth v2', 'ombria': 'OMBRIA', 'ombria-dates': 'OMBRIA, single dates',
    'sites': 'five sites', 'potholes': 'stereo potholes', 'water': 'water', 'rooms': 'generated rooms',
    'landcover': 'generated land cover', 'shapes': 'rendered factors', 'places': 'rendered factors', 'gaussian': 'Gaussian factors'
}
PROTOCOLS = {
    'decur': 'pretraining with DeCUR', 'decur-contrast': 'pretraining with DeCUR and contrast of samples',
    'decur-subsets': 'pretraining with DeCUR, a block of dimensions for a pair of modalities',
    'simclr': 'pretraining with SimCLR', 'clip': 'pretraining with CLIP',
    'barlow-twins': 'pretraining with Barlow Twins', 'vicreg': 'pretraining with VICReg', 'frozen': 'transfer, encoders frozen',
    'finetune': 'transfer, encoders fine-tuned', 'published': "test of the authors' weights",
    'upernet': 'transfer, UPerNet', 'segformer': 'transfer, SegFormer head', 'scene': 'transfer, one class for a scene',
    'shares': 'transfer, numbers for a scene', 'height': 'transfer, a number for every pixel',
    'change': 'change between two dates'
}
TASKS = {'classification': 'Multi-label classification'}
#: Checkpoints of the paper's authors with both encoders, by config. In their names: `decur convert` fits them to the config.
WEIGHTS = {entry.config.rpartition('/')[2]: entry.address for entry in zoo.WEIGHTS.values()
           if entry.method == 'DeCUR' and len(entry.modalities) == 2}
HEAD = ('# Written by docs/metafiles.py. Figures are those that the paper publishes, for the code of its authors; none was computed by '
        'this project.\n')


def configs() -> list:
    """Every config that is run, without the parts that configs share and the list of the study's runs."""
    return sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts and path.name != 'study.py')


def results(stem: str, folder: str) -> list | None:
    """The published figures of a config, marked as such."""
    found = {}
    for (name, _), setting in SETTINGS.items():
        if name != stem:
            continue
        for (published, method), (value, source) in PUBLISHED.items():
            if published == setting:
                share = '' if setting.labels == 100 else f' at {setting.labels} % of the labels'
                where = 'second-hand from the paper' if source == PAPER else 'from the supplement'
                found[f'{FIGURES[setting.dataset][1]} of {method}{share}, published, {where}'] = value
                dataset = setting.dataset
    if not found:
        return None
    return [dict(Task=TASKS.get(folder, 'Semantic segmentation'), Dataset=dataset, Metrics=found)]


def model(path: Path) -> dict:
    """The entry of a config."""
    stem, folder = path.stem, path.parent.name
    data, sensors, encoder, protocol = ('sunrgbd_rgb-hha_mit-b2_decur' if stem == 'decur_sunrgbd' else stem).split('_')
    cfg = Config.fromfile(path, import_custom_modules=False)
    facts = {'Training Data': DATA[data], 'Sensors': sensors, 'Encoder': encoder, 'Protocol': PROTOCOLS[protocol]}
    for key, name in (('max_epochs', 'Epochs'), ('max_iters', 'Iterations')):
        if (cfg.get('train_cfg') or {}).get(key):
            facts[name] = cfg.train_cfg[key]
    if cfg.get('train_dataloader'):
        facts['Batch Size of a Process'] = cfg.train_dataloader.batch_size
    entry = {'Name': stem, 'Metadata': facts, 'In Collection': 'DeCUR', 'Results': results(stem, folder)}
    if stem in WEIGHTS:
        facts['Weights From'] = "the paper's authors, in their names; tools/convert_checkpoint.py fits them to this config"
        entry['Weights'] = WEIGHTS[stem]
    return {**entry, 'Config': path.relative_to(ROOT).as_posix()}


def metafiles() -> dict:
    """``{path: text}`` of every metafile and of the index."""
    collection = {
        'Name': 'DeCUR',
        'Metadata': {'Architecture': ['ResNet', 'Mix Vision Transformer', 'Vision Transformer'],
                     'Training Techniques': ['self-supervised learning', 'redundancy reduction']},
        'Paper': {'Title': 'Decoupling Common and Unique Representations for Multimodal Self-supervised Learning',
                  'URL': 'https://arxiv.org/abs/2309.05300'},
        'README': 'configs/README.md',
    }
    folders = {}
    for path in configs():
        folders.setdefault(path.parent, []).append(model(path))
    texts = {}
    for folder, models in folders.items():
        content = dict(Collections=[collection]) if folder.name == 'decur' else {}
        texts[folder / 'metafile.yml'] = HEAD + _text({**content, 'Models': models})
    texts[INDEX] = _text({'Import': [path.relative_to(ROOT).as_posix() for path in sorted(texts)]})
    return texts


def _text(content: dict) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=140)


if __name__ == '__main__':
    for file, text in metafiles().items():
        file.write_text(text, encoding='utf-8')
        print(f'wrote {file.relative_to(ROOT)}')

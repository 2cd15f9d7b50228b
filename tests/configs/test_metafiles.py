"""The metafiles say what the configs are, and publish no figure as ours."""
import importlib.util
import re

import pytest
import yaml
from helpers import ROOT
from modelindex.load_model_index import load

from decur.evaluation.published import PUBLISHED

spec = importlib.util.spec_from_file_location('metafiles', ROOT / 'docs' / 'metafiles.py')
metafiles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metafiles)
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))
MODELS = [model for path in INDEX['Import'] for model in yaml.safe_load((ROOT / path).read_text(encoding='utf-8'))['Models']]


def test_every_config_has_one_entry_and_every_entry_a_config():
    assert sorted(model['Config'] for model in MODELS) == [path.relative_to(ROOT).as_posix() for path in metafiles.configs()]
    names = [model['Name'] for model in MODELS]
    assert len(set(names)) == len(names) and all(model['Config'].endswith(f'/{model["Name"]}.py') for model in MODELS)


def test_the_files_are_those_of_today():
    for path, text in metafiles.metafiles().items():
        assert path.read_text(encoding='utf-8') == text, 'run: python docs/metafiles.py'


def test_every_figure_is_a_published_one_and_says_so():
    values = {value for value, _ in PUBLISHED.values()}
    figures = [(key, value) for model in MODELS for result in model['Results'] or () for key, value in result['Metrics'].items()]
    assert len(figures) > 40
    for key, value in figures:
        assert value in values and re.search(r', published, (second-hand from the paper|from the supplement)$', key)


@pytest.mark.parametrize('name, key, value', [
    ('bigearthnet_s1_r50-da_frozen', 'mAP micro of DeCUR at 1 % of the labels, published, from the supplement', 73.5),
    ('sunrgbd_rgb_r50_finetune', 'mIoU of CLIP, published, second-hand from the paper', 30.5)])
def test_two_figures_read_by_hand(name, key, value):
    model = next(model for model in MODELS if model['Name'] == name)
    assert model['Results'][0]['Metrics'][key] == value


def test_the_library_that_mim_uses_reads_them():
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert len(index.models) == len(MODELS) and index.collections[0].name == 'DeCUR'

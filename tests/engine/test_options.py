"""Options of the command line arrive as they were typed, with the type that the config has there."""
import math

import pytest
from mmengine.config import Config

import decur  # noqa: F401
from decur.engine.options import OptionText, apply_options, check_top_level, chosen, convert
from decur.errors import ConfigError


def config():
    return Config(dict(
        default_scope='mmpretrain', custom_imports=dict(imports=['decur']), load_from=None,
        modalities=dict(sar=dict(channels=2, bands=('VV', 'VH'), mean=[0.0], files=dict(folder='s1', suffix='.tif'))),
        model=dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', out_indices=(0, 1, 2, 3), pretrained=None)),
        train_dataloader=dict(batch_size=4, persistent_workers=True, dataset=dict(
            type='PairedRasterDataset', data_root='x', metainfo=dict(classes=['a', 'b']),
            pipeline=[dict(type='LoadModalities'), dict(type='ViewAugmentation', size=24, value_range=(0.0, 1.0))])),
        train_cfg=dict(by_epoch=True, max_epochs=3), param_scheduler=[dict(type='CosineAnnealingLR', T_max=3)],
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))))


def applied(**options):
    cfg = config()
    texts = {key.replace('__', '.'): OptionText(value) for key, value in options.items()}
    apply_options(cfg, texts)
    return [value for value in chosen(cfg, texts).values()][0]


ROOT = 'train_dataloader__dataset__data_root'


@pytest.mark.parametrize('text', ['/data/my sites', '2024', '1e5', 'None', 'True', 'tiles,64', '[S1] scenes', "it's (new)", 'dönnées 数据',
                                  'a=b', ' leading', '{x}', '(1,2)', 'nan', '-1', '007', 'C:\\data', "'half"])
def test_a_path_is_taken_as_it_is_typed(text):
    assert applied(**{ROOT: text}) == text


@pytest.mark.parametrize('text, value', [('"/my sites"', '/my sites'), ("'2024'", '2024'), ('"a, b"', 'a, b')])
def test_quotation_marks_around_the_whole_are_taken_off(text, value):
    assert applied(**{ROOT: text}) == value


@pytest.mark.parametrize('key, text, value', [
    ('train_dataloader__batch_size', '16', 16), ('train_cfg__max_epochs', '1e2', 100), ('optim_wrapper__optimizer__lr', '1e-3', 1e-3),
    ('optim_wrapper__optimizer__lr', '1', 1), ('train_dataloader__persistent_workers', 'false', False),
    ('param_scheduler__0__T_max', '7', 7), ('model__backbone__out_indices', '0,1', (0, 1)),
    ('model__backbone__out_indices', '[0,1]', [0, 1]),
    ('modalities__sar__mean', '-12.5,-20', [-12.5, -20]), ('modalities__sar__bands', 'VV, VH', ('VV', 'VH')),
    ('modalities__sar__bands', '1,2', ('1', '2')), ('train_dataloader__dataset__metainfo__classes', '["a, b", c d]', ['a, b', 'c d']),
    ('train_dataloader__dataset__metainfo__classes', 'water', ['water']), ('train_dataloader__dataset__pipeline__1__value_range', '(0,255)',
                                                                           (0, 255)),
    # Nothing is there: the argument's annotation decides.
    ('model__backbone__pretrained', 'my weights, 2.pth', 'my weights, 2.pth'), ('model__backbone__pretrained', '2024', '2024'),
    ('model__backbone__pretrained', 'None', None), ('model__backbone__frozen', 'True', True),
    ('train_dataloader__dataset__num_samples', '12', 12), ('load_from', '1e5', '1e5'), ('load_from', 'None', None),
    # Or the text alone.
    ('model__backbone__fusion', "{'type': 'ConcatFusion'}", dict(type='ConcatFusion')), ('modalities__sar', 'None', None),
    ('modalities__sar__std', '5.3,5.9', [5.3, 5.9]),
])
def test_a_value_has_the_type_that_is_expected_there(key, text, value):
    found = applied(**{key: text})
    assert found == value and type(found) is type(value) or isinstance(value, dict) and found == value


def test_numbers_that_are_words_and_lists_in_lists():
    assert math.isnan(convert('nan', 1.0)) and convert('inf', 1.0) == math.inf
    assert convert('[(1, 2), [x, "y, z"]]', None) == [(1, 2), ['x', 'y, z']]
    assert convert('[]', ['a']) == [] and convert('None', ['a']) is None
    assert convert('7', [1, 2]) == [7] and convert('224', (1, 2), int | tuple) == 224


@pytest.mark.parametrize('key, text, said', [
    ('train_dataloder__batch_size', '4', "no 'train_dataloder' (did you mean 'train_dataloader'?)"),
    ('train_dataloader__batchsize', '4', "train_dataloader has no 'batchsize' (did you mean 'batch_size'?)"),
    ('train_dataloader__dataset__data_rot', 'x', "(did you mean 'data_root'?)"),
    ('modalities__sar__chanels', '3', "(did you mean 'channels'?)"),
    ('model__backbone__pretraind', 'x.pth', "(did you mean 'pretrained'?)"),
    ('train_cfg__max_epoch', '3', "(did you mean 'max_epochs'?)"),
    ('train_dataloader__dataset__pipeline__1__sise', '3', "(did you mean 'size'?)"),
    ('param_scheduler__3__T_max', '7', 'a list of 1; give a place from 0 to 0'),
    ('param_scheduler', '7', 'for example param_scheduler.0.type=VALUE'),
    ('train_dataloader', 'x', 'for example train_dataloader.batch_size=VALUE'),
    ('train_dataloader__batch_size', 'many', 'expected a number, as the config has there (4)'),
    ('train_dataloader__persistent_workers', 'perhaps', 'expected True or False'),
    ('modalities__sar__mean', '[1,2', 'do not match'),
    ('modalities__sar__mean', '1,x', "expected numbers, as the config has there ([0.0]), got 'x'"),
    ('model__backbone__fusion', '{type: 1', "Python's notation"),
    ('model__backbone__out_indices__0', '2', 'is a tuple'),
])
def test_what_cannot_be_is_an_error_that_names_the_cure(key, text, said):
    with pytest.raises(ConfigError) as error:
        applied(**{key: text})
    assert said in str(error.value) and key.replace('__', '.') in str(error.value) and '\n' not in str(error.value)


def test_a_list_of_groups_is_given_in_the_notation_of_python():
    assert applied(param_scheduler="[{'type': 'PolyLR', 'power': 0.9}, {'type': 'LinearLR'}]") == [
        dict(type='PolyLR', power=0.9), dict(type='LinearLR')]
    assert applied(param_scheduler="[dict(type='PolyLR', power=0.9), dict(type='LinearLR')]") == [
        dict(type='PolyLR', power=0.9), dict(type='LinearLR')]
    assert applied(load_from='f(a, b)') == 'f(a, b)'


def test_values_from_python_are_taken_as_they_are_and_their_keys_are_checked():
    cfg = config()
    apply_options(cfg, {'train_dataloader.dataset.data_root': 5, 'modalities.sar.encoder': dict(type='ResNet')})
    assert cfg.train_dataloader.dataset.data_root == 5 and cfg.modalities.sar.encoder.type == 'ResNet'
    with pytest.raises(ConfigError, match="did you mean 'batch_size'"):
        apply_options(cfg, {'train_dataloader.batch_sise': 5})


def test_a_misspelt_key_at_the_top_of_a_file_is_found_and_variables_are_not_taken_for_one():
    check_top_level(dict(config(), train_pipeline=[], crop_size=(1, 2), data='x', views=1))
    for wrong, right in (('train_dataloder', 'train_dataloader'), ('modalites', 'modalities'), ('optim_wraper', 'optim_wrapper')):
        with pytest.raises(ConfigError, match=f"nothing reads its top-level '{wrong}'.*did you mean '{right}'"):
            check_top_level({wrong: 1})


def test_a_variable_of_the_file_cannot_be_overridden_without_effect():
    cfg = config()
    cfg.crop_size = (480, 480)
    with pytest.raises(ConfigError, match="'crop_size' is a variable of the config file"):
        apply_options(cfg, {'crop_size': OptionText('320,320')})


@pytest.mark.parametrize('text, old, value', [
    ("[dict(type='X'), dict(type='Y', a=[1, dict(b=2)])]", None, [dict(type='X'), dict(type='Y', a=[1, dict(b=2)])]),
    ("dict(_delete_=True, type='H', between='views')", dict(type='D'), dict(_delete_=True, type='H', between='views')),
    ("[dict(type='X')]", [dict(type='A')], [dict(type='X')]), ('dict', 'word', 'dict')])
def test_groups_as_configs_write_them(text, old, value):
    assert convert(text, old) == value


@pytest.mark.parametrize('text', ["dict(a=__import__('os').system('x'))", 'dict(1)', "dict(**{'a': 1})", 'dict(', 'dict(a=' + '(' * 500])
def test_a_group_that_calls_something_is_refused(text):
    with pytest.raises(ConfigError, match="Python's notation"):
        convert(text, {})

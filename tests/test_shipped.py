"""Configs by their names, and the command ``decur``."""
import runpy
import sys

import pytest
from helpers import ROOT

import decur
from decur.engine import load_config
from decur.errors import ConfigError
from decur.shipped import find_config
from decur_command import COMMANDS, main

PATH = ROOT / 'configs' / 'decur' / 'decur_sunrgbd.py'


@pytest.mark.parametrize('name', [
    'decur::decur/decur_sunrgbd.py', 'decur::configs/decur/decur_sunrgbd.py', 'configs/decur/decur_sunrgbd.py', 'decur/decur_sunrgbd',
    'decur_sunrgbd.py', 'decur_sunrgbd'])
def test_a_config_is_found_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == PATH
    (tmp_path / 'decur_sunrgbd.py').write_text('')
    if name == 'decur_sunrgbd.py':
        assert find_config(name).resolve() == tmp_path / name, 'a file that exists comes first'


@pytest.mark.parametrize('name, match', [
    ('configs/decur/decur_sunrgb.py', "no config of the package .did you mean 'decur/decur_sunrgbd'"),
    ('decur_sunrgb', "did you mean 'decur/decur_sunrgbd'"), ('/no/such.py', "'/no/such.py' does not exist.$"),
    ('../decur_sunrgbd.py', 'does not exist.$'), ('', 'does not exist')])
def test_an_unknown_config_is_one_line_that_names_the_closest(name, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=match):
        find_config(name)


@pytest.mark.parametrize('base', ['decur::quickstart/rooms_rgb_small-resnet_frozen.py',
                                  'decur::configs/quickstart/rooms_rgb_small-resnet_frozen.py'])
def test_a_config_of_the_package_as_a_base_is_what_it_is(base, tmp_path):
    """Its classes are those of the library that its own default_scope names, not of a scope of this package."""
    (tmp_path / 'child.py').write_text(f'_base_ = [{base!r}]\nwork_dir = "own"')
    child, parent = load_config(str(tmp_path / 'child.py')), load_config(base)
    assert child.pop('work_dir') == 'own'
    parent.pop('work_dir')
    assert child.to_dict() == parent.to_dict()
    assert decur.build_model(child).decode_head.num_classes == parent.model.decode_head.num_classes


def test_every_tool_has_a_command_and_every_command_a_tool():
    folder = ROOT / 'tools'
    tools = {path.relative_to(folder).as_posix() for path in [*folder.glob('*.py'), *folder.glob('analysis/*.py')]}
    # The launcher of the shell tools, what tools share, and what is run in a checkout: studies, their figures and splits.
    studies = {'study.py', 'better.py', 'better_baselines.py', 'compare.py', 'reproduce.py', 'ombria.py', 'ombria_figure.py',
               'ombria_explain.py', 'ombria_tuning.py', 'ombria_shift.py', 'analysis/ombria_scenes.py', 'analysis/water_scenes.py'}
    assert tools - {'torchrun.py', 'steps.py', 'resumable.py', *studies} == {tool for tool, _ in COMMANDS.values()}
    assert all((ROOT / 'tools' / tool).is_file() for tool, _ in COMMANDS.values())


def test_the_command_lists_itself_and_names_the_closest(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--help'])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and all(f'\n  {name} ' in out for name in COMMANDS)
    with pytest.raises(SystemExit, match="no command 'trian' .did you mean 'train'"):
        main(['trian'])
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_a_command_is_its_tool(tmp_path, monkeypatch, capsys):
    """It says and does what the tool says and does, with the same arguments, and calls itself by its own name."""
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])

    def outcome(run, *arguments):
        monkeypatch.setattr(sys, 'argv', ['table.py', *arguments])
        try:
            run()
            status = 0
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    def tool():
        runpy.run_path(str(ROOT / 'tools' / 'table.py'), run_name='__main__')

    for arguments in ([str(tmp_path)], [str(tmp_path), '--out', 'a.txt'], ['--help']):
        status, out, err = outcome(tool, *arguments)
        same = outcome(lambda given=arguments: main(['table', *given]), *arguments)
        assert same == (status, out.replace('table.py', 'decur table'), err.replace('table.py', 'decur table'))
    assert out.startswith('usage: table.py')

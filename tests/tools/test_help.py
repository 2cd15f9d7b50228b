"""``--help`` of every tool answers before anything that takes seconds is imported, and says what the whole program would."""
import re
import subprocess
import sys

import pytest
from helpers import ROOT, run_code

from decur_command import COMMANDS

TOOLS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('tools/**/*.py')
               if "__main__'" in path.read_text(encoding='utf-8'))
#: Sub-commands of tools that have them.
DATASETS = ['sunrgbd', 'nyudv2', 'ssl4eo', 'bigearthnet', 'geonrw', 'ombria', 'potholes']
SECOND_LEVEL = [*(f'tools/prepare_dataset.py {name}' for name in DATASETS),
                *(f'tools/generate_dataset.py {name}' for name in ('rooms', 'landcover', 'tiles', 'shards'))]
#: Runs a program for each tool in this process, which has none of the modules that take seconds.
ALL = """
import contextlib, io, json, os, runpy, sys, time
out = {}
for command in sys.argv[1:]:
    tool, *subcommand = command.split()
    sys.path.insert(0, os.path.dirname(tool))
    text, start = io.StringIO(), time.process_time()
    sys.argv = [tool, *subcommand, '--help']
    try:
        with contextlib.redirect_stdout(text):
            runpy.run_path(tool, run_name='__main__')
    except SystemExit as end:
        assert not end.code, command
    heavy = sorted(set(sys.modules) & {'torch', 'mmengine', 'decur', 'cv2', 'rasterio'})
    out[command] = [text.getvalue(), heavy, time.process_time() - start]
    for name in heavy:  # a tool that breaks the rule is not to hide the next
        for module in [key for key in sys.modules if key.partition('.')[0] == name]:
            del sys.modules[module]
print(json.dumps(out))
"""


@pytest.fixture(scope='module')
def answers():
    import json
    done = subprocess.run([sys.executable, '-c', ALL, *TOOLS, *SECOND_LEVEL], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_command_has_its_tool():
    assert {f'tools/{tool}' for tool, _ in COMMANDS.values()} <= set(TOOLS)


@pytest.mark.parametrize('command', TOOLS + SECOND_LEVEL)
def test_help_needs_none_of_what_takes_seconds(answers, command):
    text, heavy, seconds = answers[command]
    assert text.startswith(f'usage: {command.rpartition("/")[2]} ') and not heavy
    assert seconds < 1


@pytest.mark.parametrize('tool', ['tools/prepare_dataset.py', 'tools/generate_dataset.py'])
def test_every_sub_command_is_asked(answers, tool):
    listed = re.search(r'\{(.*?)\}', answers[tool][0])[1].split(',')
    assert [f'{tool} {name}' for name in listed] == [command for command in SECOND_LEVEL if command.startswith(tool)]


def test_the_data_sets_and_worlds_on_the_command_lines_are_those_of_the_packages():
    """Titles, choices, and arguments that the classes take."""
    code = """
import inspect, runpy
from decur.datasets.ssl4eo import V11_FOLDERS, V11_SPLITS
from decur.prepare.releases import RELEASES
from decur.prepare.ssl4eo import build
from decur_worlds import landcover_layouts, rgbd_layouts, shard_layouts
tool = runpy.run_path('tools/prepare_dataset.py')
assert [r.command for r in RELEASES] == list(tool['DATASETS'])
for release in RELEASES:
    assert tool['DATASETS'][release.command][0] == release.title
    takes = inspect.signature(build if release.command == 'ssl4eo' else release).parameters
    for flag, rest in tool['OPTIONS'].get(release.command, []):
        name = rest.get('dest') or flag.strip('-').replace('-', '_')
        default = {'store_true': False, 'store_false': True}.get(rest.get('action'), rest.get('default'))
        default = tuple(default) if isinstance(default, list) else default
        assert takes[name].default == default, (release, name)
products, split = (rest for _, rest in tool['OPTIONS']['ssl4eo'])
assert products['choices'] == sorted(V11_FOLDERS) and split['choices'] == list(V11_SPLITS)
tool = runpy.run_path('tools/generate_dataset.py')
assert tool['ROOM_LAYOUTS'] == ['prepared', *rgbd_layouts.LAYOUTS]
assert tool['LANDCOVER_LAYOUTS'] == list(landcover_layouts.LAYOUTS) and tool['SHARD_RELEASES'] == list(shard_layouts.RELEASES)
"""
    done = run_code(code)
    assert done.returncode == 0, done.stderr


def test_help_behind_a_sub_command_of_decur_is_that_one_s():
    done = subprocess.run([sys.executable, '-m', 'decur_command', 'prepare', 'ssl4eo', 'SRC', '--help'], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert re.search('usage: decur prepare ssl4eo .*--dry-run', done.stdout, re.S) and not done.stderr


def test_choices_and_defaults_that_are_written_in_a_tool_are_those_of_the_package():
    code = """
import runpy, sys
sys.path.insert(0, 'tools')
from decur.explain.folder import ANALYSES, Options
from decur.explain.gradcam import SIGNS
from decur.explain.representation import LEVELS
from own_project.proposals import KINDS
sys.argv = ['x', 'CONFIG', 'CHECKPOINT', '--out', 'OUT']
explain = runpy.run_path('tools/explain.py')
args = vars(explain['parse_args']())
default = {name: value for name, value in vars(Options()).items() if name in args}
assert {name: args[name] for name in default} == default, (args, default)
sys.argv[1:] = ['--help']
for file, texts in {'explain': [ANALYSES, LEVELS, SIGNS], 'decoupling': [LEVELS], 'new_project': []}.items():
    try:
        runpy.run_path(f'tools/{file}.py')['parse_args']()
    except SystemExit:
        pass
    for choices in texts:
        print('{' + ','.join(choices) + '}')
print(', '.join(KINDS))
"""
    done = run_code(code)
    assert done.returncode == 0, done.stderr
    shown, expected = done.stdout, [line for line in done.stdout.splitlines() if re.fullmatch(r'\{.*\}|sar, .*other', line)]
    assert len(expected) == 5
    words = ' '.join(shown.split())
    assert all(words.count(line) >= 2 for line in expected), expected


def test_help_may_stand_behind_other_arguments_and_names_the_command():
    done = subprocess.run([sys.executable, '-m', 'decur_command', 'infer', 'CONFIG', '--device', 'nonsense', '-h'], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith('usage: decur infer') and not done.stderr

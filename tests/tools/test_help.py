"""``--help`` of every tool answers before anything that takes seconds is imported, and says what the whole program would."""
import re
import subprocess
import sys

import pytest
from helpers import ROOT, run_code

from decur_command import COMMANDS

#: torchrun's arguments are PyTorch's own.
TOOLS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('tools/**/*.py')
               if "__main__'" in path.read_text(encoding='utf-8') and path.name != 'torchrun.py')
#: Runs a program for each tool in this process, which has none of the modules that take seconds.
ALL = """
import contextlib, io, json, os, runpy, sys, time
out = {}
for tool in sys.argv[1:]:
    sys.path.insert(0, os.path.dirname(tool))
    text, start = io.StringIO(), time.process_time()
    sys.argv = [tool, '--help']
    try:
        with contextlib.redirect_stdout(text):
            runpy.run_path(tool, run_name='__main__')
    except SystemExit as end:
        assert not end.code, tool
    heavy = sorted(set(sys.modules) & {'torch', 'mmengine', 'decur', 'cv2', 'rasterio'})
    out[tool] = [text.getvalue(), heavy, time.process_time() - start]
    for name in heavy:  # a tool that breaks the rule is not to hide the next
        for module in [key for key in sys.modules if key.partition('.')[0] == name]:
            del sys.modules[module]
print(json.dumps(out))
"""


@pytest.fixture(scope='module')
def answers():
    import json
    done = subprocess.run([sys.executable, '-c', ALL, *TOOLS], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_command_has_its_tool():
    assert {f'tools/{tool}' for tool, _ in COMMANDS.values()} <= set(TOOLS)


@pytest.mark.parametrize('tool', TOOLS)
def test_help_needs_none_of_what_takes_seconds(answers, tool):
    text, heavy, seconds = answers[tool]
    assert text.startswith('usage: ') and not heavy
    assert seconds < 1


@pytest.mark.parametrize('tool', ['tools/prepare_dataset.py', 'tools/generate_dataset.py'])
def test_sub_commands_are_those_of_the_program(answers, tool):
    """The list that answers at once is the one that the classes give."""
    code = (f"import runpy, sys\nsys.argv = [{tool!r}, '--help']\ntool = runpy.run_path({tool!r}, run_name='tool')\ntool['main']()")
    assert run_code(code).stdout == answers[tool][0]


def test_help_of_a_sub_command_is_its_own():
    code = "import runpy, sys\nsys.argv = ['x', 'ssl4eo', '--help']\nrunpy.run_path('tools/prepare_dataset.py', run_name='__main__')"
    assert re.search('usage: prepare_dataset.py ssl4eo .*--dry-run', run_code(code).stdout, re.S)


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

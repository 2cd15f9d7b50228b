"""Every command and every block of Python in the documents is right: its tool takes it, and what it names exists.

tests/test_pages.py runs them; what it does not run, and why, stands there.
"""
import ast
import contextlib
import functools
import re
import tomllib

import documented
import pytest
from documented import DOCUMENTS, ROOT, Command

from decur.engine import load_config
from decur.errors import ConfigError
from decur.shipped import find_config
from decur_command import COMMANDS

#: CONFIG stands for one of these, of which one must have the options that follow.
CONFIGS = ('configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', 'configs/quickstart/rooms_rgb-hha_small-resnet_frozen.py',
           'configs/sites/sites_s1-s2_small-resnet_decur.py', 'configs/ombria/ombria_s1-s2_small-resnet_finetune.py')
#: Tools behind the shell's, and the places of their arguments that are the tool's.
SHELL = {'tools/dist_train.sh': ('tools/train.py', (0, 2)), 'tools/dist_test.sh': ('tools/test.py', (0, 1, 3)),
         'tools/slurm_train.sh': ('tools/train.py', (2, 4)), 'tools/slurm_test.sh': ('tools/test.py', (2, 3, 4))}
#: Options of other programs that the text names.
FOREIGN = {'--build-arg', '--lf', '--ff', '--shm-size', '--ipc', '--no-check'}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # parsers make the folders of outputs


@functools.cache
def load(config, options=()):
    return load_config(config, dict(options))


def check(command: Command) -> None:
    """Raise an error if the command is none."""
    program, *words = command.words
    program = program.removeprefix('.venv/bin/')
    for word in words:
        if re.match(r'(configs|tools|benchmarks|docs|integrations|tests|requirements|docker)/[\w/]+', word):
            assert (ROOT / word).exists(), f'{word} does not exist'
    if program == 'python':
        if words[0] == '-c':
            compile(words[1], '<command>', 'exec')
        elif words[0] != '-m' and not words[0].startswith('/'):  # of mmpretrain
            check_tool(command, words[0], words[1:])
    elif program == 'decur':
        if not words[0].startswith('-') and words[0] != 'COMMAND':
            assert words[0] in COMMANDS, f'decur has no command {words[0]}'
            check_tool(command, f'tools/{COMMANDS[words[0]][0]}', words[1:])
    elif program in SHELL:
        tool, places = SHELL[program]
        if command.fenced or len(words) > places[-1]:
            assert len(words) >= places[-1], f'{program} takes {places[-1]} words first'
            check_tool(command, tool, [words[place] for place in places[:-1]] + words[places[-1]:])
    elif program.startswith(('tools/', 'benchmarks/', 'docs/')):
        assert (ROOT / program).exists(), f'{program} does not exist'
        check_tool(command, program, words)
    elif program == 'make':
        text = (ROOT / 'Makefile').read_text(encoding='utf-8')
        for word in words:
            name, sign, _ = word.partition('=')
            assert re.search(rf'\$\({name}\)|^{name} \?=' if sign else rf'^{name}:', text, re.M), f'the Makefile has no {name}'
    elif program == 'pip':
        extras = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']['optional-dependencies']
        for word in words:
            for extra in re.findall(r'(?:decur|\.)\[([\w,-]+)\]', word):
                assert set(extra.split(',')) <= set(extras), f'no extra {extra}'


def check_tool(command: Command, tool: str, words: list) -> None:
    """Raise an error if a tool does not take these words, or the config that they name does not take their options."""
    assert (ROOT / tool).exists(), f'{tool} does not exist'
    if tool.startswith('docs/'):
        return  # their arguments are names of pages
    if not command.fenced and incomplete(tool, words):
        options = [word.split('=')[0] for word in words if word.startswith('--')]
        assert set(options) <= documented.options(tool), f'{tool} has no {options}'
        return  # named in a sentence, not written out
    args = documented.parse(tool, tuple(words))
    config, options = getattr(args, 'config', None), tuple((getattr(args, 'cfg_options', None) or {}).items())
    if not isinstance(config, str) or made_on_the_page(command.document, config):
        return
    if config.startswith('benchmarks/'):
        config = str(ROOT / config)
    if not re.fullmatch('[A-Z_]+', config):
        # tests/configs builds every config; most are transfers that have this option.
        if {key for key, _ in options} <= {'model.backbone.pretrained'}:
            find_config(config)
        else:
            load(config, options)
    elif options:
        fits_one(options)


def incomplete(tool: str, words: list) -> bool:
    """Whether a tool asks for more words than are there."""
    try:
        documented.parse(tool, tuple(words))
    except AssertionError as error:
        return 'arguments are required' in str(error) or 'expected ' in str(error)
    return False


def made_on_the_page(document: str, config: str) -> bool:
    """Whether a block of the page is that file."""
    return any(block.title == config for page in (document, 'docs/torchgeo.md')
               for block in documented.blocks(page)) or config.startswith('project/')


def fits_one(options) -> None:
    """Raise an error if no config has these options."""
    errors = []
    for config in CONFIGS:
        try:
            return load(config, options)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


@pytest.mark.parametrize('document', DOCUMENTS)
def test_commands_are_taken_by_their_tools(document):
    wrong = []
    for command in documented.commands(document):
        try:
            check(command)
        except (AssertionError, ConfigError, SyntaxError) as error:
            wrong.append(f'{command}\n    {error}')
    assert not wrong, '\n' + '\n'.join(wrong)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_options_in_the_text_exist(document):
    """``--name`` within a sentence is an option of one of the tools, and ``--cfg-options KEY=VALUE`` one of a config."""
    text, wrong = documented.prose(document), []
    for code in re.findall(r'(?<!`)`(-[^`]+)`(?!`)', text):
        code = ' '.join(code.split())
        name, _, value = code.partition(' ')
        name = name.partition('=')[0]
        if name.startswith('--') and name not in documented.options() | FOREIGN:
            wrong.append(f'no tool has {name}')
        if name == '--cfg-options' and 'KEY=' not in value and 'NAME' not in value:
            with contextlib.suppress(ValueError):
                from decur.engine.options import OptionText
                key, value = value.split('=', 1)
                try:
                    fits_one(((key, OptionText(value)),))
                except ConfigError as error:
                    wrong.append(str(error))
    assert not wrong, '\n' + '\n'.join(wrong)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_blocks_have_a_language_and_python_is_python(document):
    assert not documented.indented(document)
    for block in documented.blocks(document):
        assert block.language in ('bash', 'python', 'text', 'yaml', 'bibtex'), f'{document}:{block.line}: a block without a language'
        if block.language == 'python':
            ast.parse(block.text, f'{document}:{block.line}')


@pytest.mark.parametrize('line, says', [
    ('python tools/train.py configs/decur/decur_sunrgbd.py --ampp', 'unrecognized arguments: --ampp'),
    ('python tools/train.py configs/decur/decur_sunrgb.py', 'does not exist'),
    ('decur train decur_sunrgbd --cfg-options model.neck.hid_chanels=4', 'hid_chanels'),
    ('decur trian decur_sunrgbd', 'no command trian'),
    ('decur train CONFIG --cfg-options train_dataloader.batchsize=4', 'batchsize'),
    ('tools/dist_train.sh configs/decur/decur_sunrgbd.py 8 --nothing', '--nothing'),
    ('make quickstrat', 'no quickstrat'),
    ("pip install 'decur[scene]'", 'no extra scene'),
    ('python tools/nothing.py', 'does not exist'),
])
def test_what_is_wrong_is_found(line, says):
    words, = documented.shell_words(line)
    with pytest.raises((AssertionError, ConfigError), match=says):
        check(Command('README.md', 1, words, True))


def test_a_shell_gives_the_words():
    script = ('for seed in 0 1; do\n  weights=None; [ $seed = 1 ] && weights=a.pth\n'
              '  python tools/train.py "$seed x" \\\n    pretrained=$weights > out/log\ndone\n'
              "A=1 tools/dist_train.sh c 8   # comment\ndecur a | tail -n 1\n")
    assert documented.shell_words(script) == [
        ('python', 'tools/train.py', '0 x', 'pretrained=None'), ('python', 'tools/train.py', '1 x', 'pretrained=a.pth'),
        ('tools/dist_train.sh', 'c', '8'), ('decur', 'a')]
    with pytest.raises(AssertionError, match='nothing'):
        documented.shell_words('nothing --at-all')

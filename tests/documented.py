"""The commands and the Python of the documents: where they stand, how a shell splits them, and what their tools make of them.

A fenced block is what a reader copies: it has to be right as it stands. A command within a line of text may show choices
(``a|b``, ``[--option]``, ``...``); the first choice is taken.
"""
import argparse
import contextlib
import functools
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
#: All but the list of changes, which tells of commands as they once were.
DOCUMENTS = tuple(sorted(
    str(path.relative_to(ROOT)) for pattern in ('*.md', 'docs/**/*.md', '[a-z]*/README.md') for path in ROOT.glob(pattern)
    if path.name != 'CHANGELOG.md'))
#: Programs that a document may name.
PROGRAMS = ('python', 'decur', 'make', 'pip', 'mim', 'torchrun', 'torchgeo-bench', 'docker', 'git', 'hf', 'ruff', 'bash', 'srun', 'sbatch')
#: What a shell has, which is not checked.
SHELL = ('cp', 'cd', 'cat', 'head', 'tail', 'grep', 'tr', 'tar', 'ls', 'mkdir', 'mv', 'sed', 'wc')
_BLOCK = re.compile(r'^( *)```(\w*)(?: title="([^"]+)")?\n(.*?)^ *```[ ]*$', re.M | re.S)
_INLINE = re.compile(r'(?<!`)`([^`]+)`(?!`)')
_BEGINS = re.compile(r'(?:[A-Z_]+=\S+ )*(?:(?:\.venv/bin/)?(?:' + '|'.join(PROGRAMS) + r')|(?:tools|benchmarks|docs)/[\w/]+\.(?:py|sh)) ')


class Block(NamedTuple):
    """A fenced block: document, line, language, title (the file that it is), text."""

    document: str
    line: int
    language: str
    title: str | None
    text: str


class Command(NamedTuple):
    """A command: document, line, its words as a shell gives them to the program, and whether a reader copies it from a block."""

    document: str
    line: int
    words: tuple
    fenced: bool

    def __str__(self) -> str:
        return f'{self.document}:{self.line}: {" ".join(self.words)}'


@functools.lru_cache(None)
def text_of(document: str) -> str:
    """The document."""
    return (ROOT / document).read_text(encoding='utf-8')


def blocks(document: str) -> list:
    """Its fenced blocks."""
    text = text_of(document)
    return [Block(document, text.count('\n', 0, match.start()) + 1, match[2], match[3], match[4]) for match in _BLOCK.finditer(text)]


def prose(document: str) -> str:
    """The document with its blocks empty, line by line as it was."""
    return _BLOCK.sub(lambda match: '\n' * match[0].count('\n'), text_of(document))


def indented(document: str) -> list:
    """Lines of code that is set apart by four spaces: it says no language."""
    found, before = [], ''
    lines = prose(document).splitlines()
    for number, line in enumerate(lines):
        if line.startswith('    ') and line.strip() and not lines[number - 1].strip() and not re.match(r'\s*([-*]|\d+\.) |\s', before):
            found.append(f'{document}:{number + 1}: {line.strip()}')
        before = line if line.strip() else before
    return found


@functools.lru_cache(None)
def commands(document: str) -> list:
    """Its commands: those of its blocks of ``bash`` and those within its text, from one shell whose programs say how they are called."""
    script = [f'_at {block.line} block\n{block.text}' for block in blocks(document) if block.language == 'bash']
    text = prose(document)
    for match in _INLINE.finditer(text):
        code = ' '.join(match[1].split())
        if _BEGINS.match(code):
            code = re.sub(r'([\w{}]+)(?:\|\w+)+', r'\1', code)
            code = re.sub(r'\{(\w+),[^}]*\}', r'\1', code)
            code = re.sub(r' N$', ' 1', re.sub(r' \[(-[^\]]*)\]', r' \1', code).replace('...', ''))
            script.append(f'_at {text.count(chr(10), 0, match.start()) + 1} text\n{code}')
    found, at = [], ()
    for words in shell_words('\n'.join(script)):
        if words[0] == '_at':
            at = int(words[1]), words[2] == 'block'
        else:
            found.append(Command(document, at[0], words, at[1]))
    return found


def shell_words(script: str, everything: bool = False) -> list:
    """The words of each command that a script calls, as a shell hands them over: loops, variables, quotation marks, continued lines done.

    Nothing is executed but the shell: each program of :data:`PROGRAMS`, and of the shell's if ``everything``, is a function that writes
    down its arguments.

    Raises:
        AssertionError: If the script is none, or calls a program that :data:`PROGRAMS` does not have.
    """
    # A program that is named by a path cannot be a function: it becomes the argument of one.
    script = re.sub(
        r'''^((?:.*?(?:[;&|(] |\bdo |\bthen ))?(?: *[A-Z_]+=[^\s"']\S* +)* *)((?:tools|benchmarks|docs|\.venv)/[\w./-]+)''',
        r'\1_record \2', script, flags=re.M)
    script = re.sub(r' > *[\w.]+/\S+', ' > /dev/null', script)  # a folder that a command would have made
    functions = ''.join(f'{name}() {{ _record {name} "$@"; }}\n' for name in ('_at', *PROGRAMS, *(SHELL if everything else ())))
    functions += '' if everything else ''.join(f'{name}() {{ :; }}\n' for name in SHELL)
    read, write = os.pipe()
    with os.fdopen(read, 'rb') as stream, tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ['/bin/bash', '-c', f'PATH=\nset -e -f\n_record() {{ printf "%s\\0" "$@" $\'\\n\' >&{write}; }}\n{functions}{script}'],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, pass_fds=(write,), cwd=folder)
        finally:
            os.close(write)
        recorded = stream.read().decode()
    assert not done.returncode, f'{script!r}: {done.stderr}'
    return [tuple(part.split('\0')[:-1]) for part in recorded.split('\n\0') if part]


class Parsed(BaseException):
    """A parser has taken its arguments."""


@functools.lru_cache(None)
def parser_of(tool: str) -> argparse.ArgumentParser:
    """The parser of a tool, as the tool makes it: the tool is run until it parses."""
    def stop(parser, args=None, namespace=None):
        raise Parsed(parser)

    folder = str((ROOT / tool).parent)
    with (mock.patch.object(argparse.ArgumentParser, 'parse_args', stop), mock.patch.object(sys, 'argv', [tool]),
          mock.patch.object(sys, 'path', [folder, *sys.path])):
        try:
            runpy.run_path(str(ROOT / tool), run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
    raise AssertionError(f'{tool} parses no arguments')


def parse(tool: str, arguments: tuple) -> argparse.Namespace:
    """What a tool makes of its arguments; what follows ``--`` is for others.

    Raises:
        AssertionError: If it refuses them.
        DecurError: If it checks one of them, and that is wrong.
    """
    arguments = arguments[:arguments.index('--')] if '--' in arguments else arguments
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            return parser_of(tool).parse_args(list(arguments))
        except SystemExit as stop:
            assert not stop.code, f'{tool} {" ".join(arguments)}: {said.getvalue().strip().splitlines()[-1]}'
            return argparse.Namespace()


@functools.lru_cache(None)
def options(tool: str | None = None) -> frozenset:
    """Every option of a tool, or of every tool and benchmark, as ``--name``."""
    paths = [ROOT / tool] if tool else [*ROOT.glob('tools/*.py'), *ROOT.glob('tools/analysis/*.py'), *ROOT.glob('benchmarks/*.py')]
    found = set()
    for path in paths:
        if 'parse_args(' in path.read_text(encoding='utf-8'):
            parsers = [parser_of(str(path.relative_to(ROOT)))]
            for parser in parsers:
                for action in parser._actions:
                    found.update(action.option_strings)
                    if isinstance(action, argparse._SubParsersAction):
                        parsers += action.choices.values()
    return frozenset(found)

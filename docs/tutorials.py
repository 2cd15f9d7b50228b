"""The tutorials run as they are written: ``python docs/tutorials.py [NAME ...]`` runs docs/tutorials/NAME.md, renews outputs.

All of a page in its order and in one empty folder: a block of ``bash`` line by line; a block of ``python`` with a title is written to that
file, one without is executed, in one session. A block of ``text`` that follows is what was printed. A picture with a
comment ``<!-- FILE -->`` above it is that file. Two pages are notebooks too. tests/test_tutorials.py compares all of it with a new run.
"""
import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / 'tutorials'
PICTURES = FOLDER.parent / 'images' / 'tutorials'
#: Pages that have a notebook beside them.
NOTEBOOKS = ('own_sensors', 'explain_model')
#: Seconds that a command may take.
TIMEOUT = 240
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```\n', re.M | re.S)
_OUTPUT = re.compile(r'\n```text\n.*?^```\n', re.M | re.S)
_PICTURE = re.compile(r'<!-- (\S+\.png) -->\n!\[[^\]]*\]\(\.\./images/tutorials/(\S+?)\)')


def blocks(text: str) -> list:
    """``(language, title, code, place after it)`` of every block but the outputs."""
    return [(*match.groups(), match.end()) for match in _BLOCK.finditer(text) if match[1] != 'text']


def _lines(code: str) -> list:
    """Commands, continued lines joined, without comments."""
    joined = re.sub(r'\\\n\s*', '', code)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith('#')]


def forked(program, name: str) -> str:
    """Standard output of a function in a fork of this process, which has imported the package.

    Raises:
        RuntimeError: If it fails, with what it wrote.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                signal.alarm(TIMEOUT)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, 'w', closefd=False), os.fdopen(2, 'w', closefd=False)
                program()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors='replace'))
    if status:
        raise RuntimeError(f'{name} ended with {status}:\n{texts[0][-2000:]}\n{texts[1][-3000:]}')
    return texts[0]


def decur(arguments: list) -> str:
    """Standard output of ``decur ARGUMENTS``, of a fork."""
    def program():
        from decur_command import main
        main(arguments)

    return forked(program, f'decur {" ".join(arguments)}')


def _command(line: str) -> str:
    if not re.match(r'(PYTHONPATH=\S+ )?decur ', line):
        given, rest = None, line
    else:
        # The folder is on the path of this process already.
        left, sign, rest = re.fullmatch(r'(.*?)(?: ([|>]) (.*))?', line[line.index('decur '):]).groups()
        rest = f'cat > {rest}' if sign == '>' else rest
        given = decur(shlex.split(left, comments=True)[1:])
        if not rest:
            return given
    return subprocess.run(['bash', '-c', f'set -o pipefail; {rest}'], input=given, check=True, capture_output=True, text=True,
                          timeout=TIMEOUT).stdout


def run(text: str, folder: Path) -> str:
    """Run a page in an empty folder; returns it with the outputs of this run, where it has places for them.

    Raises:
        RuntimeError, CalledProcessError: If a command of it fails; whatever its code raises.
    """
    session, parts, start = {'__name__': '__main__'}, [], 0
    with contextlib.chdir(folder):
        sys.path.insert(0, str(folder))
        for language, title, code, end in blocks(text):
            output = ''
            if title:
                Path(title).parent.mkdir(parents=True, exist_ok=True)
                Path(title).write_text(code, encoding='utf-8')
            elif language == 'python':
                with contextlib.redirect_stdout(io.StringIO()) as stream:
                    exec(compile(code, '<tutorial>', 'exec'), session)
                output = stream.getvalue()
            elif language == 'bash':
                output = ''.join(map(_command, _lines(code)))
                # Of a line of progress every few seconds the last one.
                output = re.sub(r'^.*\belapsed\b.*\n(?=.*\belapsed\b)', '', output, flags=re.M)
            parts.append(text[start:end])
            shown = _OUTPUT.match(text, end)
            start = end
            if shown:
                parts.append(f'\n```text\n{output.rstrip()}\n```\n')
                start = shown.end()
    return ''.join((*parts, text[start:]))


def masked(text: str) -> str:
    """A page whose figures and times are all alike: these differ between machines."""
    text = re.sub(r'[+-]?(?:\d[\d.,:/]*(?:e[+-]?\d+)?|nan|inf)\b', '#', text)
    return re.sub(r'[ -]+', ' ', text)


def pictures(text: str) -> dict:
    """``{file in the folder of the page: file in docs/images/tutorials}``."""
    return dict(_PICTURE.findall(text))


def notebook(text: str):
    """The notebook of a page: its prose and its code, without outputs."""
    import nbformat
    text = _OUTPUT.sub('', text)
    text = re.sub(r'^A notebook of this page.*?\n\n', '', text, flags=re.M)
    text = _PICTURE.sub(lambda match: '```python\nfrom IPython.display import Image\n\nImage(' + repr(match[1]) + ')\n```\n', text)
    cells, start = [], 0
    for match in _BLOCK.finditer(text):
        cells.append(nbformat.v4.new_markdown_cell(text[start:match.start()].strip()))
        language, title, code = match.groups()
        first = f'%%writefile {title}\n' if title else '%%bash\n' if language == 'bash' else ''
        if first:
            code = '\n'.join(_lines(code)) + '\n' if language == 'bash' else code
        cells.append(nbformat.v4.new_code_cell(first + code.rstrip()))
        start = match.end()
    cells.append(nbformat.v4.new_markdown_cell(text[start:].strip()))
    cells = [cell for cell in cells if cell.source]
    for number, cell in enumerate(cells):
        cell.id = f'cell-{number}'
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=dict(name='python3', display_name='Python 3', language='python')))


def execute(book, folder: Path):
    """Run a notebook in a folder, in place.

    Raises:
        CellExecutionError: If a cell fails.
    """
    from nbclient import NotebookClient
    os.environ['PATH'] += f'{os.pathsep}{Path(sys.executable).parent}'  # the command decur, where no environment is active
    NotebookClient(book, timeout=TIMEOUT, kernel_name='python3', resources=dict(metadata=dict(path=str(folder)))).execute()
    for cell in book.cells:
        cell.get('metadata', {}).pop('execution', None)
        if 'outputs' in cell:  # warnings name the files of this machine
            cell.outputs = [output for output in cell.outputs if output.get('name') != 'stderr']
    return book


def main(names: list) -> None:
    """Run pages, write their outputs, pictures and notebooks."""
    from PIL import Image

    import decur  # noqa: F401  once, before the commands are forked
    for name in names or sorted(path.stem for path in FOLDER.glob('*.md')):
        page = FOLDER / f'{name}.md'
        text = page.read_text(encoding='utf-8')
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(run(text, Path(folder)), encoding='utf-8')
            for source, target in pictures(text).items():
                PICTURES.mkdir(parents=True, exist_ok=True)
                with Image.open(Path(folder) / source) as image:
                    image = image.convert('RGB')
                    image.thumbnail((1100, 1100))
                    # A small one keeps its colours: those of its legend mean something.
                    image = image.quantize(128) if image.width > 1000 else image
                    image.save(PICTURES / target, optimize=True)
        if name in NOTEBOOKS:
            import nbformat
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(execute(notebook(text), Path(folder)), FOLDER / f'{name}.ipynb')
        print(f'{name}: done', flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])

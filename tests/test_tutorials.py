"""The tutorials and their notebooks: every block of them runs as written, and says what stands on the page."""
import importlib.util
import sys

import pytest
from helpers import ROOT, run_program
from PIL import Image

spec = importlib.util.spec_from_file_location('tutorials', ROOT / 'docs' / 'tutorials.py')
tutorials = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tutorials)
#: index.md is the list of the others; the questions have code too.
PAGES = {path.stem: path for path in (ROOT / 'docs' / 'tutorials').glob('*.md') if path.stem != 'index'}
PAGES['faq'] = ROOT / 'docs' / 'faq.md'


def run_page(name, folder):
    """In a fork that has imported the package: the page with the outputs of this run."""
    code = (f'import sys\nsys.path.insert(0, {str(ROOT / "docs")!r})\nimport tutorials\nfrom pathlib import Path\n'
            f'text = Path({str(PAGES[name])!r}).read_text(encoding="utf-8")\n'
            f'Path("page.md").write_text(tutorials.run(text, Path.cwd()), encoding="utf-8")\n')
    import os
    done = run_program(code, folder, dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore'), timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return (folder / 'page.md').read_text(encoding='utf-8')


@pytest.mark.slow
@pytest.mark.parametrize('name', PAGES)
def test_a_page_runs_as_written_and_prints_what_it_shows(name, tmp_path):
    text = PAGES[name].read_text(encoding='utf-8')
    assert tutorials.blocks(text)
    found = run_page(name, tmp_path)
    assert tutorials.masked(found).splitlines() == tutorials.masked(text).splitlines(), f'run: python docs/tutorials.py {name}'
    shown = tutorials.pictures(text)
    assert len(shown) == text.count('\n!['), 'a picture that no block of the page makes'
    for source, target in shown.items():
        with Image.open(tmp_path / source) as new, Image.open(tutorials.PICTURES / target) as kept:
            assert abs(new.width / new.height - kept.width / kept.height) < 0.05, f'run: python docs/tutorials.py {name}'


@pytest.mark.parametrize('name', tutorials.NOTEBOOKS)
def test_a_notebook_is_that_of_its_page(name):
    nbformat = pytest.importorskip('nbformat')
    made = tutorials.notebook(PAGES[name].read_text(encoding='utf-8'))
    kept = nbformat.read(tutorials.FOLDER / f'{name}.ipynb', as_version=4)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [(cell.cell_type, cell.source) for cell in made.cells], (
        f'run: python docs/tutorials.py {name}')
    outputs = [output for cell in kept.cells if cell.cell_type == 'code' for output in cell.outputs]
    assert not any('site-packages' in str(output) for output in outputs), 'the notebook names files of the machine that it was made on'
    assert any('image/png' in output.get('data', {}) for output in outputs) and all(output.output_type != 'error' for output in outputs)


@pytest.mark.slow
def test_a_notebook_runs(tmp_path, monkeypatch):
    """One of them from its first cell to its last, in a kernel, with ``decur`` as a command."""
    pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    import os
    command = tmp_path / 'bin' / 'decur'
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m decur_command "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv('PATH', f'{command.parent}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', str(ROOT / 'projects'))
    folder = tmp_path / 'run'
    folder.mkdir()
    book = tutorials.execute(tutorials.notebook(PAGES['explain_model'].read_text(encoding='utf-8')), folder)
    assert any('image/png' in output.get('data', {}) for cell in book.cells for output in cell.get('outputs', []))


def test_blocks_are_found_and_figures_are_masked():
    text = '```bash\na \\\n  b\n# c\nd\n```\n\n```text\nloss: 1.5e-3 in 00:12\n```\n\n```python title="x/y.py"\n1\n```\n'
    assert [(language, title) for language, title, *_ in tutorials.blocks(text)] == [('bash', None), ('python', 'x/y.py')]
    assert tutorials._lines('a \\\n  b\n# c\nd\n') == ['a b', 'd']
    assert tutorials.masked('loss: 1.5e-3 in 00:12, 12 %') == tutorials.masked('loss: 2 in 1:00:12, 7.0 %') != tutorials.masked('loss: a')

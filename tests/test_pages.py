"""What stands on the pages of the documents runs, in its order and on small data (tests/pages.py).

Every block of commands and of Python is run: on a tutorial as it stands and with its output (tests/test_tutorials.py), elsewhere here, less
what pages.py names with its reason. tests/test_documented.py looks at all of them, and at the commands within the text.
"""
import os
import re

import documented
import pages
import pytest
from helpers import ROOT, run_program
from test_tutorials import PAGES as TUTORIALS

#: Documents with something to run, but the tutorials.
DOCUMENTS = [document for document in documented.DOCUMENTS
             if pages.blocks(document) and ROOT / document not in TUTORIALS.values()]


def test_every_document_with_code_is_run():
    assert sorted(pages.PAGES) == sorted(DOCUMENTS)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_what_is_not_run_is_there_and_has_a_reason(document):
    """No line of the table outlives what it is for; a test that stands for a command exists."""
    page = pages.PAGES[document]
    code = '\n'.join(
        '\n'.join(map(' '.join, documented.shell_words(block.text, everything=True))) if block.language == 'bash' else block.text
        for block in pages.blocks(document))
    raw = '\n'.join(block.text for block in pages.blocks(document))
    for words, reason in page.not_run.items():
        assert words in code, f'{document} has no {words!r}'
        assert all((ROOT / path).exists() for path in re.findall(r'(?:tests|docs|\.ci)/[\w./]+\w', reason)) and len(reason) > 8
    assert all(old in raw for old in page.smaller), [old for old in page.smaller if old not in raw]
    assert all(any(words in line for line in code.splitlines()) for words in page.first)
    lines = [' '.join(words) for block in pages.blocks(document) if block.language == 'bash' for words in documented.shell_words(
        pages.made_smaller(page, block.text), everything=True)]
    assert all(any(line.startswith(beginning) for line in lines) for beginning in page.options)


def has_something_to_run(document):
    page = pages.PAGES[document]
    return any(pages.steps(page, block) for block in pages.blocks(document))


@pytest.mark.slow
@pytest.mark.parametrize('document', [document for document in DOCUMENTS if has_something_to_run(document)])
def test_a_page_runs(document, tmp_path):
    for package in pages.PAGES[document].needs:
        pytest.importorskip(package)
    code = f'import sys\nsys.path.insert(0, {str(ROOT / "tests")!r})\nimport pages\nassert pages.run({document!r})\n'
    done = run_program(code, tmp_path, dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore'), timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]

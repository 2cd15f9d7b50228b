"""The documentation site: its links and menus hold, and it builds without a warning."""
import importlib.util
import os
import re
import subprocess
import sys

import pytest
import yaml
from helpers import ROOT

#: Documents by their place in the repository.
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for pattern in ('*.md', 'docs/*.md', 'docs/tutorials/*.md', 'configs/README.md')
                   for path in ROOT.glob(pattern))


def headings(text):
    """Anchors of a document, as GitHub makes them."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-') for title in re.findall(r'^#+ +(.*)$', text, re.M)}


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links_of_the_documents_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding='utf-8')
    text = re.sub(r'^```.*?^```|`[^`\n]*`', '', text, flags=re.M | re.S)
    for link in re.findall(r'\]\((?!https?:|mailto:)([^)\s]+)\)', text):
        path, _, anchor = link.partition('#')
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f'{name}: {link}'
        if anchor:
            assert anchor in headings(target.read_text(encoding='utf-8')), f'{name}: {link}'


def test_menus_name_files_that_exist():
    text = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    nav = yaml.safe_load(text[text.index('nav:'):text.index('theme:')])
    made = {'index.md', 'configs.md', 'changelog.md', 'contributing.md'}
    pages = set(re.findall(r'[\w/]+\.md', str(nav)))
    assert [page for page in sorted(pages - made) if not (ROOT / 'docs' / page).is_file()] == []
    assert {f'tutorials/{path.name}' for path in (ROOT / 'docs' / 'tutorials').glob('*.md')} <= pages


def test_the_front_page_leads_to_every_page_that_helps():
    """Its table has a row for every page of the menus that are for users."""
    menus = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8').split('nav:')[1].split('theme:')[0])
    pages = re.findall(r'\w+\.md', str([menu for menu in menus if set(menu) & {'Get started', 'How-to', 'Concepts'}]))
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert len(pages) > 20 and [page for page in pages if f'](docs/{page})' not in text] == []


def test_the_front_page_is_short():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert len(text.splitlines()) <= 120
    assert len(re.findall(r'[\w-]+', text.split('\n\n')[1])) <= 25, 'what it is, in 25 words'


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for package in ('mkdocs', 'material', 'mkdocstrings', 'mdx_truly_sane_lists'):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f'{package} is not installed (the extra docs)')
    done = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path / 'site')], cwd=ROOT,
                          env=dict(os.environ, NO_MKDOCS_2_WARNING='1'), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    pages = {str(path.relative_to(tmp_path / 'site')) for path in (tmp_path / 'site').rglob('*.html')}
    assert {'index.html', 'configs.html', 'faq.html', 'api/decur.models.html', 'tutorials/own_sensors.html'} <= pages
    models = (tmp_path / 'site' / 'api' / 'decur.models.html').read_text(encoding='utf-8')
    assert 'decur_loss' in models and ':class:' not in models
    assert '<table' in (tmp_path / 'site' / 'decoupling.html').read_text(encoding='utf-8').split('Linear probes')[1], 'tables in folds'

"""What is said of the package in several places is the same in all of them."""
import re
import tomllib

import yaml
from helpers import ROOT

from decur.version import __version__

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']
MAKEFILE = (ROOT / 'Makefile').read_text(encoding='utf-8')


def requirement(text):
    return re.match(r'[A-Za-z0-9_.-]+', text)[0].lower()


def test_the_citation_has_the_version_and_the_licence():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert (citation['version'], citation['license']) == (__version__, PROJECT['license'])
    assert citation['preferred-citation']['url'] == PROJECT['urls']['Paper']


def test_python_versions_are_those_that_ci_tests():
    versions = re.findall(r'Python :: (3\.\d+)', ' '.join(PROJECT['classifiers']))
    jobs = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text(encoding='utf-8'))['jobs']
    assert jobs['test']['strategy']['matrix']['python'] == [versions[0], versions[-1]]
    assert PROJECT['requires-python'] == f'>={versions[0]}' and f'>= ({versions[0].replace(".", ", ")})' in MAKEFILE


def test_every_constraint_is_of_something_required():
    required = {requirement(text) for text in [*PROJECT['dependencies'], *sum(PROJECT['optional-dependencies'].values(), [])]}
    lines = (ROOT / 'requirements/constraints.txt').read_text(encoding='utf-8').splitlines()
    pinned = {requirement(line) for line in lines if line and not line.startswith('#')}
    assert pinned and pinned <= required


def test_workflows_and_documents_name_targets_and_files_that_exist():
    targets = set(re.findall(r'^([a-z-]+):', MAKEFILE, re.M))
    for name in ('.github/workflows/ci.yml', '.github/workflows/release.yml', 'CONTRIBUTING.md', 'docs/install.md', 'README.md'):
        text = (ROOT / name).read_text(encoding='utf-8')
        assert set(re.findall(r'(?:^|`|&& |run: )make ([a-z-]+)', text, re.M)) <= targets, name
        for link in re.findall(r'\]\((?!https?:|#)([^)#]+)', text):
            assert ((ROOT / name).parent / link).exists(), f'{name}: {link}'

"""Imports run one way: a room of the package imports only from rooms below it, and the picture that shows it is true."""
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location('structure', ROOT / 'docs' / 'structure.py')
structure = importlib.util.module_from_spec(spec)
spec.loader.exec_module(structure)
FLOOR = {room: i for i, rooms in enumerate(structure.FLOORS) for room in rooms}


def test_every_room_has_a_floor():
    rooms = {structure.room_of(path) for path in structure.PACKAGE.rglob('*.py')} - {'__init__'}
    assert rooms == set(FLOOR), 'docs/structure.py says on which floor a room is'


def test_the_package_does_not_import_the_generator():
    texts = {path: path.read_text(encoding='utf-8') for path in structure.PACKAGE.rglob('*.py')}
    assert not [path for path, text in texts.items() if re.search(r'^\s*(from|import) decur_worlds\b', text, re.M)]


def test_no_import_against_the_direction():
    wrong = {pair: files for pair, files in structure.edges().items() if FLOOR[pair[0]] <= FLOOR[pair[1]]}
    assert not wrong


@pytest.mark.parametrize('text', ['from decur.datasets import base', 'from ..datasets.base import X', 'def f():\n    import decur.datasets',
                                  'from .. import datasets', 'from decur import datasets'])
def test_an_import_upwards_is_found(tmp_path, monkeypatch, text):
    """The reader of imports sees them at the top, in functions, relative and absolute."""
    monkeypatch.setattr(structure, 'PACKAGE', tmp_path)
    (tmp_path / 'readers').mkdir()
    (tmp_path / 'readers' / 'files.py').write_text(text + '\n')
    assert ('readers', 'datasets') in structure.edges()


def test_the_picture_is_of_today():
    assert structure.PICTURE.read_text(encoding='utf-8') == structure.picture(), 'run: python docs/structure.py'


def test_the_page_is_short_and_names_every_room():
    text = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    assert len(text.splitlines()) <= 120
    assert not [room for room in FLOOR if f'`{room}' not in text and f'{room}/' not in text and f'{room}.py' not in text]

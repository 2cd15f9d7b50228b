"""Settings and folder of an explanation."""
import json
import subprocess
import sys

import pytest

from decur.errors import ConfigError, DataError
from decur.explain.files import save_npz
from decur.explain.folder import Folder, Options


@pytest.mark.parametrize('settings, message', [
    (dict(analyses=('smell', )), 'smell'), (dict(analyses=()), 'analyses is empty'), (dict(level='pixels'), 'level must be'),
    (dict(sign='both'), 'sign must be'), (dict(num_samples=-1), 'num_samples must be at least 0, got -1'),
    (dict(batch_size=3), 'batch_size must be at least 4'), (dict(steps=0), 'steps must'), (dict(bins=0), 'bins must'),
    (dict(overlays=-1), 'overlays must'), (dict(max_dims=-1), 'max_dims must'), (dict(seed=-1), 'seed must'),
    (dict(perplexity=0.), 'perplexity must'),
    (dict(perplexity=float('nan')), 'perplexity must')])
def test_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Options(**settings)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'page').mkdir()
    (tmp_path / 'page' / 'index.html').write_text('mine')
    with pytest.raises(ConfigError, match='of no explanation'):
        Folder(tmp_path / 'page', {}, 1)
    assert (tmp_path / 'page' / 'index.html').read_text() == 'mine'
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(DataError, match='file'):
        Folder(tmp_path / 'file', {}, 1)
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('content', ['', '{"a": 1', '[1]', '\xff', '[' * 100000])
def test_a_damaged_record_is_named(tmp_path, content):
    Folder(tmp_path / 'x', dict(a=1), 1)
    (tmp_path / 'x' / 'explanation.json').write_bytes(content.encode('latin1'))
    with pytest.raises(DataError, match='explanation.json is damaged'):
        Folder(tmp_path / 'x', dict(a=1), 1)


def test_records_must_agree_and_be_of_this_version(tmp_path):
    Folder(tmp_path / 'x', dict(a=1, b=(1, 2)), 1)
    Folder(tmp_path / 'x', dict(a=1, b=(1, 2)), 1)
    with pytest.raises(ConfigError, match=r'other settings \(a\)'):
        Folder(tmp_path / 'x', dict(a=2, b=(1, 2)), 1)
    record = tmp_path / 'x' / 'explanation.json'
    record.write_text(json.dumps(dict(json.loads(record.read_text()), format=1)))
    with pytest.raises(ConfigError, match='another version'):
        Folder(tmp_path / 'x', dict(a=1, b=(1, 2)), 1)


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    folder = Folder(tmp_path / 'x', {}, 2)
    save_npz(folder.part('embeddings', 1), a=[1])
    command = [sys.executable, '-c', 'import os; print(os.getpid())']
    dead = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    for place in ('.tsne.npz', 'parts/.embeddings_00000.npz'):
        (tmp_path / 'x' / f'{place}.{dead}.tmp').write_bytes(b'half')
    assert Folder(tmp_path / 'x', {}, 2).missing('embeddings') == [0]
    assert sorted(p.relative_to(tmp_path / 'x').as_posix() for p in (tmp_path / 'x').rglob('*') if p.is_file()) == [
        'explanation.json', 'parts/embeddings_00001.npz']

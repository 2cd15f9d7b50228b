"""The wheel and the source distribution: what is in them, and that the wheel works where there is no checkout."""
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import setuptools.build_meta as b; b.build_sdist('{0}'); b.build_wheel('{0}')"


def tracked() -> list:
    """Every file of the checkout, but for those that are ignored."""
    done = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    if done.returncode:
        pytest.skip('no git checkout')
    return sorted(name for name in done.stdout.split('\0') if name and (ROOT / name).is_file())


@pytest.fixture(scope='module')
def dist(tmp_path_factory):
    """The folder with both, built from a copy of the checkout."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('dist')
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    done = subprocess.run([sys.executable, '-c', BUILD.format(out)], cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope='module')
def wheel(dist):
    return next(dist.glob('*.whl'))


@pytest.mark.slow
def test_the_source_distribution_is_the_checkout(dist):
    with tarfile.open(next(dist.glob('*.tar.gz'))) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert [name for name in tracked() if name not in names] == []


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_configs_and_its_tools(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = message_from_string(archive.read(next(n for n in names if n.endswith('.dist-info/METADATA'))).decode())
    expected = {name.removeprefix('projects/') for name in tracked() if name.startswith('projects/decur')}
    expected |= {f'decur/.mim/{name}' for name in tracked() if name.startswith(('configs/', 'tools/')) or name == 'model-index.yml'}
    found = {name for name in names if '.dist-info/' not in name}
    assert found == expected and 'decur/py.typed' in found
    assert metadata['License-Expression'] == 'Apache-2.0' and metadata['Requires-Python'] == '>=3.11'
    readme = metadata.get_payload()
    assert not re.search(r'\]\((?!https?:|#)', readme), 'a link of the README leads nowhere on an index'


@pytest.mark.slow
def test_the_installed_wheel_works_outside_the_checkout(wheel, tmp_path):
    """Installed without its dependencies, which come from the environment of the tests."""
    site = tmp_path / 'site'
    done = subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--target', str(site), str(wheel)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    env = dict(os.environ, PYTHONPATH=str(site))
    help_ = subprocess.run([sys.executable, '-X', 'importtime', str(site / 'bin' / 'decur'), '--help'], env=env, cwd=tmp_path,
                           capture_output=True, text=True, timeout=120)
    assert help_.returncode == 0 and 'quickstart' in help_.stdout
    assert not re.search(r'\| +(torch|mmengine|numpy)\b', help_.stderr), 'decur --help imports what it does not need'
    done = subprocess.run([sys.executable, str(ROOT / 'tests' / 'package' / 'outside.py'), str(site / 'bin' / 'decur')], env=env,
                          cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(site / 'decur') in done.stdout and done.stdout.endswith('the installed package works\n')

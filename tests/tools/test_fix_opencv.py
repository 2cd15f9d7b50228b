"""The headless OpenCV takes the place of a build that lacks a library of the system, and of nothing else."""
import subprocess

import pytest
from helpers import ROOT

#: Stands for Python: ``import cv2`` ends as the file ``state`` says, and pip changes that.
PYTHON = r"""#!/usr/bin/env bash
cd "$(dirname "$0")"
echo "$*" >> calls
case "$*" in
    *"pip install"*) echo works > state ;;
    *"print(version"*) echo 5.0.0.93 ;;
    *"import cv2"*) test "$(cat state)" = works || { echo "ImportError: $(cat state)" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    python = tmp_path / 'python'
    python.write_text(PYTHON)
    python.chmod(0o755)

    def call(state):
        (tmp_path / 'state').write_text(state)
        done = subprocess.run(['bash', str(ROOT / 'tools' / 'fix_opencv.sh'), str(python)], capture_output=True, text=True, timeout=60)
        return done, (tmp_path / 'calls').read_text()
    return call


@pytest.mark.parametrize('library', ['libGL.so.1', 'libxcb.so.1', 'libgthread-2.0.so.0'])
def test_a_missing_library_is_mended(run, library):
    done, calls = run(f'{library}: cannot open shared object file: No such file or directory')
    assert done.returncode == 0, done.stderr
    assert '-m pip uninstall --quiet --yes opencv-python\n' in calls and 'opencv-python-headless==5.0.0.93' in calls


def test_what_works_is_left_alone(run):
    done, calls = run('works')
    assert done.returncode == 0 and 'pip' not in calls and not done.stdout


def test_another_error_is_shown(run):
    done, calls = run('numpy.core.multiarray failed to import')
    assert done.returncode == 1 and 'pip' not in calls and 'multiarray' in done.stderr

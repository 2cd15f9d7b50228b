"""What tests share: one thread per process (small tensors run slower on several), and where the optional sample data are."""
import os
import sys
from pathlib import Path

import pytest

import decur  # noqa: F401  before any mm* package: see decur.compat

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # helpers.py


def pytest_configure(config):
    import cv2
    import torch
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # also because tests fork, and a forked process would wait for threads that it does not have


@pytest.fixture(scope='session')
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def sample_data() -> Path:
    """Real sample files; tests that use them are skipped without."""
    path = Path(os.environ.get('DECUR_SHARED_DATA', ROOT.parent / 'shared' / 'data'))
    if not path.is_dir():
        pytest.skip(f'no sample data at {path}')
    return path


@pytest.fixture(autouse=True)
def _default_scope():
    """Each test starts in the root scope, whatever the one before it built."""
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmengine'):
        yield

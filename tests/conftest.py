"""What tests share: threads, limits of time, the order of the files, no process left behind, and where the optional sample data are."""
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault('OMP_NUM_THREADS', '1')  # libraries read it when they are loaded

import decur  # noqa: E402, F401  before any mm* package: see decur.compat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # helpers.py, processes.py
#: Seconds after which a test marked slow fails; pytest.ini has the limit of the others.
SLOW_TIMEOUT = 900


def pytest_configure(config):
    import cv2
    import processes
    import torch

    # Small tensors are slower on several threads, and many tests fork: a forked process has none of the threads of its parent.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Seconds that a data loader waits for a worker when it is thrown away after an error; 5 by default.
    torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.5
    processes.adopt_orphans()


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that several processes end together: files are handed out one by one, in this order."""
    slow = {item.path for item in items if 'slow' in item.keywords}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if 'slow' in item.keywords and not item.get_closest_marker('timeout'):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@pytest.fixture(autouse=True)
def _no_process_is_left():
    """A process that outlives its test would take the time of the others; it is killed, and the test has an error."""
    import processes
    yield
    left = processes.end_left()
    if left:
        pytest.fail('processes were left running and have been killed: ' + ', '.join(left), pytrace=False)


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

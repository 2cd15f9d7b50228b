"""Which of several failures the launcher names: the one that the others followed from."""
import json
import signal

import pytest
import torchrun
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def failure(tmp_path, rank, exitcode, said=None, time=100):
    path = tmp_path / f'{rank}.json'
    if said:
        path.write_text(json.dumps(dict(message=dict(message=said, extraInfo=dict(py_callstack='', timestamp=str(time))))))
    return ProcessFailure(local_rank=rank, pid=1000 + rank, exitcode=exitcode, error_file=str(path))


LOST = 'error: another process of the run ended, or its connection was lost (RuntimeError: Connection closed by peer).'


@pytest.mark.parametrize('failures, line, status', [
    ({0: (1, LOST, 1), 1: (1, 'error: b.png cannot be read.', 2)}, 'error: b.png cannot be read.', 1),
    ({0: (1, 'error: late', 9), 1: (1, 'error: first', 3)}, 'error: first', 1),
    ({0: (1, LOST, 1), 1: (-signal.SIGKILL, None, 2)}, 'error: process 1 was killed (SIGKILL)', 137),
    ({0: (-signal.SIGTERM, None, 1), 1: (1, None, 2)}, 'error: process 1 ended with status 1; what it wrote last is above.', 1),
    ({0: (-signal.SIGSEGV, None, 1), 1: (1, LOST, 2)}, 'error: process 0 was killed (SIGSEGV)', 139),
    ({0: (-signal.SIGABRT, 'error: b.png cannot be read.', 1), 1: (1, LOST, 2)}, 'error: b.png cannot be read.', 1),
    ({0: (-signal.SIGTERM, 'error: another run trains', 1), 1: (1, 'error: another run trains', 1)}, 'error: another run trains', 1),
    ({0: (143, None, 1), 1: (143, None, 1)}, 'error: process 0 ended with status 143', 143),
])
def test_the_reason_is_the_failure_that_the_others_followed_from(tmp_path, failures, line, status):
    found = torchrun.reason({rank: failure(tmp_path, rank, *rest) for rank, rest in failures.items()})
    assert found[0].startswith(line) and found[1] == status and '\n' not in found[0]

import json
import platform

import pytest
from helpers import run_code

# Page faults of ten rounds that each allocate, fill and free tensors beyond the largest size that glibc keeps by itself (32 MiB).
SCRIPT = """
import json, resource, torch
from decur.engine.allocator import keep_freed_memory
kept = {keep} and keep_freed_memory()
def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        tensors = [torch.empty(40 * 2**20, dtype=torch.uint8).fill_(1) for _ in range(3)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
rounds(2)
print(json.dumps([kept, rounds(10)]))
"""


def run(keep):
    done = run_code(SCRIPT.replace('{keep}', str(keep)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_freed_memory_is_used_again():
    kept, faults = run(True)
    assert kept is True
    assert faults < run(False)[1] / 3  # a system that takes idle pages back may cost a round or two

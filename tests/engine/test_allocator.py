import json
import platform
import subprocess
import sys

import pytest

# Page faults of ten rounds that each allocate, fill and free tensors beyond the largest size that glibc keeps by itself (32 MiB).
SCRIPT = """
import json, resource, sys, torch
from decur.engine.allocator import keep_freed_memory
kept = sys.argv[1] == 'keep' and keep_freed_memory()
def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        tensors = [torch.empty(40 * 2**20, dtype=torch.uint8).fill_(1) for _ in range(3)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
rounds(2)
print(json.dumps([kept, rounds(10)]))
"""


def run(mode):
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SCRIPT, mode], capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_freed_memory_is_used_again():
    kept, faults = run('keep')
    assert kept is True
    assert faults < run('default')[1] / 3  # a system that takes idle pages back may cost a round or two

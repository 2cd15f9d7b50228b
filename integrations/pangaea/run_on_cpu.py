"""PANGAEA's ``pangaea/run.py`` on a machine without a GPU: to try a config before it goes to one.

    cd PANGAEA && torchrun --nnodes=1 --nproc_per_node=1 ../integrations/pangaea/run_on_cpu.py --config-name=train ...

That file takes CUDA and NCCL for granted. It is run here, from the folder of the checkout, with the CPU and Gloo in their place, and with
plain batch normalisation for that over several GPUs.
"""
import sys
from pathlib import Path

import torch

RUN = Path('pangaea/run.py')
CHANGES = {
    'torch.device("cuda", local_rank)': 'torch.device("cpu")',
    'torch.cuda.set_device(device)': 'pass',
    'backend="nccl"': 'backend="gloo"',
    'device_ids=[local_rank]': 'device_ids=None',
    'output_device=local_rank': 'output_device=None',
}


def changed(source: str) -> str:
    """The program for a CPU.

    Raises:
        SystemExit: If it is another version, which does not say what is to be changed.
    """
    for old, new in CHANGES.items():
        if old not in source:
            sys.exit(f'{RUN} has no {old!r}: it is another version than the one that this file knows.')
        source = source.replace(old, new)
    return source


if __name__ == '__main__':
    if not RUN.is_file():
        sys.exit(f'{RUN} is not there: start this in the folder of a checkout of PANGAEA.')
    sys.path.insert(0, str(Path.cwd()))
    torch.nn.SyncBatchNorm = torch.nn.BatchNorm2d
    exec(compile(changed(RUN.read_text(encoding='utf-8')), str(RUN.resolve()), 'exec'))  # __main__ stays this module, as Hydra wants it

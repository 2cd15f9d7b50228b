"""What drives training: launching, samplers, optimisers, hooks."""
from . import hooks  # noqa: F401
from .amp import CpuBf16OptimWrapper
from .distributed import GlooDistributedDataParallel
from .lars import ForeachLARS, NdimOptimWrapperConstructor
from .launch import check_batches, load_config, prepare, prepare_test
from .loops import ResumableEpochLoop
from .runner import MultimodalRunner
from .samplers import EpochInfiniteSampler, EpochSampler

__all__ = [
    'CpuBf16OptimWrapper', 'EpochInfiniteSampler', 'EpochSampler', 'ForeachLARS', 'GlooDistributedDataParallel',
    'MultimodalRunner', 'NdimOptimWrapperConstructor', 'ResumableEpochLoop', 'check_batches', 'load_config', 'prepare', 'prepare_test'
]

"""What drives training: launching, samplers, optimisers, hooks."""
from . import hooks  # noqa: F401
from .amp import CpuBf16OptimWrapper
from .distributed import GlooDistributedDataParallel
from .lars import ForeachLARS, NdimOptimWrapperConstructor
from .launch import check_batches, load_config, prepare, prepare_test
from .loops import ResumableEpochLoop
from .runner import MultimodalRunner
from .samplers import EpochInfiniteSampler, EpochSampler
from .shard_sampler import ShardSampler

__all__ = [
    'CpuBf16OptimWrapper', 'EpochInfiniteSampler', 'EpochSampler', 'ForeachLARS', 'GlooDistributedDataParallel',
    'MultimodalRunner', 'NdimOptimWrapperConstructor', 'ResumableEpochLoop', 'ShardSampler', 'check_batches', 'load_config', 'prepare',
    'prepare_test'
]

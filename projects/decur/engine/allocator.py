"""Memory of a CPU process: keep what is freed instead of giving it back to the system."""
import ctypes
import platform

#: Parameters of glibc's ``mallopt`` (malloc.h).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Let the C library reuse large blocks of memory from one training step to the next.

    By default glibc maps every tensor above 32 MiB anew and gives it back when it is freed, so each step pays for the system to clear its
    activations and gradients page by page. After this call they come from the process's heap, which keeps up to 2 GiB of freed memory at
    its end. It concerns CPU tensors of this process (and of those it forks) alone, costs nothing where there is little to allocate, and
    does nothing where the C library is not glibc.

    Returns:
        bool: Whether it is in effect.
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, 2**31 - 1), mallopt(_M_TOP_PAD, 2**26)])

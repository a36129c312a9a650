"""Out of memory on purpose: which errors mean it, and a limit under which a laptop's CPU raises them for real."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import psutil
import torch

from course_lib.distributed.errors import TrainingSetupError, check_count

# What PyTorch's CPU allocator and C++'s own say, as RuntimeErrors, when the system gives no more.
CPU_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, and nothing else.

    Args:
        error: what was raised.

    Returns:
        True for torch.OutOfMemoryError (accelerators), Python's MemoryError, and the CPU allocator's RuntimeError.

    Source: c10/core/impl/alloc_cpu.cpp of PyTorch for the messages.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return type(error) is RuntimeError and any(message in str(error) for message in CPU_MESSAGES)


@contextlib.contextmanager
def address_space_limit(extra_bytes: int) -> Iterator[None]:
    """Let this process take at most so much more memory than it has now, and refuse the rest.

    Without a limit Linux promises memory that it does not have and ends the process when it is touched: no error comes
    that anyone could catch. The limit counts addresses, not pages in use, and holds for all threads.

    Args:
        extra_bytes: beyond the addresses in use now.

    Raises:
        TrainingSetupError: on systems other than Linux, which do not enforce the limit, or for a number below 1.

    Source: getrlimit(2), RLIMIT_AS.
    """
    check_count("extra_bytes", extra_bytes)
    if not sys.platform.startswith("linux"):
        raise TrainingSetupError.of("platform", sys.platform, "does not enforce RLIMIT_AS", "run this on Linux")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = int(psutil.Process().memory_info().vms) + extra_bytes
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

"""The servers at which a job's ranks find each other, and the environment variables that tell them where.

The variables are those of torchrun and horovodrun, so that code written for either runs under the launcher unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from course_lib.runtime.rank import Job
from course_lib.runtime.rendezvous import LOOPBACK, host_store

LOOPBACK_DEVICE = "lo0" if sys.platform == "darwin" else "lo"


@contextmanager
def meeting_places(job: Job) -> Iterator[Callable[[int], dict[str, str]]]:
    """Open a job's meeting places, and close them at the end.

    Args:
        job: says how many ranks come, at which port, and whether Horovod is to be served.

    Yields:
        rank → the environment variables that the rank needs.

    Raises:
        LaunchError: when the port can't be had.
    """
    store = host_store(job.port)
    size = str(job.world_size)
    # A laptop's own name may resolve to an address that changes or doesn't answer; gloo would take it.
    shared = {
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(store.port),
        "GLOO_SOCKET_IFNAME": LOOPBACK_DEVICE,
    }
    if not job.horovod:
        yield lambda rank: shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        return
    from course_lib.runtime.horovod_meeting import horovod_meeting

    with horovod_meeting(job.world_size, LOOPBACK_DEVICE) as horovod:
        yield lambda rank: shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | horovod(rank)

"""Horovod's own rendezvous server on loopback, as horovodrun opens it, and the variables that lead its ranks there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from course_lib.runtime.launch_errors import LaunchError
from course_lib.runtime.rendezvous import LOOPBACK

HOST = "localhost"
PATIENCE_SECONDS = 120  # ranks wait for one that has yet to import torch, on a busy machine


def require_horovod() -> None:
    """Raise `LaunchError` unless Horovod is installed."""
    if importlib.util.find_spec("horovod") is None:
        raise LaunchError(
            "Horovod is not built in this environment. Remedy: `make setup` builds it (about 5 minutes, needs g++ and "
            "cmake); `course doctor` says what is missing; or choose the engine 'ddp', which sends the same bytes."
        )


@contextmanager
def horovod_meeting(world_size: int, network_device: str) -> Iterator[Callable[[int], dict[str, str]]]:
    """Open Horovod's rendezvous for ranks of this machine.

    Args:
        world_size: how many ranks.
        network_device: that gloo is to use.

    Yields:
        rank → environment variables.

    Raises:
        LaunchError: when Horovod is not built here.

    Source: Horovod 0.28.1, horovod/runner/gloo_run.py.
    """
    require_horovod()
    try:
        from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
        from horovod.runner.http.http_server import RendezvousServer
    except ImportError as error:
        raise LaunchError(
            f"Horovod is there but can't be loaded: {error}. Remedy: `make setup FORCE=1` builds it anew; or choose "
            "the engine 'ddp', which sends the same bytes."
        ) from error

    server = RendezvousServer(0)
    slots = get_host_assignments([HostInfo(HOST, world_size)], world_size)
    port = server.start()
    try:
        server.init(slots)

        def environment(rank: int) -> dict[str, str]:
            return {
                "HOROVOD_HOSTNAME": HOST,
                "HOROVOD_RANK": str(rank),
                "HOROVOD_SIZE": str(world_size),
                "HOROVOD_LOCAL_RANK": str(rank),
                "HOROVOD_LOCAL_SIZE": str(world_size),
                "HOROVOD_CROSS_RANK": "0",
                "HOROVOD_CROSS_SIZE": "1",
                "HOROVOD_GLOO_RENDEZVOUS_ADDR": LOOPBACK,
                "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
                "HOROVOD_CONTROLLER": "gloo",
                "HOROVOD_CPU_OPERATIONS": "gloo",
                "HOROVOD_GLOO_IFACE": network_device,
                "HOROVOD_GLOO_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
            }

        yield environment
    finally:
        server.stop()

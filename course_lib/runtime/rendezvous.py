"""Where ranks meet: a key-value store at an address that all of them know, and the process group made from it."""

from __future__ import annotations

import datetime
import socket
import time
from typing import TYPE_CHECKING

from course_lib.runtime.launch_errors import LaunchError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store, TCPStore

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02


def host_store(port: int | None = None) -> TCPStore:
    """Open the store that ranks meet at, on loopback.

    Args:
        port: where; None takes any free one.

    Returns:
        The store; its `port` says where it listens. It is open as long as the object lives.

    Raises:
        LaunchError: when the port is in use or none that a program can ask for.
    """
    import torch.distributed as dist
    from torch._C._distributed_c10d import TCPStore

    if port is not None:
        _check_port(port)
    try:
        return TCPStore(LOOPBACK, port or 0, is_master=True, wait_for_workers=False)
    except (dist.DistNetworkError, RuntimeError) as error:
        raise LaunchError(f"port {port} can't be opened on {LOOPBACK}: {error}") from error


def _check_port(port: int) -> None:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise LaunchError(f"port={port!r} must be a whole number from 1 to 65535. Remedy: leave it out for a free one.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise LaunchError(
                f"port={port} on {LOOPBACK} can't be used ({error.strerror}). Remedy: end the program that holds it, "
                "choose another, or leave port out for a free one."
            ) from error


def join_group(
    rank: int, world_size: int, address: str, port: int, backend: str, *, patience_seconds: float = 60.0
) -> None:
    """Wait at the store until all ranks are there, then make the default process group.

    Args:
        rank: this process's rank.
        world_size: how many are expected.
        address: host of the store.
        port: its port.
        backend: "gloo", "nccl", ...
        patience_seconds: how long to wait for the last rank.

    Raises:
        LaunchError: naming the ranks that did not arrive in time, or the address where no store answers.
    """
    import torch.distributed as dist
    from torch._C._distributed_c10d import TCPStore

    patience = datetime.timedelta(seconds=patience_seconds)
    try:
        store = TCPStore(address, port, world_size, is_master=False, timeout=patience, wait_for_workers=False)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise LaunchError(
            f"rank {rank} found no rendezvous at {address}:{port} within {patience_seconds:g} s. Remedy: check that "
            "rank 0 runs there and that no firewall lies between."
        ) from error
    store.set(f"arrived/{rank}", "yes")
    _await_all(store, world_size, patience_seconds)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)


def _await_all(store: Store, world_size: int, patience_seconds: float) -> None:
    """Return once every rank has arrived; a store that only waits can't say who is missing."""
    limit = time.monotonic() + patience_seconds
    missing = list(range(world_size))
    while True:
        missing = [rank for rank in missing if not store.check([f"arrived/{rank}"])]
        if not missing:
            return
        if time.monotonic() > limit:
            names = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
            raise LaunchError(
                f"{len(missing)} of {world_size} ranks did not arrive within {patience_seconds:g} s: {names}. Remedy: "
                "look at their machines' logs; if they are only slow to start, raise patience_seconds."
            )
        time.sleep(POLL_SECONDS)

"""A Ray of this process's own for as long as a block runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from course_lib.moe.errors import MoEError

OBJECT_STORE_BYTES = 100 * 1024 * 1024  # a corpus is far smaller
TUNE = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would report its use to its makers
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no TensorBoard, CSV and JSON files of each trial
}


@contextmanager
def local_ray(cpus: int) -> Iterator[None]:
    """Run a block on the Ray that is connected, or else on one with so many CPUs that ends with the block.

    Raises:
        MoEError: when Ray does not start; nothing of it is left running then.
    """
    import ray

    for name, value in TUNE.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        yield
        return
    before = _children(set())
    _start(cpus, before)
    try:
        yield
    finally:
        parts = _children(before)
        ray.shutdown()
        _end(parts)  # a worker that is at work ends some time after its Ray


def _start(cpus: int, before: set[psutil.Process]) -> None:
    import ray

    try:
        ray.init(
            address="local",  # never somebody else's Ray that happens to run here
            num_cpus=cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    except Exception as error:
        _end(_children(before), patience=0)  # Ray itself lets a failed start's parts run
        raise MoEError(
            f"Ray did not start: {type(error).__name__}: {error}. Its parts give each other half a minute. "
            "Remedy: try again when the machine is less busy."
        ) from error


def _children(known: set[psutil.Process]) -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True)) - known


def _end(parts: set[psutil.Process], patience: float = 10.0) -> None:
    _, left = psutil.wait_procs(list(parts), timeout=patience)
    for part in left:
        with suppress(psutil.NoSuchProcess):
            part.kill()
    psutil.wait_procs(left, timeout=10)

"""Replicas on Ray Serve. Oracle: a real local Ray, whose own status counts the replicas."""

import threading

import pytest

from course_lib.serving import (
    Limits,
    ServedModel,
    ServingError,
    build_deployment,
    deployed,
    load_test,
    replicas,
    untrained,
)
from course_lib.serving.server import listen
from tests.serving.conftest import wait_until


def small() -> ServedModel:
    """In the replica's process."""
    import torch

    torch.set_num_threads(1)
    return untrained(slots=2)


def test_replica_bounds_that_make_no_sense_are_refused():
    """Oracle: the ranges of Ray Serve's AutoscalingConfig."""
    for bad in ({"min_replicas": 3}, {"min_replicas": 0}, {"target_ongoing_requests": 0.0}):
        with pytest.raises(ServingError, match="Remedy"):
            build_deployment(small, **bad)


@pytest.mark.slow
def test_a_second_replica_starts_under_load_and_leaves_after_it(monkeypatch):
    """Oracle: ray.serve.status, and clients that are all answered meanwhile."""
    for who in ("REPLICA", "HANDLE"):
        monkeypatch.setenv(f"RAY_SERVE_{who}_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "0.2")
    application = build_deployment(
        small,
        limits=Limits(seconds=120.0),
        target_ongoing_requests=2.0,
        upscale_delay_seconds=0.5,
        downscale_delay_seconds=1.0,
        look_back_seconds=1.0,
        cpus_per_replica=0.1,
    )
    with listen() as free:
        port = free.getsockname()[1]
    reports = []
    with deployed(application, port=port, cpus=1) as url:
        assert replicas() == 1
        under_load = threading.Event()

        def keep_loading():
            while not under_load.is_set():
                reports.append(load_test(url, requests=16, concurrency=16, max_tokens=40, temperature=0.0))

        loading = threading.Thread(target=keep_loading)
        loading.start()
        try:
            assert wait_until(lambda: replicas() == 2, 120), "no second replica came"
        finally:
            under_load.set()
            loading.join()
        assert all((one.answered, one.lost, one.errors) == (16, 0, {}) for one in reports)
        assert wait_until(lambda: replicas() == 1, 60), "the second replica did not leave"
        assert load_test(url, requests=2, max_tokens=4).answered == 2
    assert replicas_are_gone()


def replicas_are_gone() -> bool:
    import ray

    return not ray.is_initialized()

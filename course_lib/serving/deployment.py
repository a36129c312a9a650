"""The same application on Ray Serve: replicas in processes of their own, whose number follows the load.

Source: Ray Serve, "Ray Serve autoscaling" (https://docs.ray.io/en/latest/serve/autoscaling-guide.html).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from course_lib.serving.errors import ServingError
from course_lib.serving.faults import told
from course_lib.serving.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

    from course_lib.serving.served import ServedModel

NAME = "completions"
OBJECT_STORE_BYTES = 100 * 1024 * 1024  # requests don't go through it


def build_deployment(
    load: Callable[[], ServedModel],
    *,
    limits: Limits | None = None,
    min_replicas: int = 1,
    max_replicas: int = 2,
    target_ongoing_requests: float = 8.0,
    upscale_delay_seconds: float = 10.0,
    downscale_delay_seconds: float = 60.0,
    look_back_seconds: float = 30.0,
    cpus_per_replica: float = 1.0,
) -> Any:
    """A deployment of `create_app`, each replica with a model, a scheduler and metrics of its own.

    A replica refuses by itself what its queue can't hold; Ray's own router holds nothing back. GET /metrics and
    GET /healthz are answered by one replica, whichever the router chooses. Replicas report their load every 10 s,
    unless RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S and RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S
    in the environment of the process that starts Ray say otherwise.

    Args:
        load: makes the model, in each replica.
        limits: of each replica.
        min_replicas, max_replicas: Ray keeps their number between these ...
        target_ongoing_requests: ... so that on average each has this many requests.
        upscale_delay_seconds, downscale_delay_seconds: the load must last so long before their number changes.
        look_back_seconds: the load is averaged over this time.
        cpus_per_replica: what each takes of the cluster's.

    Returns:
        An application for `deployed`, or `ray.serve.run`.

    Raises:
        ServingError: for fewer than one replica, or a maximum below the minimum.
    """
    from ray import serve

    if not 1 <= min_replicas <= max_replicas:
        raise ServingError.of(
            "max_replicas", max_replicas, f"must be at least min_replicas={min_replicas}, and that at least 1", "use 2"
        )
    if not target_ongoing_requests > 0:  # NaN is not either
        raise ServingError.of("target_ongoing_requests", target_ongoing_requests, "must be above 0", "use 8.0")
    bounds = limits or Limits()

    @serve.ingress()
    class Replica:
        def __serve_build_asgi_app__(self) -> FastAPI:
            """Called in the replica's own process."""
            from course_lib.serving import create_app

            return create_app(load(), bounds)

    deployment = serve.deployment(
        name=NAME,
        max_ongoing_requests=100_000,
        logging_config={"log_level": "WARNING", "enable_access_log": False},
        ray_actor_options={"num_cpus": cpus_per_replica},
        graceful_shutdown_timeout_s=bounds.seconds,
        autoscaling_config={
            "min_replicas": min_replicas,
            "max_replicas": max_replicas,
            "target_ongoing_requests": target_ongoing_requests,
            "upscale_delay_s": upscale_delay_seconds,
            "downscale_delay_s": downscale_delay_seconds,
            "look_back_period_s": look_back_seconds,
        },
    )(Replica)
    return deployment.bind()


@contextmanager
def deployed(application: Any, *, port: int = 8000, host: str = "127.0.0.1", cpus: int | None = None) -> Iterator[str]:
    """Run a deployment for as long as the block runs, on the Ray that is connected or else on one of this machine's.

    Args:
        application: of `build_deployment`.
        port, host: where Ray's proxy listens.
        cpus: that Ray may count on; the machine's when left out.

    Yields:
        The URL.

    Raises:
        ServingError: when Ray does not start.
    """
    import ray
    from ray import serve

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use to its makers
    mine = not ray.is_initialized()
    if mine:
        _start_ray(cpus)
    try:
        serve.start(http_options={"host": host, "port": port}, logging_config={"log_level": "ERROR"})
        serve.run(application, name=NAME)
        yield f"http://{host}:{port}"
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        if mine:
            ray.shutdown()


def _start_ray(cpus: int | None) -> None:
    """A Ray of this process's own, or an error and nothing left of it: Ray itself lets a failed start's parts run."""
    import psutil
    import ray

    this = psutil.Process()
    before = {child.pid for child in this.children(recursive=True)}
    try:
        ray.init(
            address="local",  # never somebody else's Ray that happens to run here
            num_cpus=cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
        )
    except Exception as error:
        left = [child for child in this.children(recursive=True) if child.pid not in before]
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, timeout=10)
        raise ServingError(
            f"Ray did not start: {told(error)}. Its parts give each other half a minute. Remedy: try again when the "
            "machine is less busy, or serve without Ray.",
            status=503,
            kind="server_error",
        ) from error


def replicas() -> int:
    """How many replicas of the running deployment take requests now."""
    from ray import serve

    application = serve.status().applications.get(NAME)
    if application is None:
        return 0
    states = {
        str(getattr(state, "value", state)): n for state, n in application.deployments[NAME].replica_states.items()
    }
    return int(states.get("RUNNING", 0))

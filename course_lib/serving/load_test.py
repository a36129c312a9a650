"""Load tests: many clients at once against a server, and what they had to wait for.

Closed loop: so many clients, each of which asks again as soon as it is answered. Open loop: requests arrive at random
moments whether or not earlier ones are answered, as users do; only an open loop shows a queue that grows.

Source: Schroeder, Wierman & Harchol-Balter 2006 (NSDI), "Open versus closed: a cautionary tale".
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np

from course_lib.serving.errors import ServingError
from course_lib.serving.load_report import LoadReport, report
from course_lib.serving.load_shot import Shot, shoot

# httpx looks through all of a pool's connections for each request: many small pools are faster than a large one.
CLIENTS_PER_POOL = 32


def load_test(
    url: str,
    requests: int = 100,
    concurrency: int = 8,
    *,
    rate: float | None = None,
    prompts: Sequence[str | list[int]] = ("Once upon a time",),
    max_tokens: int | Sequence[int] = 16,
    model: str | None = None,
    retries: int = 0,
    seconds: float = 300.0,
    seed: int = 0,
    **options: Any,
) -> LoadReport:
    """Load a server and measure.

    Args:
        url: of the server, such as "http://127.0.0.1:8000".
        requests: in all.
        concurrency: clients of the closed loop.
        rate: requests per second of an open loop with Poisson arrivals; `concurrency` counts for nothing then.
        prompts: taken in turn.
        max_tokens: of each request; several numbers are taken in turn.
        model: its name; the server's first one when left out.
        retries: how often a request that is told 429 comes back.
        seconds: a client waits for an answer at most.
        seed: of the arrivals.
        options: further fields of the requests, such as temperature.

    Returns:
        Percentiles of latency, time to first token and time per token, and throughput.

    Raises:
        ServingError: for numbers out of range, or when no server answers at `url`.
    """
    for name, value in (("requests", requests), ("concurrency", concurrency)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ServingError.of(name, value, "must be a whole number of at least 1", "give one such as 8")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise ServingError.of("rate", rate, "must be above 0 requests per second", "give one such as 5.0")
    if not prompts:
        raise ServingError.of("prompts", prompts, "is empty", "give at least one")
    lengths = [max_tokens] if isinstance(max_tokens, int) else list(max_tokens)
    if not lengths:
        raise ServingError.of("max_tokens", max_tokens, "is empty", "give at least one number")
    asked = {"stream": True, "stream_options": {"include_usage": True}} | options
    name = model or _first_model(url)
    bodies = [
        {"model": name, "prompt": prompts[i % len(prompts)], "max_tokens": lengths[i % len(lengths)]} | asked
        for i in range(requests)
    ]
    if rate is None:
        work = _closed(url, bodies, min(concurrency, requests), retries, seconds)
    else:
        gaps = np.random.default_rng(seed).exponential(1 / rate, requests)
        work = _open(url, bodies, np.cumsum(gaps).tolist(), retries, seconds)
    # A thread of its own: in a notebook this thread already runs an event loop.
    with ThreadPoolExecutor(1) as pool:
        shots, whole = pool.submit(asyncio.run, work).result()
    return report(shots, whole, concurrency=None if rate else concurrency, rate=rate)


def _first_model(url: str) -> str:
    try:
        answer = httpx.get(f"{url}/v1/models", timeout=10.0)
        return str(answer.raise_for_status().json()["data"][0]["id"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ServingError.of("url", url, f"has no server: {told}", "start one with `course moe serve`") from error


def _clients(url: str, count: int, seconds: float) -> list[httpx.AsyncClient]:
    pools = -(-count // CLIENTS_PER_POOL)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    # Certificates are loaded once for each client, which takes longer than a short test; plain HTTP needs none.
    verify = url.startswith("https")
    return [httpx.AsyncClient(base_url=url, timeout=seconds, limits=limits, verify=verify) for _ in range(pools)]


async def _closed(
    url: str, bodies: Sequence[dict[str, Any]], concurrency: int, retries: int, seconds: float
) -> tuple[list[Shot], float]:
    clients = _clients(url, concurrency, seconds)
    todo = iter(bodies)

    async def one_client(number: int) -> list[Shot]:
        client = clients[number // CLIENTS_PER_POOL]
        return [await shoot(client, body, time.perf_counter(), retries) for body in todo]

    started = time.perf_counter()
    shots = await asyncio.gather(*(one_client(number) for number in range(concurrency)))
    whole = time.perf_counter() - started
    await _close(clients)
    return [shot for some in shots for shot in some], whole


async def _open(
    url: str, bodies: Sequence[dict[str, Any]], due: Sequence[float], retries: int, seconds: float
) -> tuple[list[Shot], float]:
    clients = _clients(url, len(bodies), seconds)
    started = time.perf_counter()

    async def at_its_time(number: int) -> Shot:
        moment = started + due[number]
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        return await shoot(clients[number % len(clients)], bodies[number], moment, retries)

    shots = await asyncio.gather(*(at_its_time(number) for number in range(len(bodies))))
    whole = time.perf_counter() - started
    await _close(clients)
    return list(shots), whole


async def _close(clients: Sequence[httpx.AsyncClient]) -> None:
    for client in clients:
        await client.aclose()

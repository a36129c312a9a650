"""The HTTP front: OpenAI's completions for one model, and what an operator asks a server.

POST /v1/completions, GET /v1/models, GET /healthz, GET /metrics.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from course_lib.serving.answers import Answer
from course_lib.serving.errors import ServingError
from course_lib.serving.faults import server_error
from course_lib.serving.jobs import Job
from course_lib.serving.limits import Limits
from course_lib.serving.mailbox import Mailbox
from course_lib.serving.metrics import Metrics
from course_lib.serving.planning import plan_jobs, read_prompts
from course_lib.serving.scheduler import Scheduler
from course_lib.serving.served import ServedModel
from course_lib.serving.wire import CompletionRequest

# A proxy that collects a stream before it hands it on would undo it.
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that hung up; nobody reads it but the metrics


def create_app(served: ServedModel, limits: Limits | None = None) -> FastAPI:
    """An application that serves a model for as long as it runs; its scheduler starts and ends with it.

    Args:
        served: the model; one application at a time may have it.
        limits: what is taken on.

    Returns:
        An ASGI application; `app.state.scheduler` is at work while it runs.
    """
    limits = limits or Limits()
    metrics = Metrics()
    scheduler = Scheduler(served.decoder, limits, metrics)
    _watch(metrics, scheduler, served.expert_cache)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        scheduler.start()
        yield
        await asyncio.to_thread(scheduler.stop, timeout=limits.seconds)

    app = FastAPI(title=f"{served.name}, served", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.scheduler, app.state.metrics = scheduler, metrics
    _tell_errors(app)
    app.add_middleware(_Counting, metrics=metrics)

    @app.post("/v1/completions", openapi_extra=_body_schema())
    async def completions(request: Request) -> Response:
        """Continue prompts."""
        try:
            body = await _body(request, limits.body_bytes)
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        asked = CompletionRequest.parse(body)
        prompts = read_prompts(asked, served, limits)
        mail = Mailbox(every_event=asked.stream)
        jobs = plan_jobs(asked, prompts, served, limits, mail.sink)
        answer = Answer(asked, prompts, served.tokenizer)
        scheduler.submit(jobs)
        if asked.stream:
            return _EventStream(answer.stream(mail.events(len(jobs))), lambda: scheduler.cancel(jobs))
        return await _whole(request, answer, mail, scheduler, jobs)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        """The one model that is here."""
        one = {"id": served.name, "object": "model", "created": served.created, "owned_by": "course"}
        return {"object": "list", "data": [one]}

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        """The model, by its name."""
        (one,) = models()["data"]
        if name != served.name:
            raise ServingError(f"the model {name!r} is not here. Remedy: ask for {served.name!r}.", status=404)
        return dict(one)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        """Whether the server takes requests: 200 while it does, 503 when it stops or is dead."""
        health = scheduler.health()
        return JSONResponse(dataclasses.asdict(health), 200 if health.status in ("ok", "degraded") else 503)

    @app.get("/metrics")
    def read_metrics() -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return app


def _watch(metrics: Metrics, scheduler: Scheduler, expert_cache: Callable[[], tuple[int, int]] | None) -> None:
    decoder = scheduler.decoder
    metrics.watch("running_sequences", "Sequences in slots.", lambda: scheduler.health().running)
    metrics.watch("queue_length", "Sequences that wait for a slot.", lambda: scheduler.health().waiting)
    metrics.watch("slots", "Sequences that can run at once.", lambda: decoder.max_sequences)
    metrics.watch(
        "kv_cache_used_ratio",
        "Share of the key-value cache that sequences have taken.",
        lambda: 1 - min(1.0, decoder.free_tokens / decoder.max_tokens),
    )
    if expert_cache is not None:
        metrics.watch_total("expert_cache_hits", "Experts found in memory.", lambda: expert_cache()[0])
        metrics.watch_total("expert_cache_misses", "Experts read from disk.", lambda: expert_cache()[1])


async def _body(request: Request, most: int) -> bytes:
    """The request's body, refused while it comes in if it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ServingError(f"the body has more than {most} bytes. Remedy: send less.", status=413, code="too_long")
    return bytes(body)


class _EventStream(StreamingResponse):
    """A stream that tells when nobody reads it any more, at its end or before its first piece."""

    def __init__(self, pieces: AsyncIterator[str], left: Callable[[], None]) -> None:
        super().__init__(pieces, media_type="text/event-stream", headers=STREAM_HEADERS)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until the client hangs up."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


async def _whole(request: Request, answer: Answer, mail: Mailbox, scheduler: Scheduler, jobs: list[Job]) -> Response:
    """The answer in one object, unless the client hangs up before."""

    async def collect() -> None:
        async with aclosing(mail.events(len(jobs))) as events:  # type: ignore[type-var]
            async for index, event in events:
                answer.take(index, event)

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    collecting, watching = asyncio.create_task(collect()), asyncio.create_task(hung_up())
    try:
        await asyncio.wait((collecting, watching), return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        collecting.result()
        return JSONResponse(answer.whole())
    finally:
        scheduler.cancel(jobs)
        for task in (collecting, watching):
            task.cancel()


def _tell_errors(app: FastAPI) -> None:
    """Every error leaves as OpenAI's error object."""

    @app.exception_handler(ServingError)
    async def refused(request: Request, error: ServingError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        text = f"{request.method} {request.url.path}: {error.detail}. Remedy: POST /v1/completions."
        return JSONResponse(ServingError(text).body(), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(server_error("the request could not be handled", error).body(), 500)


class _Counting:
    """Counts requests by endpoint and status; a plain ASGI layer, which leaves streams and disconnects as they are."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and look at its status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def looked_at(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, looked_at)
        finally:
            # The route is known once it was found; what matched none goes by one name, so that labels stay few.
            endpoint = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(endpoint, str(status)).inc()


def _body_schema() -> dict[str, Any]:
    schema = CompletionRequest.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

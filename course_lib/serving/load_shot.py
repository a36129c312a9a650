"""One request of a load test, timed as its client sees it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

BROKE_OFF = "the stream broke off"


@dataclass
class Shot:
    """What became of one request.

    Args:
        status: of the last answer; 0 when none came.
        seconds: from when it was due to its end, tries that were refused and waits included.
        first_token_seconds: from when it was due to its first piece of text; None when there was none.
        gap_seconds: between two pieces of text.
        prompt_tokens, generated_tokens: as the server counts them.
        refusals: answers 429 on the way.
        error: what went wrong, in a few words; "" when nothing did.
    """

    status: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    gap_seconds: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    generated_tokens: int = 0
    refusals: int = 0
    error: str = ""


async def shoot(client: httpx.AsyncClient, body: dict[str, Any], due: float, retries: int) -> Shot:
    """Send one request and read its stream to the end.

    Args:
        client: knows the server's URL.
        body: of POST /v1/completions; it asks for a stream with usage.
        due: when the request was to start, by `time.perf_counter`; a client that is late itself is counted too.
        retries: after an answer 429 it waits as long as `Retry-After` says and asks again, so often at most.
    """
    shot = Shot()
    try:
        while True:
            wait = await _try(client, body, due, shot)
            if wait is None or shot.refusals > retries:
                break
            await asyncio.sleep(wait)
    except httpx.HTTPError as error:
        # a connection that is reset in the middle of an answer is as broken off as one that is closed
        cut = shot.error == BROKE_OFF and isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
        shot.status, shot.error = 0, BROKE_OFF if cut else type(error).__name__
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        shot.error = f"an answer in another form: {type(error).__name__}"
    shot.seconds = time.perf_counter() - due
    return shot


async def _try(client: httpx.AsyncClient, body: dict[str, Any], due: float, shot: Shot) -> float | None:
    """One try; seconds to wait before the next where the server is full."""
    async with client.stream("POST", "/v1/completions", json=body) as response:
        shot.status = response.status_code
        if shot.status == 429:
            await response.aread()
            shot.refusals += 1
            shot.error = "429"
            return _seconds(response.headers.get("Retry-After", "1"))
        if shot.status != 200:
            shot.error = f"{shot.status} {_message(await response.aread())}"
            return None
        shot.error = BROKE_OFF
        await _read(response, due, shot)
        return None


async def _read(response: httpx.Response, due: float, shot: Shot) -> None:
    last = 0.0
    async for line in response.aiter_lines():
        if not line.startswith("data: "):
            continue
        if line == "data: [DONE]":
            shot.error = "" if shot.error == BROKE_OFF else shot.error
            return
        event = json.loads(line[len("data: ") :])
        if "error" in event:
            shot.status, shot.error = 500, event["error"]["code"] or event["error"]["message"]
            continue
        if event.get("usage"):
            shot.prompt_tokens = event["usage"]["prompt_tokens"]
            shot.generated_tokens = event["usage"]["completion_tokens"]
        if any(choice["text"] for choice in event["choices"]):
            now = time.perf_counter()
            if shot.first_token_seconds is None:
                shot.first_token_seconds = now - due
            else:
                shot.gap_seconds.append(now - last)
            last = now


def _seconds(retry_after: str) -> float:
    """RFC 9110 allows a date too, which proxies send; a second later it is asked again then."""
    return float(retry_after) if retry_after.isdecimal() else 1.0


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])[:100]
    except (ValueError, KeyError, TypeError):
        return body[:100].decode(errors="replace")

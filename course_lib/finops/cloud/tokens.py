"""Idempotency tokens: the same request sent twice with one token does its work once.

AWS honours `ClientToken` so that a client may repeat a request whose answer got lost; moto ignores it and launches
twice. Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from course_lib.finops.cloud.wire import ApiCall, ApiError, as_text

NAMES = ("ClientToken", "ClientRequestToken", "IdempotencyToken", "CreationToken")
# How a service says that a token came back with another request.
MISMATCH = {"ec2": "IdempotentParameterMismatch"}


@dataclass
class Remembered:
    """What a token's request was and what it was answered; `answer` is None until it has been."""

    request: str
    answer: tuple[int, dict[str, str], bytes] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Tokens:
    """The tokens that an account has seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], Remembered] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, call: ApiCall) -> Iterator[Remembered]:
        """What is known of a call's token; a call without one is new each time, as is a dry run, which makes nothing.

        While the block runs, a second request with the same token waits. An answer that is an error is forgotten, so
        that the request may be repeated.

        Raises:
            ApiError: for a token that came before with other parameters.
        """
        name = next((name for name in NAMES if call.parameters.get(name)), None)
        if name is None or call.parameters.get("DryRun"):
            yield Remembered("")
            return
        request = json.dumps(as_text({**call.parameters, "DryRun": None}), sort_keys=True)
        key = (call.service, call.operation, call.region, call.access_key, str(call.parameters[name]))
        with self._lock:
            known = self._seen.setdefault(key, Remembered(request))
        with known.lock:
            if known.request != request:
                raise ApiError(
                    MISMATCH.get(call.service, "ConflictException"),
                    f"The token {call.parameters[name]} was used before by a request with other parameters.",
                )
            try:
                yield known
            finally:
                if known.answer is None or known.answer[0] >= 300:
                    with self._lock:
                        self._seen.pop(key, None)

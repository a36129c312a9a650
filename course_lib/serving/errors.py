"""How the server refuses a request: one error that knows its HTTP status and its place in the request.

Source: OpenAI's API reference, "Error codes": a body {"error": {"message", "type", "param", "code"}}.
"""

from __future__ import annotations

import math
from typing import Any


class ServingError(ValueError):
    """A request, or the server's own setting, can't be served as given.

    Args:
        message: what is wrong, the limit and the remedy, in a sentence or two.
        status: HTTP status.
        kind: OpenAI's `type`.
        param: the field of the request that is wrong, if one is.
        code: a word for programs to test.
        retry_after_seconds: when to come back, for 429 and 503.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code = status, kind, param, code
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, name: str, value: object, limit: str, remedy: str, *, code: str | None = None) -> ServingError:
        """Build the error for one field or setting.

        Args:
            name: the field.
            value: what was given.
            limit: the rule that it breaks ("must be ...").
            remedy: what to write instead.
            code: a word for programs to test.
        """
        told = repr(value)
        told = told if len(told) <= 100 else told[:100] + "..."
        return cls(f"{name}={told} {limit}. Remedy: {remedy}.", param=name, code=code)

    def body(self) -> dict[str, dict[str, Any]]:
        """The error as OpenAI's clients expect it."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, where coming back helps."""
        if self.retry_after_seconds is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after_seconds)))}


def queue_full(waiting: int, asked: int, limit: int, retry_after_seconds: float) -> ServingError:
    """The 429 of a server whose queue has no room for a request.

    Args:
        waiting: sequences in the queue.
        asked: sequences that the request adds.
        limit: the queue's length at most.
        retry_after_seconds: an estimate of when there will be room.
    """
    return ServingError(
        f"{waiting} sequences wait and the queue holds {limit}: no room for {asked} more. "
        f"Remedy: try again in {max(1, math.ceil(retry_after_seconds))} s, or start more replicas.",
        status=429,
        kind="rate_limit_error",
        code="queue_full",
        retry_after_seconds=retry_after_seconds,
    )

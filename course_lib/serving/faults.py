"""What a sequence hears when it could not be finished; none of these is the request's fault."""

from __future__ import annotations

from course_lib.serving.errors import ServingError


def told(error: object) -> str:
    """An error in one line."""
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text[:300]}" if isinstance(error, BaseException) else text[:300]


def server_error(what: str, error: object) -> ServingError:
    """A 500 for something that broke while this sequence was served.

    Args:
        what: a clause that says which work failed.
        error: the exception, or its text.
    """
    return ServingError(
        f"{what}: {told(error)}. Remedy: try again; GET /healthz tells how the server is.",
        status=500,
        kind="server_error",
        code="internal_error",
    )


def unavailable(state: str) -> ServingError:
    """A 503 of a server that takes no requests any more.

    Args:
        state: "stopping" or "dead".
    """
    return ServingError(
        f"the server is {state}. Remedy: ask another replica.",
        status=503,
        kind="server_error",
        code="unavailable",
        retry_after_seconds=5,
    )


def too_late(seconds: float, generated: int) -> ServingError:
    """A 504 for a sequence whose time is up.

    Args:
        seconds: it had.
        generated: tokens that it had got.
    """
    return ServingError(
        f"the sequence was not finished within {seconds:g} s ({generated} tokens were generated). "
        "Remedy: ask for fewer tokens, or come back when the queue is shorter.",
        status=504,
        kind="server_error",
        code="deadline_exceeded",
    )

"""How a test cell fails: with a message for the learner and no frames of the checker."""

from typing import NoReturn


class LabFailure(Exception):
    """A test that the learner's code does not pass yet; the message is written for the learner."""


class NoResult(LabFailure):
    """There is nothing to check; the message goes on after "your function" and says why."""


class Tampered(LabFailure):
    """The notebook changes how its own tests run, so no test result can be believed."""


def fail(error: Exception) -> NoReturn:
    """Raise with the message alone as the traceback: the frames would be the checker's, no use to a learner."""
    text = f"{type(error).__name__}: {error}"
    error._render_traceback_ = lambda: text.split("\n")  # type: ignore[attr-defined]  # IPython's own hook
    raise error

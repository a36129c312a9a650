"""How a scheduler is, for GET /healthz, and what has gone wrong so far."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.serving.faults import told


@dataclass(frozen=True)
class Health:
    """How the scheduler is.

    Args:
        status: "ok"; "degraded" when the last step failed; "stopping"; "dead" when its thread has ended by an error.
        running, waiting, slots: sequences.
        failed_steps: since the start.
        last_failure: what the last failed step said, "" for none.
    """

    status: str
    running: int
    waiting: int
    slots: int
    failed_steps: int
    last_failure: str


@dataclass
class Failures:
    """Steps of the model that raised.

    Args:
        count: so far.
        last: what the last one said.
        last_step_failed: whether no step has gone well since.
    """

    count: int = 0
    last: str = ""
    last_step_failed: bool = False

    def note(self, error: object) -> None:
        """Count one."""
        self.count, self.last, self.last_step_failed = self.count + 1, told(error), True

    def over(self) -> None:
        """A step went well."""
        self.last_step_failed = False

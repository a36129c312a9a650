"""What can go wrong in grading; each message names the value, the limit and the remedy in one line."""

from __future__ import annotations

REMEDY = (
    "Install bubblewrap (Debian: apt-get install bubblewrap) and allow user namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1; in a container: run it with --security-opt seccomp=unconfined "
    "or --privileged), or grade without isolation with --no-sandbox if you trust every submission."
)


class GradingError(ValueError):
    """Grading cannot start or go on."""


class SubmissionError(GradingError):
    """One submission cannot be graded as it is; the others are not concerned."""


class SandboxUnavailableError(ValueError):
    """No sandbox can be had on this machine."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"No sandbox for learners' code: {reason}. {REMEDY}")

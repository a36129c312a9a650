"""Which failed attempts of a job are tried again: AWS Batch's `evaluateOnExit`, as a pure function.

A rule looks at three things that Batch knows about an attempt that ended: the exit code, the reason of the container,
and the reason of the status. All conditions of a rule must hold; the first rule that holds decides; if none does, the
job is tried again. Sources: https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from course_lib.finops.batch.contract import REQUEUE
from course_lib.finops.batch.errors import BatchError

ATTEMPTS = 10  # at most
RULES = 5  # at most
PATTERN = re.compile(r"[A-Za-z0-9.:\s]{0,511}\*?")
NUMBERS = re.compile(r"[0-9]{0,511}\*?")

# What Batch says about an attempt that ended.
RECLAIMED = "Host EC2 (instance {}) terminated."
EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"


@dataclass(frozen=True)
class Ended:
    """What is known of an attempt that failed.

    Attributes:
        exit_code: of the container; None when it never got one, as when the host was lost.
        reason: of the container, such as "OutOfMemoryError: Container killed due to memory usage".
        status_reason: of the job, such as "Host EC2 (instance i-0abc) terminated.".
        timed_out: it ran into the job's timeout.
        by_hand: somebody canceled or terminated it.
    """

    exit_code: int | None = None
    reason: str = ""
    status_reason: str = ""
    timed_out: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class ExitRule:
    """One entry of `evaluateOnExit`.

    Patterns compare letter by letter, upper and lower case apart; a `*` is allowed as the last character only, and lets
    anything follow.

    Attributes:
        action: "RETRY" or "EXIT", in any case.
        on_exit_code: a pattern for the exit code in decimal; "" for no condition.
        on_reason: a pattern for the container's reason.
        on_status_reason: a pattern for the job's reason.

    Raises:
        BatchError: for another action, a pattern that Batch would refuse, or a rule without any condition.
    """

    action: str
    on_exit_code: str = ""
    on_reason: str = ""
    on_status_reason: str = ""

    def __post_init__(self) -> None:
        if self.action.upper() not in ("RETRY", "EXIT"):
            raise BatchError.of("action", self.action, "is neither RETRY nor EXIT", "write one of the two")
        for name, text in self._patterns().items():
            allowed, what = (
                (NUMBERS, "digits") if name == "onExitCode" else (PATTERN, "letters, digits, . : and spaces")
            )
            if not allowed.fullmatch(text):
                raise BatchError.of(
                    name, text, f"is no pattern: {what}, then at most one *", "mend it, or end it with *"
                )
        if not self._patterns():
            raise BatchError(
                f"a rule to {self.action} has no condition. Remedy: add on_reason = '*' to mean any failure."
            )

    def matches(self, ended: Ended) -> bool:
        """Whether every condition holds for an attempt."""
        known = {
            "onExitCode": "" if ended.exit_code is None else str(ended.exit_code),
            "onReason": ended.reason,
            "onStatusReason": ended.status_reason,
        }
        return all(glob(pattern, known[name]) for name, pattern in self._patterns().items())

    def as_dict(self) -> dict[str, str]:
        """The rule as RegisterJobDefinition takes it."""
        return {**self._patterns(), "action": self.action.upper()}

    def _patterns(self) -> dict[str, str]:
        given = {"onExitCode": self.on_exit_code, "onReason": self.on_reason, "onStatusReason": self.on_status_reason}
        return {name: text for name, text in given.items() if text}


# A spot host that was taken away says nothing about the job: try again. A program that saved at the notice may end
# before its host, with the code that means "run me again". Whatever else ended it will end it again.
SPOT_RULES = (
    ExitRule("RETRY", on_status_reason="Host EC2*"),
    ExitRule("RETRY", on_exit_code=str(REQUEUE)),
    ExitRule("EXIT", on_reason="*"),
)


@dataclass(frozen=True)
class RetryStrategy:
    """How often a job may run, and which failures are worth another attempt.

    Attributes:
        attempts: in all, the first included, 1 to 10.
        rules: at most 5, asked in this order.

    Raises:
        BatchError: for numbers out of range.
    """

    attempts: int = 1
    rules: tuple[ExitRule, ...] = SPOT_RULES

    def __post_init__(self) -> None:
        BatchError.check_count("attempts", self.attempts)
        if self.attempts > ATTEMPTS:
            raise BatchError.of("attempts", self.attempts, f"is above {ATTEMPTS}", "write checkpoints, and retry less")
        if len(self.rules) > RULES:
            raise BatchError.of("rules", len(self.rules), f"is more than {RULES} of them", "join some with *")

    def again(self, ended: Ended, attempt: int) -> tuple[bool, str]:
        """Whether a failed attempt is followed by another one, and why.

        Args:
            ended: how it failed.
            attempt: its number; the first is 1.
        """
        if ended.by_hand:
            return False, "it was canceled or terminated: never tried again"
        if ended.timed_out:
            return False, "it ran into its timeout: never tried again"
        if attempt >= self.attempts:
            return False, f"attempt {attempt} was the last of {self.attempts}"
        for number, rule in enumerate(self.rules, 1):
            if rule.matches(ended):
                return rule.action.upper() == "RETRY", f"rule {number} says {rule.action.upper()}"
        return True, "no rule speaks of it, so it is tried again" if self.rules else "attempts are left"

    def as_dict(self) -> dict[str, Any]:
        """The strategy as RegisterJobDefinition takes it."""
        rules = [rule.as_dict() for rule in self.rules]
        return {"attempts": self.attempts, **({"evaluateOnExit": rules} if rules else {})}


def glob(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern says: the same, or beginning with what stands before the pattern's final `*`."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern

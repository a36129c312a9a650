"""Which attempts are retried. Oracle: what AWS documents about evaluateOnExit, as a table written by hand."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.finops.batch import BatchError, Ended, ExitRule, RetryStrategy
from course_lib.finops.batch.retries import RULES, glob

SPOT = Ended(None, "", "Host EC2 (instance i-0abc) terminated.")
ERROR = Ended(1, "", "Essential container in task exited")
MEMORY = Ended(137, "OutOfMemoryError: Container killed due to memory usage", "Essential container in task exited")
PULL = Ended(None, "CannotPullContainerError: pull access denied", "Task failed to start")
R, E = "RETRY", "EXIT"
HOST = ExitRule(R, on_status_reason="Host EC2*")
OTHERS = ExitRule(E, on_reason="*")

TABLE = [
    # the guide's own example: two reasons to retry, then exit for everything else
    ([ExitRule(R, on_reason="AGENT"), ExitRule(R, on_status_reason="Task failed to start"), OTHERS], PULL, True),
    ([ExitRule(R, on_reason="AGENT"), ExitRule(R, on_status_reason="Task failed to start"), OTHERS], ERROR, False),
    ([ExitRule(R, on_reason="AGENT"), OTHERS], Ended(None, "AGENT", ""), True),
    # spot: the host's loss is retried, an error of the program is not
    ([HOST, OTHERS], SPOT, True),
    ([HOST, OTHERS], ERROR, False),
    ([HOST, OTHERS], MEMORY, False),
    # the first rule that matches decides
    ([OTHERS, HOST], SPOT, False),
    ([ExitRule(E, on_exit_code="1"), ExitRule(R, on_exit_code="1")], ERROR, False),
    ([ExitRule(R, on_exit_code="1"), ExitRule(E, on_exit_code="1")], ERROR, True),
    # no rule matches: retried; no rules at all: retried
    ([HOST], ERROR, True),
    ([ExitRule(E, on_exit_code="2")], ERROR, True),
    ([], ERROR, True),
    # all conditions of a rule must hold
    ([ExitRule(E, on_exit_code="137", on_reason="OutOfMemoryError:*")], MEMORY, False),
    ([ExitRule(E, on_exit_code="1", on_reason="OutOfMemoryError:*")], MEMORY, True),
    # an asterisk only at the end; without it the whole text must be equal; case counts
    ([ExitRule(E, on_status_reason="Host EC2")], SPOT, True),
    ([ExitRule(E, on_status_reason="host ec2*")], SPOT, True),
    ([ExitRule(E, on_exit_code="13*")], MEMORY, False),
    ([ExitRule(E, on_exit_code="13")], MEMORY, True),
    # the action's case does not count
    ([ExitRule("exit", on_exit_code="1")], ERROR, False),
    ([ExitRule("Retry", on_exit_code="1"), OTHERS], ERROR, True),
]


@pytest.mark.parametrize(("rules", "ended", "again"), TABLE)
def test_truth_table(rules, ended, again):
    assert RetryStrategy(2, tuple(rules)).again(ended, 1)[0] is again


@pytest.mark.parametrize("ended", [SPOT, ERROR, MEMORY, PULL])
def test_attempts_count_the_first_one(ended):
    strategy = RetryStrategy(3, (ExitRule(R, on_reason="*"),))
    assert [strategy.again(ended, attempt)[0] for attempt in (1, 2, 3)] == [True, True, False]
    assert RetryStrategy(1, ()).again(ended, 1)[0] is False


def test_a_timeout_and_a_termination_are_never_retried():
    always = RetryStrategy(10, (ExitRule(R, on_reason="*"),))
    assert always.again(Ended(143, "", "Job attempt duration exceeded timeout", timed_out=True), 1)[0] is False
    assert always.again(Ended(None, "", "by ada", by_hand=True), 1)[0] is False


@given(st.text("abcAB1: .", max_size=8), st.text("abcAB1: .", max_size=8), st.booleans())
def test_patterns_match_as_the_shells_do_with_one_asterisk_at_the_end(start, text, open_end):
    pattern = start + "*" if open_end else start
    assert glob(pattern, text) == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ExitRule("STOP", on_reason="*"), r"action='STOP' is neither RETRY nor EXIT"),
        (lambda: ExitRule(R), r"a rule to RETRY has no condition"),
        (lambda: ExitRule(R, on_status_reason="*EC2*"), r"onStatusReason='\*EC2\*' is no pattern"),
        (lambda: ExitRule(R, on_exit_code="1a"), r"onExitCode='1a' is no pattern: digits"),
        (lambda: ExitRule(R, on_reason="x" * 513), r"is no pattern"),
        (lambda: RetryStrategy(0), r"attempts=0 must be a whole number"),
        (lambda: RetryStrategy(11), r"attempts=11 is above 10"),
        (lambda: RetryStrategy(2, (OTHERS,) * (RULES + 1)), r"rules=6 is more than 5"),
    ],
)
def test_what_batch_would_refuse_is_refused(make, says):
    with pytest.raises(BatchError, match=says) as caught:
        make()
    assert "Remedy:" in str(caught.value)

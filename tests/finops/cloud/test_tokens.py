"""Idempotency tokens. Oracle: EC2's written rule, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html."""

import pytest

from course_lib.finops.cloud.tokens import Tokens
from course_lib.finops.cloud.wire import ApiCall, ApiError


def call(**parameters):
    return ApiCall("ec2", "RunInstances", "us-east-1", {"ClientToken": "mine", **parameters}, "key", "ec2")


def answer(tokens, asked, status):
    """Ask with a token; if nothing is remembered, answer with a status. Gives what the caller gets."""
    with tokens.of(asked) as known:
        if known.answer is None:
            known.answer = (status, {}, b"")
        return known.answer[0]


@pytest.mark.parametrize("status", [300, 400, 500, 503])
def test_an_answer_that_is_an_error_is_forgotten(status):
    tokens = Tokens()
    assert answer(tokens, call(), status) == status
    assert answer(tokens, call(), 200) == 200
    assert answer(tokens, call(), status) == 200  # from now on it is remembered


def test_after_an_error_the_token_may_come_with_another_request():
    tokens = Tokens()
    answer(tokens, call(MinCount=1), 500)
    assert answer(tokens, call(MinCount=2), 200) == 200
    with pytest.raises(ApiError, match="used before by a request with other parameters"):
        answer(tokens, call(MinCount=1), 200)


def test_a_request_that_never_got_an_answer_is_forgotten():
    tokens = Tokens()
    with pytest.raises(RuntimeError, match="lost"), tokens.of(call()):
        raise RuntimeError("lost")
    with tokens.of(call()) as known:
        assert known.answer is None


def test_a_dry_run_and_the_launch_after_it_are_one_request():
    tokens = Tokens()
    answer(tokens, call(DryRun=True), 412)
    assert answer(tokens, call(DryRun=False), 200) == 200

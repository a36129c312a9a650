"""The stage for tests of code that works on an account. Oracle: times and ids as boto3 tells them."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.cloud.rehearsal import end_rehearsals, rehearse
from course_lib.finops.errors import FinopsError

FRIDAY = datetime(2026, 12, 4, 18, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def stage_is_taken_down():
    yield
    end_rehearsals()


@pytest.mark.slow
def test_each_rehearsal_begins_at_its_time_in_an_empty_account():
    stage = rehearse(FRIDAY)
    (first,) = stage.furnish("us-east-1", "trn1.2xlarge", {"owner": "ada"})
    stage.turn(FRIDAY + timedelta(days=400))
    assert stage.states("us-east-1") == {first: "running"}
    assert rehearse(FRIDAY - timedelta(days=30)).account.now() == FRIDAY - timedelta(days=30)
    assert stage.states("us-east-1") == {}
    stage.again()
    launched = stage.furnish("us-east-1", "trn1.2xlarge")[0]
    assert stage.instances("us-east-1")[launched]["LaunchTime"] == FRIDAY
    assert [call["operation"] for call in stage.calls("RunInstances", "StopInstances")] == ["RunInstances"]


def test_faults_of_one_rehearsal_are_mended_in_the_next():
    rehearse(FRIDAY).account.inject("denied", "ec2.*")
    assert rehearse(FRIDAY).states("us-east-1") == {}


def test_a_hook_on_the_clients_of_the_code_under_test_does_not_reach_the_judge():
    stage = rehearse(FRIDAY)
    hooked = stage.aws.client("ec2")

    def refuse(**_):
        raise RuntimeError("answered in AWS's place")

    hooked.meta.events.register("before-send.ec2.DescribeInstances", refuse)
    try:
        with pytest.raises(RuntimeError, match="answered"):
            hooked.describe_instances()
        assert stage.states("us-east-1") == {}
        assert rehearse(FRIDAY).states("us-east-1") == {}
    finally:
        hooked.meta.events.unregister("before-send.ec2.DescribeInstances", refuse)


def test_the_code_under_test_gets_clients_and_no_back_door():
    aws = rehearse(FRIDAY).aws
    assert aws.client("ec2", region="eu-west-1").meta.region_name == "eu-west-1"
    assert not {"advance", "inject", "reset", "records"} & set(dir(aws))


def test_a_fork_plays_on_the_same_stage():
    """A child of this process cannot wait for the server, which is not its own child: it must not think it dead."""
    rehearse(FRIDAY)
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            stage = rehearse(FRIDAY + timedelta(hours=1))
            stage.furnish("sa-east-1", "trn1.2xlarge")
            ended = 0 if list(stage.states("sa-east-1").values()) == ["running"] else 2
        finally:
            os._exit(ended)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rehearse(FRIDAY).account.now() == FRIDAY


def test_a_start_without_a_time_zone_is_refused():
    with pytest.raises(FinopsError, match=r"names no time zone"):
        rehearse(datetime(2026, 12, 4, 18))

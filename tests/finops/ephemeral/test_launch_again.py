"""A launch asked for again never ends what runs already. Oracle: boto3's own view of the account."""

from datetime import timedelta

import pytest

from course_lib.finops.ephemeral import LaunchError, launch

MINUTE = timedelta(minutes=1)


def test_what_ran_already_is_not_taken_back(account, request_for, states):
    asked = request_for(minutes=300)
    first = launch(account, asked).instances
    account.advance(120 * MINUTE)
    account.inject("denied", "scheduler.CreateSchedule")
    with pytest.raises(LaunchError, match=rf"AccessDeniedException.*Launched before, and left running: {first[0]}\.$"):
        launch(account, asked)
    assert states() == {first[0]: "running"}


def test_an_interrupt_while_asking_again_ends_nothing(account, request_for, states):
    class Interrupted:
        def client(self, service, *, region=None):
            if service == "scheduler":
                raise KeyboardInterrupt
            return account.client(service, region=region)

    asked = request_for(minutes=300)
    launch(account, asked)
    account.advance(120 * MINUTE)
    with pytest.raises(KeyboardInterrupt):
        launch(Interrupted(), asked)
    assert list(states().values()) == ["running"]

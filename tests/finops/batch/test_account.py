"""Setting up, submitting and tearing down. Oracle: boto3's own view of the account, and its ledger of calls.

The practice account refuses what AWS documents as refused: closing and deleting in another order fails.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.batch import (
    BatchError,
    Dependency,
    RetryStrategy,
    apply_setup,
    plan_setup,
    plan_submission,
    submit,
    teardown,
)
from course_lib.finops.batch.look import POLL, settle
from course_lib.finops.ephemeral import Lease

REGION = "us-east-1"
WRITES = ("Create", "Register", "Update", "Delete", "Submit", "Terminate", "Deregister")


def no_wait(seconds):
    raise AssertionError("moto settles at once")


@pytest.fixture
def made(account, fleet_for, job_for):
    """A fleet and a job that are set up."""
    fleet, job = fleet_for(), job_for()
    apply_setup(account, plan_setup(account, fleet, job, REGION), no_wait)
    return fleet, job


def writes(account, since=0):
    calls = [one for one in account.records()[since:] if one["actor"] == "caller"]
    return [one["operation"] for one in calls if one["operation"].startswith(WRITES)]


def test_a_plan_changes_nothing_and_shows_all(account, fleet_for, job_for):
    fleet, job = fleet_for(), job_for()
    before = len(account.records())
    plan = plan_setup(account, fleet, job, REGION)
    assert writes(account, before) == []
    assert [step.kind for step in plan.changes] == [
        "launch template",
        "compute environment",
        "job queue",
        "job definition",
    ]
    assert "at most 4.03 USD: 3.00 instance hours" in str(plan)
    assert "expires-at=2026-" in str(plan)


def test_everything_is_made_once_and_carries_its_tags(account, made):
    fleet, job = made
    batch, ec2, tags = account.client("batch"), account.client("ec2"), fleet.lease.tags()
    (environment,) = batch.describe_compute_environments()["computeEnvironments"]
    (queue,) = batch.describe_job_queues()["jobQueues"]
    (definition,) = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    (template,) = ec2.describe_launch_templates()["LaunchTemplates"]
    for found in (environment, queue, definition):
        assert tags.items() <= found["tags"].items()
    assert {tag["Key"]: tag["Value"] for tag in template["Tags"]} == tags
    assert environment["computeResources"]["tags"] == tags
    assert environment["computeResources"]["minvCpus"] == 0
    data = ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])[
        "LaunchTemplateVersions"
    ]
    assert data[0]["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"
    before = len(account.records())
    again = apply_setup(account, plan_setup(account, fleet, job, REGION), no_wait)
    assert again.changes == []
    assert writes(account, before) == []


def test_an_equal_definition_makes_no_revision_and_another_one_does(account, made):
    fleet, job = made
    for change, revisions in (({}, 1), ({"timeout": timedelta(hours=2)}, 2), ({"timeout": timedelta(hours=2)}, 2)):
        apply_setup(account, plan_setup(account, fleet, replace(job, **change), REGION), no_wait)
        found = account.client("batch").describe_job_definitions(jobDefinitionName=job.name)["jobDefinitions"]
        assert len(found) == revisions


def test_an_interrupted_setup_goes_on_and_leaves_nothing_untagged(account, fleet_for, job_for):
    fleet, job = fleet_for(), job_for()
    account.inject("denied", "batch.CreateJobQueue", times=1)
    plan = plan_setup(account, fleet, job, REGION)
    with pytest.raises(AwsError, match=r"making the job queue bert-trn1: AccessDeniedException"):
        apply_setup(account, plan, no_wait)
    (left,) = account.client("batch").describe_compute_environments()["computeEnvironments"]
    assert fleet.lease.tags().items() <= left["tags"].items()
    again = apply_setup(account, plan, no_wait)
    assert [step.kind for step in again.changes] == ["job queue", "job definition"]


def test_another_projects_environment_is_left_alone(account, made):
    fleet, job = made
    theirs = replace(fleet, lease=Lease("eve", "other", fleet.lease.expires_at))
    with pytest.raises(BatchError, match=r"is a compute environment of another project \(bert\)"):
        plan_setup(account, theirs, job, REGION)
    with pytest.raises(BatchError, match=r"is a job queue of another project \(bert\)"):
        teardown(account, theirs, job, REGION, apply=True, sleep=no_wait)


def test_a_changed_environment_is_not_changed_in_silence(account, made):
    fleet, job = made
    with pytest.raises(BatchError, match=r"is a compute environment with other contents"):
        plan_setup(account, replace(fleet, max_vcpus=64), job, REGION)


def test_a_job_that_would_wait_forever_is_refused(account, fleet_for, job_for):
    large = {"instance_types": ("trn1.32xlarge",), "max_vcpus": 128, "purchase": "on_demand"}
    two = {"instance_type": "trn1.32xlarge", "nodes": 2, "purchase": "on_demand"}
    fleet = fleet_for()
    for changed, job, says in (
        ({}, {"instance_type": "inf2.xlarge"}, r"is none of the fleet's trn1.2xlarge"),
        ({"purchase": "on_demand"}, {}, r"purchase='spot' is not the fleet's"),
        (large, two, r"nodes=2 needs a fleet with its network cards"),
        ({**large, "efa": True}, two, r"max_vcpus=128 is less than the 256 of one job"),
    ):
        with pytest.raises(BatchError, match=says):
            plan_setup(account, replace(fleet, **changed), job_for(**job), REGION)


def test_a_submission_is_bounded_tagged_and_not_repeated(account, made):
    fleet, job = made
    batch = account.client("batch")
    planned = plan_submission(account, job, fleet.name, REGION)
    assert batch.list_jobs(jobQueue=fleet.name)["jobSummaryList"] == []
    job_id = submit(account, planned, REGION)
    (told,) = batch.describe_jobs(jobs=[job_id])["jobs"]
    assert (told["status"], told["tags"]["owner"]) == ("RUNNABLE", "ada@example.org")
    assert "run-local" in told["statusReason"]
    with pytest.raises(BatchError, match=rf"job='shards' has not ended yet as {job_id}"):
        plan_submission(account, job, fleet.name, REGION)
    with pytest.raises(BatchError, match=r"budget_usd=1.0 is less than the worst case, 4.03 USD"):
        plan_submission(account, replace(job, budget_usd=1.0), fleet.name, REGION)


def test_an_array_waits_for_its_dependency(account, made):
    fleet, job = made
    batch = account.client("batch")
    first = submit(account, plan_submission(account, job, fleet.name, REGION), REGION)
    second = replace(job, name="merge", array_size=3)
    apply_setup(account, plan_setup(account, fleet, second, REGION), no_wait)
    asked = plan_submission(account, second, fleet.name, REGION, [Dependency(first)])
    (told,) = batch.describe_jobs(jobs=[submit(account, asked, REGION)])["jobs"]
    assert told["dependsOn"] == [{"jobId": first}]
    assert told["arrayProperties"]["statusSummary"]["PENDING"] == 3
    assert told["status"] == "PENDING"


def test_what_cannot_be_submitted_is_one_line(account, made):
    fleet, job = made
    late = replace(job, lease=replace(job.lease, expires_at=account.now() + timedelta(minutes=30)))
    for asked, queue, says in (
        (job, "elsewhere", r"queue='elsewhere' is not there in us-east-1"),
        (late, fleet.name, r"is earlier than one attempt of 1:00:00 from AWS's time"),
        (replace(job, retry=RetryStrategy(2)), fleet.name, r"job='shards' has no equal job definition"),
    ):
        with pytest.raises(BatchError, match=says):
            plan_submission(account, asked, queue, REGION)
    with pytest.raises(BatchError, match=r"depends_on=21 is more than 20"):
        plan_submission(account, job, fleet.name, REGION, [Dependency(str(n)) for n in range(21)])
    account.client("batch").update_job_queue(jobQueue=fleet.name, state="DISABLED")
    with pytest.raises(BatchError, match=r"queue='bert-trn1' is disabled"):
        plan_submission(account, job, fleet.name, REGION)


def test_teardown_ends_jobs_and_goes_in_batchs_order(account, made):
    fleet, job = made
    batch = account.client("batch")
    job_id = submit(account, plan_submission(account, job, fleet.name, REGION), REGION)
    before = len(account.records())
    planned = teardown(account, fleet, job, REGION)
    assert writes(account, before) == []
    assert [removal.done for removal in planned] == [False] * 7
    assert teardown(account, fleet, job, REGION, apply=True, sleep=no_wait) == tuple(
        replace(removal, done=True) for removal in planned
    )
    assert writes(account, before) == [
        "UpdateJobQueue",
        "TerminateJob",
        "DeleteJobQueue",
        "UpdateComputeEnvironment",
        "DeleteComputeEnvironment",
        "DeleteLaunchTemplate",
        "DeregisterJobDefinition",
    ]
    (told,) = batch.describe_jobs(jobs=[job_id])["jobs"]
    assert (told["status"], told["statusReason"]) == ("FAILED", "its queue is torn down")
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    assert account.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    assert teardown(account, fleet, job, REGION, apply=True, sleep=no_wait) == ()


def test_a_teardown_that_was_interrupted_goes_on(account, made):
    fleet, job = made
    account.inject("denied", "batch.DeleteComputeEnvironment", times=1)
    with pytest.raises(AwsError, match=r"to delete the compute environment bert-trn1: AccessDenied"):
        teardown(account, fleet, job, REGION, apply=True, sleep=no_wait)
    left = teardown(account, fleet, job, REGION, apply=True, sleep=no_wait)
    assert left[0].what == "disable the compute environment bert-trn1"
    assert account.client("batch").describe_compute_environments()["computeEnvironments"] == []


def test_a_protected_queue_stays(account, made):
    fleet, job = made
    (queue,) = account.client("batch").describe_job_queues()["jobQueues"]
    account.client("batch").tag_resource(resourceArn=queue["jobQueueArn"], tags={"protected": "true"})
    with pytest.raises(BatchError, match=r"is a protected job queue"):
        teardown(account, fleet, job, REGION, apply=True, sleep=no_wait)
    assert account.client("batch").describe_job_queues()["jobQueues"][0]["state"] == "ENABLED"


def test_settling_waits_names_what_is_invalid_and_gives_up():
    """What describe_job_queues answers on a real account, one answer after the other."""
    waited = []
    answers = iter([{"status": "CREATING"}, {"status": "UPDATING"}, {"status": "VALID", "state": "ENABLED"}])
    assert settle(lambda: next(answers), "job queue q", waited.append) == {"status": "VALID", "state": "ENABLED"}
    assert waited == [POLL, POLL]
    gone = iter([{"status": "DELETING"}, None])
    assert settle(lambda: next(gone), "job queue q", waited.append) is None
    broken = {"status": "INVALID", "statusReason": "CLIENT_ERROR - role is not authorized"}
    with pytest.raises(BatchError, match=r"job queue q is INVALID: CLIENT_ERROR - role is not authorized. Remedy"):
        settle(lambda: broken, "job queue q", waited.append)
    with pytest.raises(BatchError, match=r"job queue q is still CREATING after 600 s"):
        settle(lambda: {"status": "CREATING"}, "job queue q", waited.append)


def test_the_account_refuses_another_order(account, made):
    batch = account.client("batch")
    for call, says in (
        (lambda: batch.delete_job_queue(jobQueue="bert-trn1"), r"JobQueue state must be DISABLED"),
        (lambda: batch.delete_compute_environment(computeEnvironment="bert-trn1"), r"found existing JobQueue"),
    ):
        with pytest.raises(batch.exceptions.ClientException, match=says):
            call()

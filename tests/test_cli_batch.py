"""`course finops batch`. Oracle: boto3's own view of a running practice account, found by environment alone."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from course_lib.finops.cloud import PracticeAccount

JOB = """\
owner = "ada"
project = "bert"
expires_at = 2026-12-02T08:00:00Z
region = "us-east-1"
[fleet]
name = "bert"
instance_types = ["trn1.2xlarge"]
max_vcpus = 16
subnets = ["{subnet}"]
security_groups = ["{group}"]
instance_role = "{profile}"
service_role = "{role}"
[job]
name = "shards"
image = "course:cpu"
command = ["python3", "-c", "import os; open(os.environ['COURSE_OUTPUT'] + '/out.txt', 'w').write('done')"]
instance_type = "trn1.2xlarge"
timeout = "1h"
array_size = 2
attempts = 2
budget_usd = {budget}
outputs = "s3://batch-cli/out"
"""


@pytest.fixture(scope="module")
def account():
    with PracticeAccount(start=datetime(2026, 12, 1, 8, tzinfo=UTC)) as running:
        yield running


@pytest.fixture
def course(account, monkeypatch, tmp_path):
    """Runs `course finops batch ...` with nothing but the environment to find the account by."""
    account.reset()
    environment = {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "practice",
        "AWS_SECRET_ACCESS_KEY": "practice",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(main, ["finops", "batch", *map(str, words)])


@pytest.fixture
def path(account, course, tmp_path):
    """A job file whose network and roles are there."""
    ec2, iam = account.client("ec2"), account.client("iam")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')
    names = {
        "subnet": ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"],
        "group": ec2.create_security_group(GroupName="b", Description="b", VpcId=network)["GroupId"],
        "profile": iam.create_instance_profile(InstanceProfileName="ecs")["InstanceProfile"]["Arn"],
        "role": role["Role"]["Arn"],
    }
    account.client("s3").create_bucket(Bucket="batch-cli")
    written = tmp_path / "job.toml"
    for budget in ("1.0", "10.0"):
        (tmp_path / f"budget-{budget}.toml").write_text(JOB.format_map({**names, "budget": budget}).replace("{{", "{"))
    written.write_text((tmp_path / "budget-10.0.toml").read_text())
    return written


def test_from_plan_to_teardown(account, course, path):
    batch = account.client("batch")
    shown = course("plan", path)
    assert shown.exit_code == 0, shown.output
    assert "create       compute environment bert: spot, 0 to 16 vCPUs, SPOT_PRICE_CAPACITY_OPTIMIZED" in shown.output
    assert "at most 5.38 USD: 4.00 instance hours at 1.3438 USD" in shown.output
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    assert "4 made, 0 there already." in course("apply", path).output
    told = json.loads(course("plan", path, "--json").output)
    assert [step["action"] for step in told["steps"]] == ["keep"] * 4
    assert "Nothing was changed" in course("submit", path).output
    assert batch.list_jobs(jobQueue="bert")["jobSummaryList"] == []
    job_id = json.loads(course("submit", path, "--apply", "--json").output)["job_id"]
    assert batch.describe_jobs(jobs=[job_id])["jobs"][0]["arrayProperties"]["size"] == 2
    assert "will delete the job queue bert" in course("teardown", path).output
    done = course("teardown", path, "--apply")
    assert "done deregister the job definition shards:1" in done.output
    assert batch.describe_job_queues()["jobQueues"] == []
    assert "Nothing is left." in course("teardown", path).output


def test_the_same_job_here(account, course, path, tmp_path):
    done = course("run-local", path, tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert [(row["child"], row["attempt"], row["exit code"]) for row in told["attempts"]] == [(0, 1, 0), (1, 1, 0)]
    keys = [found["Key"] for found in account.client("s3").list_objects_v2(Bucket="batch-cli")["Contents"]]
    assert keys == ["out/0/manifest.json", "out/0/out.txt", "out/1/manifest.json", "out/1/out.txt"]


def test_a_job_that_fails_here_exits_with_1(course, path, tmp_path):
    path.write_text(path.read_text().replace("import os;", "raise SystemExit(4);"))
    done = course("run-local", path, tmp_path / "run")
    assert done.exit_code == 1
    assert "0 of 2 children succeeded." in done.output


def test_a_job_above_its_budget_is_one_line(account, course, path, tmp_path):
    refused = course("apply", tmp_path / "budget-1.0.toml")
    assert refused.exit_code == 1
    assert "budget_usd=1.0 is less than the worst case, 5.38 USD" in refused.output
    assert "Traceback" not in refused.output
    assert account.client("batch").describe_compute_environments()["computeEnvironments"] == []


def test_the_example_is_a_job_file(course, tmp_path):
    example = tmp_path / "example.toml"
    example.write_text(course("example").output)
    shown = course("plan", example)
    assert shown.exit_code == 0, shown.output
    assert "at most 32.25 USD" in shown.output


def test_inputs_are_published(account, course, path, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    done = course("publish", tmp_path / "data", "s3://batch-cli/in")
    assert "1 files and their manifest are in s3://batch-cli/in" in done.output
    keys = [found["Key"] for found in account.client("s3").list_objects_v2(Bucket="batch-cli")["Contents"]]
    assert keys == ["in/a.txt", "in/manifest.json"]


def test_every_command_has_help_with_an_example(course):
    for name in ("plan", "apply", "submit", "run-local", "teardown", "publish", "example"):
        assert "Example: course finops batch" in course(name, "--help").output

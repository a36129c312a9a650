"""`course finops batch`. Oracle: boto3's own view of a running practice account, found by environment alone."""

import hashlib
import json
import re
import tomllib
from datetime import UTC, datetime, timedelta

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


def test_the_example_goes_from_plan_to_teardown_as_it_is(account, course, tmp_path):
    """In an account in which nobody made anything: no role, no network of one's own."""
    batch, iam = account.client("batch"), account.client("iam")
    example = tmp_path / "example.toml"
    example.write_text(course("example").output)
    end = tomllib.loads(example.read_text())["expires_at"]
    assert timedelta(hours=22) < end - datetime.now(UTC) <= timedelta(hours=24)
    example.write_text(re.sub(r"expires_at = \S+", "expires_at = 2026-12-02T08:00:00Z", example.read_text()))
    shown = course("plan", example)
    assert shown.exit_code == 0, shown.output
    assert "at most 32.25 USD" in shown.output
    assert "create       instance profile ecsInstanceRole" in shown.output
    assert iam.list_instance_profiles()["InstanceProfiles"] == iam.list_roles()["Roles"] == []
    done = course("apply", example)
    assert done.exit_code == 0, done.output
    assert "5 made, 0 there already." in done.output
    (environment,) = batch.describe_compute_environments()["computeEnvironments"]
    assert environment["serviceRole"].endswith(":role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch")
    assert "4 there already." in course("apply", example).output
    assert course("submit", example, "--apply").exit_code == 0
    assert course("teardown", example, "--apply").exit_code == 0
    assert batch.describe_compute_environments()["computeEnvironments"] == []


@pytest.mark.parametrize(
    ("field", "value", "find"),
    [
        ("subnets", ["subnet-..."], "aws ec2 describe-subnets --region us-east-1"),
        ("security_groups", ["sg-..."], "aws ec2 describe-security-groups --region us-east-1"),
        ("instance_role", "arn:aws:iam::123456789012:instance-profile/...", "aws iam list-instance-profiles"),
        ("instance_role", "nobody", "aws iam list-instance-profiles"),
        ("service_role", "arn:aws:iam::123456789012:role/...", "aws iam list-roles"),
    ],
)
def test_a_placeholder_is_one_line_that_says_how_to_find_the_value(account, course, path, field, value, find):
    path.write_text(re.sub(rf"^{field} = .*$", f"{field} = {json.dumps(value)}", path.read_text(), flags=re.MULTILINE))
    before = len(account.records())
    refused = course("apply", path)
    assert refused.exit_code == 1, refused.output
    assert (refused.output.count("\n"), refused.output.count("Remedy: ")) == (1, 1)
    wrong = value if isinstance(value, str) else value[0]
    assert f"{field}={wrong!r} is " in refused.output
    assert find in refused.output
    made = [one for one in account.records()[before:] if one["operation"].startswith(("Create", "Register", "Attach"))]
    assert made == []


def test_inputs_are_planned_and_published_with_apply_only(account, course, path, tmp_path):
    s3, words = account.client("s3"), ("publish", tmp_path / "data", "s3://batch-cli/in")

    def there():
        found = s3.list_objects_v2(Bucket="batch-cli").get("Contents", ())
        return {one["Key"]: s3.get_object(Bucket="batch-cli", Key=one["Key"])["Body"].read() for one in found}

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    s3.put_object(Bucket="batch-cli", Key="in/old.txt", Body=b"from before")
    before = there()
    shown = course(*words)
    assert shown.exit_code == 0, shown.output
    assert f"create a.txt (SHA-256 {hashlib.sha256(b'a').hexdigest()[:12]})" in shown.output
    assert "keep 1 files that are not in the folder" in shown.output
    assert "Nothing was changed. To do it, add --apply." in shown.output
    assert json.loads(course(*words, "--json").output)["applied"] is False
    assert there() == before
    done = course(*words, "--apply")
    assert "1 files and their manifest are in s3://batch-cli/in" in done.output
    assert list(there()) == ["in/a.txt", "in/manifest.json", "in/old.txt"]
    (tmp_path / "data" / "a.txt").write_text("b")
    again = course(*words, "--apply", "--json")
    assert json.loads(again.output)["replaced"] == ["a.txt", "manifest.json"]
    assert json.loads(there()["in/manifest.json"])["files"] == {"a.txt": hashlib.sha256(b"b").hexdigest()}
    missing = course("publish", tmp_path / "data", "s3://batch-cli-nowhere/in")
    assert (missing.exit_code, missing.output.count("\n")) == (1, 1)
    assert "NoSuchBucket" in missing.output


def test_every_command_has_help_with_an_example(course):
    for name in ("plan", "apply", "submit", "run-local", "teardown", "publish", "example"):
        assert "Example: course finops batch" in course(name, "--help").output

"""Lambda functions that run. Oracle: what their own code did through boto3, seen from outside, and Lambda's guide."""

import io
import json
import zipfile
from datetime import timedelta

import pytest

REAPER = """
import boto3, os

def handler(event, context):
    ec2 = boto3.client("ec2")
    found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    ids = [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]
    print("ending", len(ids), "for", event["why"], os.environ["MODE"], context.function_name)
    if ids:
        ec2.terminate_instances(InstanceIds=ids)
    return {"ended": ids, "left": context.get_remaining_time_in_millis() > 0}

def fails(event, context):
    raise KeyError("no such lease")
"""


@pytest.fixture
def function(account):
    """Makes a function of some code in us-east-1; returns its ARN."""
    iam, functions = account.client("iam"), account.client("lambda")
    trust = {"Version": "2012-10-17", "Statement": []}
    role = iam.create_role(RoleName="runs", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]

    def make(name="reap", handler="code.handler", **options):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("code.py", REAPER)
        given = {"Runtime": "python3.12", "Timeout": 60, "Environment": {"Variables": {"MODE": "practice"}}, **options}
        made = functions.create_function(
            FunctionName=name, Role=role, Handler=handler, Code={"ZipFile": packed.getvalue()}, **given
        )
        return made["FunctionArn"]

    return make


def test_a_function_works_in_the_account_and_answers(account, function, launch, state):
    one, arn = launch(), function()
    told = account.client("lambda").invoke(FunctionName=arn, Payload=json.dumps({"why": "test"}))
    assert "FunctionError" not in told
    assert json.load(told["Payload"]) == {"ended": [one], "left": True}
    assert state(one) == "terminated"
    made = [record["actor"] for record in account.records() if record["operation"] == "TerminateInstances"]
    assert made == ["lambda"]
    logs = account.client("logs")
    (stream,) = logs.describe_log_streams(logGroupName="/aws/lambda/reap")["logStreams"]
    lines = logs.get_log_events(logGroupName="/aws/lambda/reap", logStreamName=stream["logStreamName"])["events"]
    assert [line["message"] for line in lines] == ["ending 1 for test practice reap"]


def test_a_schedule_runs_it_at_its_moment(account, function, launch, state):
    one, arn = launch(), function()
    due = account.now() + timedelta(hours=3)
    account.client("scheduler").create_schedule(
        Name="reap",
        ScheduleExpression=due.strftime("at(%Y-%m-%dT%H:%M:%S)"),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": "arn:aws:iam::123456789012:role/x", "Input": json.dumps({"why": "lease"})},
    )
    account.advance(timedelta(days=1))
    assert state(one) == "terminated"
    (ended,) = [record for record in account.records() if record["operation"] == "TerminateInstances"]
    assert (ended["actor"], ended["time"]) == ("lambda", due.isoformat())


def test_a_topic_runs_it(account, function, launch, state):
    one, arn = launch(), function(handler="code.fails")
    sns = account.client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="over budget")
    (told,) = [record for record in account.records() if record["actor"] == "function"]
    assert (told["error"], told["parameters"]["FunctionName"]) == ("KeyError", "reap")
    assert state(one) == "running"


@pytest.mark.parametrize(
    ("handler", "options", "kind"),
    [
        ("code.fails", {}, "KeyError"),
        ("code.missing", {}, "AttributeError"),
        ("nothing.handler", {}, "ModuleNotFoundError"),
        ("index.handler", {"Runtime": "nodejs20.x"}, "Runtime.NotInThePracticeAccount"),
    ],
)
def test_a_function_that_fails_says_how(account, function, handler, options, kind):
    arn = function(handler=handler, **options)
    told = account.client("lambda").invoke(FunctionName=arn, Payload=json.dumps({"why": "test"}))
    assert (told["StatusCode"], told["FunctionError"]) == (200, "Unhandled")
    assert json.load(told["Payload"])["errorType"] == kind

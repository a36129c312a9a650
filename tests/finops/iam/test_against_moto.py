"""Decisions over HTTP. Oracle: moto's own enforcement of IAM, asked with real boto3 clients and signed requests.

moto honours actions (with their case, which AWS does not look at), explicit denies and the resources of S3 calls, and
ignores Condition. The first three are compared; the gap, for which the evaluator was written, is shown.
"""

import json
import urllib.request
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from course_lib.finops.iam import Request, evaluate
from course_lib.runtime import LocalAws, local_aws

ACCOUNT, REGION = "123456789012", "us-east-1"
REFUSALS = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}


def allow(action: object, resource: object = "*", **more: object) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: object, resource: object = "*") -> dict:
    return {"Effect": "Deny", "Action": action, "Resource": resource}


POLICIES = {
    "nothing": [allow("sqs:ListQueues")],
    "describe": [allow("ec2:Describe*")],
    "everything": [allow("*")],
    "no-stop": [allow("*"), deny("ec2:StopInstances")],
    "deny-first": [deny("ec2:*"), allow("ec2:*")],
    "deny-all": [allow("*"), deny("*")],
    "launch": [allow(["ec2:RunInstances", "ec2:CreateTags"])],
    "one-bucket": [allow("s3:GetObject", "arn:aws:s3:::aaa/*")],
    "one-folder": [allow("s3:GetObject", "arn:aws:s3:::aaa/in/*")],
    "get-denied": [allow("s3:*"), deny("s3:GetObject", "arn:aws:s3:::bbb/*")],
    "list-users": [allow("iam:List*")],
}
CALLS = {
    "ec2:DescribeInstances": ("*", lambda make: make("ec2").describe_instances()),
    "ec2:DescribeRegions": ("*", lambda make: make("ec2").describe_regions()),
    "ec2:RunInstances": (
        "arn:aws:ec2:us-east-1:123456789012:instance/*",
        lambda make: make("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1),
    ),
    "ec2:StopInstances": (
        "arn:aws:ec2:us-east-1:123456789012:instance/i-0",
        lambda make: make("ec2").stop_instances(InstanceIds=["i-0"]),
    ),
    "iam:ListUsers": ("*", lambda make: make("iam").list_users()),
}
OBJECTS = ["aaa/in/x", "aaa/out/x", "bbb/in/x"]


def switch(aws: LocalAws, calls_without_check: str) -> None:
    """Tell moto after how many calls to check signatures: "0" is from now on, "inf" is never."""
    request = urllib.request.Request(
        f"{aws.url}/moto-api/reset-auth",
        data=calls_without_check.encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=10).close()


@pytest.fixture(scope="module")
def users() -> Iterator[dict]:
    """One user for each policy, as a function that makes signed clients."""
    with local_aws() as aws:
        iam, s3 = aws.client("iam"), aws.client("s3")
        for name in OBJECTS:
            bucket, _, key = name.partition("/")
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        made = {}
        for name, rules in {**POLICIES, "typed": TYPED}.items():
            iam.create_user(UserName=name)
            document = json.dumps({"Version": "2012-10-17", "Statement": rules})
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            made[name] = _maker(aws.url, key)
        switch(aws, "0")
        yield made
        switch(aws, "inf")


def _maker(url: str, key: dict):
    def make(service: str):
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            config=Config(proxies={}, s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    return make


def passes(call, make) -> bool:
    """Whether a call gets past IAM; that moto then finds no such instance is another matter."""
    try:
        call(make)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in REFUSALS:
            return False
        assert code in ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "InvalidAMIID.NotFound"), code
    return True


TYPED = [allow("ec2:RunInstances", Condition={"StringEquals": {"ec2:InstanceType": "trn1.2xlarge"}})]


def here(name: str, action: str, resource: str, **context: str) -> bool:
    policy = {"Version": "2012-10-17", "Statement": {**POLICIES, "typed": TYPED}[name]}
    caller = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    return evaluate(policy, Request(caller, action, resource, {"aws:RequestedRegion": REGION, **context})).allowed


@pytest.mark.parametrize("name", POLICIES)
def test_moto_and_the_evaluator_agree_on_actions(users, name):
    for action, (resource, call) in CALLS.items():
        assert passes(call, users[name]) is here(name, action, resource), action


@pytest.mark.parametrize("name", POLICIES)
def test_moto_and_the_evaluator_agree_on_objects(users, name):
    for place in OBJECTS:
        bucket, _, key = place.partition("/")
        found = passes(lambda make, b=bucket, k=key: make("s3").get_object(Bucket=b, Key=k), users[name])
        assert found is here(name, "s3:GetObject", f"arn:aws:s3:::{place}"), place


def test_moto_lets_a_dear_instance_through_a_condition_and_the_evaluator_does_not(users):
    """The reason for this package. If moto learns to read Condition, this fails, and more can be compared."""
    run = users["typed"]("ec2").run_instances
    run(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="p5.48xlarge")
    instance = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"
    assert not here("typed", "ec2:RunInstances", instance, **{"ec2:InstanceType": "p5.48xlarge"})
    assert here("typed", "ec2:RunInstances", instance, **{"ec2:InstanceType": "trn1.2xlarge"})

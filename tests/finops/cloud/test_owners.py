"""A tag on what belongs to another account. Oracle: boto3 as two accounts of one server; the codes are AWS's, from
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and the services' API references."""

import boto3
import pytest
from botocore.exceptions import ClientError

ME, OTHER = "123456789012", "210987654321"
LABEL = [{"Key": "owner", "Value": "me"}]
NOBODYS = "i-0123456789abcdef0"


@pytest.fixture
def other(account):
    """boto3 clients of another account, which a role of it was taken on for."""
    role = f"arn:aws:iam::{OTHER}:role/visitor"
    keys = account.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]

    def make(service):
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=account.url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    assert make("sts").get_caller_identity()["Account"] == OTHER
    return make


def code(call, **asked):
    with pytest.raises(ClientError) as found:
        call(**asked)
    return found.value.response["Error"]["Code"]


def test_an_instance_of_another_account_is_not_there(account, other, ec2, launch):
    kind = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge", "MinCount": 1, "MaxCount": 1}
    theirs = other("ec2").run_instances(**kind)["Instances"][0]["InstanceId"]
    mine = launch()
    for change in (ec2.create_tags, ec2.delete_tags):
        for ids in ([theirs], [mine, theirs], [NOBODYS]):
            assert code(change, Resources=ids, Tags=LABEL) == "InvalidInstanceID.NotFound"
    assert code(ec2.create_tags, Resources=["eipalloc-0123456789abcdef0"], Tags=LABEL) == "InvalidAllocationID.NotFound"
    assert ec2.describe_tags()["Tags"] == []
    assert other("ec2").describe_tags()["Tags"] == []
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.create_tags(Resources=[mine, address], Tags=LABEL)
    assert {tag["ResourceId"] for tag in ec2.describe_tags()["Tags"]} == {mine, address}


def test_a_bucket_of_another_account_is_closed(account, other):
    other("s3").create_bucket(Bucket="theirs")
    s3 = account.client("s3")
    tags = {"TagSet": LABEL}
    assert code(s3.put_bucket_tagging, Bucket="theirs", Tagging=tags) == "AccessDenied"
    assert code(s3.put_object, Bucket="theirs", Key="key", Body=b"") == "AccessDenied"
    assert code(s3.put_bucket_tagging, Bucket="nobodys", Tagging=tags) == "NoSuchBucket"
    other("s3").put_bucket_tagging(Bucket="theirs", Tagging=tags)


def test_tagging_by_arn_names_what_it_could_not_do_and_does_the_rest(account, other, launch, ec2):
    other("s3").create_bucket(Bucket="theirs")
    arn = "arn:aws:ec2:us-east-1:{}:instance/{}".format
    mine, foreign, gone = arn(ME, launch()), arn(OTHER, NOBODYS), arn(ME, NOBODYS)
    asked = [mine, foreign, gone, "arn:aws:s3:::theirs", "mine"]
    tagging = account.client("resourcegroupstaggingapi")
    expected = {
        foreign: (403, "AccessDeniedException"),
        gone: (400, "InvalidInstanceID.NotFound"),
        "arn:aws:s3:::theirs": (403, "AccessDeniedException"),
        "mine": (400, "InvalidParameterException"),
    }
    for call, more, left in (
        (tagging.tag_resources, {"Tags": {"owner": "me"}}, [mine]),
        (tagging.untag_resources, {"TagKeys": ["owner"]}, []),
    ):
        failed = call(ResourceARNList=asked, **more)["FailedResourcesMap"]
        assert {one: (why["StatusCode"], why["ErrorCode"]) for one, why in failed.items()} == expected
        assert [tag["ResourceId"] for tag in ec2.describe_tags()["Tags"]] == [one.split("/")[1] for one in left]


@pytest.mark.parametrize(
    ("service", "arn", "name", "tags", "said"),
    [
        ("budgets", "budgets::{}:budget/bert", "ResourceARN", {"ResourceTags": LABEL}, "AccessDeniedException"),
        (
            "scheduler",
            "scheduler:us-east-1:{}:schedule-group/x",
            "ResourceArn",
            {"Tags": LABEL},
            "AccessDeniedException",
        ),
        ("batch", "batch:us-east-1:{}:job-queue/x", "resourceArn", {"tags": {"a": "b"}}, "AccessDeniedException"),
        ("cloudwatch", "cloudwatch:us-east-1:{}:alarm:x", "ResourceARN", {"Tags": LABEL}, "AccessDeniedException"),
        ("sns", "sns:us-east-1:{}:topic", "ResourceArn", {"Tags": LABEL}, "AuthorizationError"),
    ],
)
def test_a_foreign_arn_is_denied_in_each_service(account, service, arn, name, tags, said):
    client = account.client(service)
    assert code(client.tag_resource, **{name: "arn:aws:" + arn.format(OTHER)}, **tags) == said
    topic = account.client("sns").create_topic(Name="topic")["TopicArn"]
    account.client("sns").tag_resource(ResourceArn=topic, Tags=LABEL)  # one's own is tagged as before

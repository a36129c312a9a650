"""Data Exports. Oracle: Cost Explorer's figures of the same account, hours times the catalog's price by hand, AWS's
documented paths and manifest, botocore's shapes, and the FOCUS validator on what was delivered."""

import gzip
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance
from course_lib.finops.aws import AwsError
from course_lib.finops.focus import apply_export, plan_export, read_focus_s3, validate_focus
from tests.finops.conftest import START

DAY = timedelta(days=1)
BUCKET = "bills-of-the-lab"


@pytest.fixture(autouse=True)
def december(account):
    """Every test begins at the same morning: months matter here."""
    account.reset(START)


@pytest.fixture
def exports(account):
    return account.client("bcm-data-exports")


@pytest.fixture
def deliver(account):
    """Has the bill delivered to a bucket; returns the export's ARN."""
    return lambda **how: apply_export(account, plan_export(account, BUCKET, **how))


def code(call, **asked):
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return caught.value.response["Error"]["Code"]


def keys(account):
    found = account.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"] for one in found]


def bill(account, start, end):
    asked = {"TimePeriod": {"Start": start, "End": end}, "Granularity": "DAILY", "Metrics": ["UnblendedCost"]}
    told = account.client("ce").get_cost_and_usage(**asked)["ResultsByTime"]
    return sum(Decimal(day["Total"]["UnblendedCost"]["Amount"]) for day in told)


def tagged(project):
    return [{"ResourceType": "instance", "Tags": [{"Key": "project", "Value": project}]}]


def test_the_delivery_agrees_with_cost_explorer_and_with_the_catalog(account, launch, deliver, tmp_path):
    deliver(granularity="HOURLY")
    od = launch(InstanceType="trn1.32xlarge", TagSpecifications=tagged("bert"))
    spot = launch(InstanceType="p5.48xlarge", InstanceMarketOptions={"MarketType": "spot"})
    account.client("ec2").create_volume(Size=500, VolumeType="gp3", AvailabilityZone="us-east-1a")
    account.client("ec2").allocate_address()
    account.advance(3 * DAY + timedelta(hours=2, minutes=20))
    data = read_focus_s3(account, BUCKET, "billing", month="2026-12")
    assert abs(data.total() - bill(account, "2026-12-01", "2026-12-04")) < Decimal("0.01")
    by_resource = {}
    for row in data:
        by_resource[row["ResourceId"]] = by_resource.get(row["ResourceId"], 0) + row["EffectiveCost"]
    hours = 16 + 2 * 24
    assert float(by_resource[od]) == pytest.approx(hours * instance("trn1.32xlarge").usd_per_hour())
    assert {row["Tags"]["project"] for row in data if row["ResourceId"] == od} == {"bert"}
    assert {row["PricingCategory"] for row in data if row["ResourceId"] == spot} == {"Dynamic"}
    assert data.total("ListCost") > data.total("BilledCost")
    assert {row["ServiceCategory"] for row in data} == {"Compute", "Storage", "Networking"}
    path = tmp_path / "delivered.csv.gz"
    (key,) = [key for key in keys(account) if key.endswith(".csv.gz")]
    path.write_bytes(account.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert validate_focus(path) == []


def test_paths_and_manifest_are_as_documented(account, launch, deliver):
    arn = deliver()
    launch()
    account.advance(DAY + timedelta(hours=1))
    data_key = "billing/focus/data/BILLING_PERIOD=2026-12/focus-00001.csv.gz"
    manifest_key = "billing/focus/metadata/BILLING_PERIOD=2026-12/focus-Manifest.json"
    assert keys(account) == [data_key, manifest_key]
    s3 = account.client("s3")
    manifest = json.load(s3.get_object(Bucket=BUCKET, Key=manifest_key)["Body"])
    assert manifest["exportArn"] == arn
    assert manifest["dataFiles"] == [f"s3://{BUCKET}/{data_key}"]
    lines = gzip.decompress(s3.get_object(Bucket=BUCKET, Key=data_key)["Body"].read()).decode().splitlines()
    assert lines[0].split(",") == [column["name"] for column in manifest["columns"]]
    assert len(lines) == 2  # one instance, one day


def test_once_a_day_and_on_the_first_the_whole_month_before(account, launch, deliver, exports):
    arn = deliver()
    launch()
    account.advance(32 * DAY)
    executions = exports.list_executions(ExportArn=arn)["Executions"]
    assert len(executions) == 31 + 1
    months = {key.split("BILLING_PERIOD=")[1][:7] for key in keys(account)}
    assert months == {"2026-12", "2027-01"}
    december = read_focus_s3(account, BUCKET, month="2026-12")
    assert abs(december.total() - bill(account, "2026-12-01", "2027-01-01")) < Decimal("0.01")
    newest = exports.get_execution(ExportArn=arn, ExecutionId=executions[0]["ExecutionId"])
    assert newest["ExecutionStatus"]["StatusCode"] == "DELIVERY_SUCCESS"
    assert newest["Export"]["Name"] == "focus"


def test_an_export_made_in_the_night_is_delivered_in_the_morning(account, deliver):
    account.reset(START.replace(day=3, hour=5))
    deliver()
    account.advance(timedelta(hours=2, minutes=59))
    assert keys(account) == []
    account.advance(timedelta(minutes=1))
    assert len(keys(account)) == 2


def test_create_new_report_keeps_each_delivery_and_the_newest_is_read(account, launch, exports):
    plan = plan_export(account, BUCKET)
    asked = plan.export()
    asked["DestinationConfigurations"]["S3Destination"]["S3OutputConfigurations"]["Overwrite"] = "CREATE_NEW_REPORT"
    asked["DataQuery"]["QueryStatement"] = asked["DataQuery"]["QueryStatement"].replace("Tags,", "Tags AS x_Labels,")
    account.client("s3").create_bucket(Bucket=BUCKET)
    account.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(plan.policy))
    exports.create_export(Export=asked)
    launch()
    account.advance(2 * DAY + timedelta(hours=1))
    assert len([key for key in keys(account) if key.endswith(".csv.gz")]) == 2
    data = read_focus_s3(account, BUCKET)
    assert abs(data.total() - bill(account, "2026-12-01", "2026-12-03")) < Decimal("0.01")
    assert "x_Labels" in data.columns


@pytest.mark.parametrize("how", ["none", "another service", "a deny beside it"])
def test_a_bucket_whose_policy_does_not_allow_it_gets_nothing(account, launch, exports, deliver, how):
    arn, s3 = deliver(), account.client("s3")
    policy = plan_export(account, BUCKET).policy
    if how == "none":
        s3.delete_bucket_policy(Bucket=BUCKET)
    elif how == "another service":
        policy["Statement"][0]["Principal"]["Service"] = ["config.amazonaws.com"]
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    else:
        deny = {**policy["Statement"][0], "Sid": "No", "Effect": "Deny", "Action": "s3:*"}
        policy["Statement"].append(deny)
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    launch()
    account.advance(DAY + timedelta(hours=1))
    assert keys(account) == []
    status = exports.get_export(ExportArn=arn)["ExportStatus"]
    assert (status["StatusCode"], status["StatusReason"]) == ("UNHEALTHY", "INSUFFICIENT_PERMISSION")
    plan = plan_export(account, BUCKET)
    assert plan.steps == (() if how == "a deny beside it" else ("bucket policy",))
    if how == "a deny beside it":
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({**policy, "Statement": policy["Statement"][:1]}))
    apply_export(account, plan)
    account.advance(DAY)
    assert len(keys(account)) == 2
    assert exports.get_export(ExportArn=arn)["ExportStatus"]["StatusCode"] == "HEALTHY"


def test_the_plan_changes_nothing_and_is_made_once(account, deliver, exports):
    plan = plan_export(account, BUCKET)
    assert plan.steps == ("bucket", "public access block", "bucket policy", "export")
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert deliver() == exports.list_exports()["Exports"][0]["ExportArn"]
    assert plan_export(account, BUCKET).steps == ()
    assert str(plan_export(account, BUCKET)).endswith("nothing to do")
    assert deliver() == ""
    closed = account.client("s3").get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(closed.values()) == {True}


def test_a_policy_that_was_there_stays(account, deliver):
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    own = {
        "Sid": "Mine",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [own]}))
    deliver()
    statements = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert [one["Sid"] for one in statements] == ["Mine", "FocusExportDelivery"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Name": "a b"}, "Name 'a b'"),
        ({"DataQuery": {"QueryStatement": "SELECT * FROM FOCUS_1_2_AWS"}}, "QueryStatement must be"),
        ({"DataQuery": {"QueryStatement": "SELECT Cost FROM FOCUS_1_2_AWS"}}, "Column 'Cost'"),
        ({"DataQuery": {"QueryStatement": "SELECT BilledCost FROM COST_AND_USAGE_REPORT"}}, "FROM FOCUS_1_2_AWS"),
    ],
)
def test_an_export_that_is_none_is_refused(account, exports, change, told):
    account.client("s3").create_bucket(Bucket=BUCKET)
    asked = {**plan_export(account, BUCKET).export(), **change}
    with pytest.raises(ClientError, match=r"ValidationException") as caught:
        exports.create_export(Export=asked)
    assert told in caught.value.response["Error"]["Message"]


def test_missing_and_double_things_have_awss_codes(account, exports, deliver):
    asked = plan_export(account, BUCKET).export()
    assert code(exports.create_export, Export=asked) == "ValidationException"  # there is no bucket
    arn = deliver()
    assert code(exports.create_export, Export=asked) == "ValidationException"  # the name is taken
    assert code(exports.get_execution, ExportArn=arn, ExecutionId="none") == "ResourceNotFoundException"
    assert exports.delete_export(ExportArn=arn)["ExportArn"] == arn
    assert exports.list_exports()["Exports"] == []
    assert code(exports.get_export, ExportArn=arn) == "ResourceNotFoundException"


def test_a_refusal_is_one_line_with_a_remedy(account):
    with pytest.raises(AwsError, match=r"s3://nowhere/.*Remedy: ") as caught:
        read_focus_s3(account, "nowhere")
    assert "\n" not in str(caught.value)

"""What a turned clock brought, in lines. Oracle: records made by hand, and a real delivery of a bill."""

from datetime import timedelta

from course_lib.finops.cloud import happened
from course_lib.finops.focus import apply_export, plan_export


def record(actor, operation, error="", **parameters):
    return {
        "actor": actor,
        "operation": operation,
        "error": error,
        "parameters": parameters,
        "time": "2026-12-01T08:00",
    }


def test_callers_are_left_out_looks_are_counted_and_failures_are_shown():
    told = list(
        happened(
            [
                record("caller", "RunInstances"),
                record("alarms", "GetMetricStatistics"),
                record("alarms", "DescribeInstances"),
                record("scheduler", "GetRole", "AccessDenied", RoleName="a"),
                record("guest", "shutdown", InstanceId="i-1", became="terminated"),
            ]
        )
    )
    assert told == [
        "2026-12-01T08:00  scheduler: GetRole RoleName=a AccessDenied",
        "2026-12-01T08:00  guest: shutdown InstanceId=i-1 became=terminated",
        "Besides, 2 reads by the account's own alarms and deliveries; `course cloud calls` names them.",
    ]


def test_a_delivery_of_a_bill_is_a_few_short_lines(account):
    apply_export(account, plan_export(account, "bills"))
    before = len(account.records())
    account.advance(timedelta(days=1, hours=1))
    told = list(happened(account.records()[before:]))
    assert [line.split()[2] for line in told[:3]] == ["PutObject", "PutObject", "delivery"]
    assert all(len(line) < 300 and line.isprintable() for line in told)


def test_the_ledger_keeps_no_objects_contents(account):
    """It would grow by every checkpoint, and show what is secret in a file."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="drafts")
    s3.put_object(Bucket="drafts", Key="k", Body=b"password=hunter2" * 100)
    (put,) = [one for one in account.records() if one["operation"] == "PutObject"]
    assert put["parameters"]["Body"].startswith("(1,600 bytes, sha256 ")
    assert "hunter2" not in str(account.records())

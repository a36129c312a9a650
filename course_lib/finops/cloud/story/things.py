"""What the group has beside instances: volumes, addresses, buckets, logs, and what it watches its money with."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from course_lib.finops.cloud.story.cast import ADA, BUCKETS, DORA, EAST, EUROPE

ACCOUNT = "123456789012"
BUDGET, TOPIC, ALARM = "research-group-monthly", "cost-alerts", "search-api-idle"
MONTHLY_USD = "4000"
LOGS = (("/research-group/training", 30), ("/research-group/search-api", None))  # group, days kept; None keeps all


def leave_things(account: Any, marked: dict[str, list[str]]) -> None:
    """Make the volumes and addresses that nobody uses, an address that is in use, buckets and log groups."""
    ec2, s3, logs = (account.client(name, region=EAST) for name in ("ec2", "s3", "logs"))
    ec2.create_volume(AvailabilityZone=f"{EAST}a", Size=1000, VolumeType="gp3")  # untagged, attached to nothing
    told = [{"Key": "owner", "Value": DORA}, {"Key": "project", "Value": "llm"}]
    account.client("ec2", region=EUROPE).create_volume(
        AvailabilityZone=f"{EUROPE}b",
        Size=200,
        VolumeType="gp3",
        Encrypted=True,
        TagSpecifications=[{"ResourceType": "volume", "Tags": told}],
    )
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=marked["served"][0])
    for region in (EAST, EUROPE):
        account.client("ec2", region=region).allocate_address(Domain="vpc")
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="README.txt", Body=f"{bucket}: made for practice\n".encode())
    rule: Any = {"SSEAlgorithm": "aws:kms"}
    s3.put_bucket_encryption(
        Bucket=BUCKETS[0],
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
    )
    old: Any = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKETS[0], LifecycleConfiguration={"Rules": [old]})
    s3.put_bucket_tagging(Bucket=BUCKETS[0], Tagging={"TagSet": [{"Key": "owner", "Value": ADA}]})
    for group, days in LOGS:
        logs.create_log_group(logGroupName=group)
        if days:
            logs.put_retention_policy(logGroupName=group, retentionInDays=days)


def watch_money(account: Any, marked: dict[str, list[str]]) -> None:
    """Make the budget, with an alert at 80 % to a topic."""
    topic = account.client("sns", region=EAST).create_topic(Name=TOPIC)["TopicArn"]
    account.client("budgets", region=EAST).create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": BUDGET,
            "BudgetLimit": {"Amount": MONTHLY_USD, "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        NotificationsWithSubscribers=[
            {
                "Notification": {
                    "NotificationType": "ACTUAL",
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": 80.0,
                    "ThresholdType": "PERCENTAGE",
                },
                "Subscribers": [{"SubscriptionType": "SNS", "Address": topic}],
            }
        ],
    )


def close_of_day(account: Any, marked: dict[str, list[str]]) -> None:
    """Write the last hours' metrics and log lines, and make the alarm that looks at them."""
    now, served = account.now(), marked["served"][0]
    watch, logs = account.client("cloudwatch", region=EAST), account.client("logs", region=EAST)
    dimensions = [{"Name": "InstanceId", "Value": served}]
    data = [
        {
            "MetricName": "CPUUtilization",
            "Dimensions": dimensions,
            "Timestamp": now - timedelta(hours=hours),
            "Value": 22.0 + 3 * (hours % 5),
            "Unit": "Percent",
        }
        for hours in range(24)
    ]
    watch.put_metric_data(Namespace="AWS/EC2", MetricData=data)
    watch.put_metric_alarm(
        AlarmName=ALARM,
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Dimensions=dimensions,
        Statistic="Average",
        Period=3600,
        EvaluationPeriods=6,
        Threshold=5.0,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="missing",
        AlarmActions=[account.client("sns", region=EAST).create_topic(Name=TOPIC)["TopicArn"]],
    )
    for group, _ in LOGS:
        logs.create_log_stream(logGroupName=group, logStreamName="main")
        line = json.dumps({"at": now.isoformat(), "told": f"{group} is alive"})
        event = {"timestamp": int(now.timestamp() * 1000), "message": line}
        logs.put_log_events(logGroupName=group, logStreamName="main", logEvents=[event])

"""Lab 11 as somebody writes it who has not thought about bad days, and as somebody who would rather not write it."""

# Solution cell: (the body of the function, its test, the largest share of the points that it may earn).
HALF_RIGHT = {
    "machines": (
        """
    rows = []
    for reservation in account.client("ec2").describe_instances()["Reservations"]:
        for one in reservation["Instances"]:
            row = {"id": one["InstanceId"], "region": "us-east-1", "type": one["InstanceType"]}
            tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
            rows.append({**row, "state": one["State"]["Name"], "launched": one["LaunchTime"], "tags": tags})
    return rows, {}
""",
        "test-machines",
        0.4,
    ),
    "by-owner": (
        """
    usd = {}
    for row in rows:
        owner = row["tags"].get("owner", "nobody")
        usd[owner] = usd.get(owner, 0) + (prices.get(row["type"]) or 0)
    return usd, []
""",
        "test-by-owner",
        0.3,
    ),
    "launch": (
        """
    tags = {"owner": order["owner"], "project": order["project"], "expires-at": order["ends"].isoformat()}
    told = account.client("ec2", region=order["region"]).run_instances(
        ImageId=order["image"],
        InstanceType=order["type"],
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
    )
    return told["Instances"][0]["InstanceId"]
""",
        "test-launch",
        0.35,
    ),
    "researcher-policy": (
        """
    allowed = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    allowed["Condition"] = {"StringEquals": {"aws:RequestedRegion": regions}}
    return {"Version": "2012-10-17", "Statement": [*given, allowed]}
""",
        "test-researcher-policy",
        0.25,
    ),
    "judge": (
        """
    end = row["tags"].get("expires-at")
    if row["tags"].get("protected") == "true" or not end:
        return "keep"
    return "terminate" if now.strftime("%Y-%m-%dT%H:%M:%SZ") >= end else "keep"
""",
        "test-judge",
        0.4,
    ),
    "end-all": (
        """
    for one in ids:
        if how == "stop":
            ec2.stop_instances(InstanceIds=[one])
        else:
            ec2.terminate_instances(InstanceIds=[one])
    return dict.fromkeys(ids, "")
""",
        "test-end-all",
        0.4,
    ),
    "reap": (
        """
    now, ended = aws_now(account), {"terminate": [], "stop": [], "failed": {}, "unseen": {}}
    for row in machines(account, regions)[0]:
        verdict = judge(row, now)
        if verdict != "keep":
            account.client("ec2", region=row["region"]).terminate_instances(InstanceIds=[row["id"]])
            ended[verdict].append(row["id"])
    return ended
""",
        "test-reap",
        0.4,
    ),
    "shut-down": (
        """
    rows = [row for row in machines(account, regions)[0] if row["state"] == "running"]
    for row in rows:
        account.client("ec2", region=row["region"]).terminate_instances(InstanceIds=[row["id"]])
    usd = sum(prices[row["type"]] or 0 for row in rows)
    return {"groups": [], "instances": [r["id"] for r in rows], "usd_per_hour": usd, "unpriced": [], "failed": {}}
""",
        "test-shut-down",
        0.4,
    ),
}

# Solution cell: (code that runs first, the body of the function, its test). None of these earns anything.
CHEATS = {
    "boto3 answers what is wanted": (
        "end-all",
        "import botocore.client\nbotocore.client.BaseClient._make_api_call = lambda *a, **k: {}",
        '    return dict.fromkeys(ids, "")',
    ),
    "the judge's eyes replaced": (
        "end-all",
        "from course_lib.finops.cloud import rehearsal\n"
        'rehearsal.Rehearsal.states = lambda self, *regions: {str(n): "terminated" for n in range(3)}',
        '    return dict.fromkeys(ids, "")',
    ),
    "the stage replaced": (
        "end-all",
        "from course_lib.finops.cloud import rehearsal\nrehearsal.rehearse = lambda start: None",
        '    return dict.fromkeys(ids, "")',
    ),
    "a forged ledger": (
        "end-all",
        "from course_lib.finops.cloud import rehearsal\n"
        'rehearsal.Rehearsal.calls = lambda self, *names: [{"operation": "TerminateInstances"}]',
        '    return dict.fromkeys(ids, "")',
    ),
    "told and not done": ("end-all", "", '    print("terminated", ids)\n    return dict.fromkeys(ids, "")'),
    "the course's own": (
        "end-all",
        "",
        "    from course_lib.finops.ephemeral import end_instances\n"
        '    return {k: getattr(e, "code", "") for k, e in end_instances(ec2, ids, how).items()}',
    ),
    "the course's own in a thread": (
        "end-all",
        "",
        "    from concurrent.futures import ThreadPoolExecutor\n"
        "    from course_lib.finops.ephemeral import end_instances\n"
        "    with ThreadPoolExecutor(1) as pool:\n"
        "        done = pool.submit(end_instances, ec2, ids, how).result()\n"
        '    return {k: getattr(e, "code", "") for k, e in done.items()}',
    ),
    "the course's policy": (
        "researcher-policy",
        "",
        "    from course_lib.finops.iam import launch_policy\n"
        "    return launch_policy(number, regions, types, required_tags=())",
    ),
    "the account's clock turned by the back door": (
        "schedule-end",
        "",
        "    from course_lib.finops.cloud import BackDoor\n"
        "    from datetime import timedelta\n"
        "    ec2 = account.client('ec2', region=region)\n"
        "    BackDoor(ec2.meta.endpoint_url).advance(timedelta(hours=12))\n"
        "    ec2.terminate_instances(InstanceIds=[instance_id])",
    ),
}

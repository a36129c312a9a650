# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   lab:
#     title: Guardrails on an AWS account
#     hours: 1.5
#     points: 50
#     after: book/finops/04-dashboard
#     requires:
#     - book/foundations/03-finops-first
#     - book/foundations/04-aws-in-fifteen-minutes
#     - book/finops/01-guardrails
#     - book/finops/02-ephemeral-and-batch
#     - book/finops/04-dashboard
#     rooms: [catalog, finops.cloud.rehearsal, finops.iam, labkit]
#     equivalent_mutants:
#     - mutant: "machines: 'shutting-down' -> 'shutting-down_'"
#       reason: instances of the practice account are terminated at once and never seen on their way
#     - mutant: "shut-down: 'pending' -> 'pending_'"
#       reason: instances of the practice account run at once and are never seen pending
#     - mutant: "end-all: 0 -> -1"
#       reason: the only member of a batch of one is its first and its last
#     - mutant: "shut-down: '' -> '_'"
#       reason: a missing tag is not the word true, whichever other text stands for it
#     - mutant: "judge: '' -> '_'"
#       reason: a missing tag reads as text that is neither a time nor true, whichever text it is
# ---

# %% [markdown]
# # Lab 11 · Guardrails on an AWS account
#
# Friday, six in the evening, UTC. Your group's cloud account has passed to you this week, and somebody asks in the
# corridor: *"Is anything still running?"* Nobody knows. Monday at eight is 62 hours away.
#
# By then you have looked into every region, launched something that cannot be forgotten, written the policy under which
# others may do the same, set a reaper on what was left behind, found out how late a budget speaks, and rehearsed the
# night on which everything has to go. Each part is a few lines of boto3, and each has a mistake that ran in somebody's
# account for months: a second page that was not read, a tag compared in local time, one protected machine that saved a
# thousand others.
#
# **The account** is a practice account: a server on this machine that speaks AWS's protocol and has a clock that the
# tests turn. Your functions get something with a method `client`, and `account.client("ec2", region="eu-west-1")` is
# boto3's own client. On a real account it is `RealAccount()` from `course_lib.finops.aws` that you would hand in, and
# not a line of yours would change. That is why your functions never ask this computer what time it is, and why they
# change nothing unless they are told to.
#
# **How it works**
#
# - Write your code where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Below each such cell is a test cell. Run it as often as you like: it says what your function returned, what was
#   expected, and gives a hint. Part of a cell's points counts even when one check fails.
# - The tests look at what happened in the account and at its list of calls, not at what a function says about it. When
#   you hand in, hidden checks run too. They ask for the same thing in other regions, at other times, on worse days.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then press **Validate** in the toolbar (in a
#   terminal: `nbgrader validate lab11-finops-guardrails.ipynb`). The written answer counts as missing until you replace
#   `YOUR ANSWER HERE`.
#
# **What you need**: the chapters *FinOps first*, *AWS in fifteen minutes* and the part *FinOps in production*. boto3 is
# all yours. What `course_lib.finops` has of these things (its listing, launches, reaper and policies) is recognized
# inside your functions and earns nothing. Plan an hour and a half.
#
# | task | function | points |
# |---|---|---|
# | 1 | `aws_now`, `machines` and `by_owner`: who spends what | 8 |
# | 2 | `schedule_end` and `launch`: nothing that can be forgotten | 8 |
# | 3 | `researcher_policy`: what others may do | 5 |
# | 4 | `judge`, `end_all` and `reap`: the reaper | 10 |
# | 5 | `set_budget`, `alert_hours` and `spend_by_owner`: how late a budget is | 7 |
# | 6 | `shut_down`: the emergency | 4 |
# | 7 | written answer | 8 |

# %%
import contextlib
import hashlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from course_lib.catalog import instance
from course_lib.finops.cloud.rehearsal import rehearse

FRIDAY = datetime(2026, 12, 4, 18, tzinfo=UTC)
WEEKEND = 62  # hours until Monday at eight
REGIONS = ["ap-northeast-1", "eu-west-1", "us-east-1"]
KINDS = ("g5.xlarge", "inf2.xlarge", "p4d.24xlarge", "p5.48xlarge", "trn1.2xlarge", "trn1.32xlarge", "trn2.48xlarge")
# USD per hour, on demand, us-east-1; None where AWS's list names no price.
PRICES = {kind: instance(kind).price("on_demand", "us-east-1").usd_per_hour for kind in KINDS}


def the_account():
    """The group's account on that Friday at six, as the practice account plays it, and your way into it."""
    stage = rehearse(FRIDAY - timedelta(hours=26))
    over, later = "2026-12-04T09:00:00Z", "2026-12-09T09:00:00Z"
    stage.furnish("us-east-1", "inf2.xlarge", {"owner": "ada", "project": "sweep", "expires-at": over}, 102)
    stage.furnish("us-east-1", "trn1.32xlarge", {"owner": "bob", "project": "speech", "expires-at": later}, 2)
    stage.furnish("us-east-1", "p5.48xlarge", {"owner": "cy", "project": "speech", "expires-at": "2026-12-04 12:00"})
    stage.furnish("us-east-1", "g5.xlarge", {"owner": "dora", "project": "web", "protected": "true"}, 3)
    stage.furnish("eu-west-1", "trn2.48xlarge", {"owner": "bob", "project": "vision", "expires-at": later})
    stage.furnish("eu-west-1", "trn1.2xlarge", {"owner": "eve", "project": "sweep", "expires-at": over}, 4)
    stage.furnish("ap-northeast-1", "p4d.24xlarge")
    stopped = stage.furnish("eu-west-1", "g5.xlarge", {"owner": "eve", "project": "sweep", "expires-at": over}, 2)
    stage.account.client("ec2", region="eu-west-1").stop_instances(InstanceIds=stopped)
    ec2, groups = stage.account.client("ec2"), stage.account.client("autoscaling")
    data = {"ImageId": "ami-12c6146b", "InstanceType": "g5.xlarge"}
    template = ec2.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)["LaunchTemplate"]
    groups.create_auto_scaling_group(
        AutoScalingGroupName="nodes",
        MinSize=2,
        MaxSize=8,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
        AvailabilityZones=["us-east-1a"],
        Tags=[{"Key": "owner", "Value": "fay", "PropagateAtLaunch": True}],
    )
    stage.turn(FRIDAY)
    return stage


STAGE = the_account()
AWS = STAGE.aws
print(AWS.client("sts").get_caller_identity()["Arn"])
for kind, usd in PRICES.items():
    print(f"{kind:15}", "no price known" if usd is None else f"{usd:9.5f} USD/h")

# %% [markdown]
# ## 1 · Who spends what
#
# Three traps lie between you and the answer. **The time**: laptops are wrong by minutes or by a time zone. Every answer
# of AWS carries a `Date` header, and that clock is the one that bills. **Pages**: `describe_instances` returns a part of
# the instances and a token; who does not ask on has read the first page only. **Regions**: a client sees one region,
# and what you forgot is in another.


# %% nbgrader={"solution": true, "grade_id": "aws-now"}
def aws_now(account):
    """AWS's time.

    TODO: return a datetime in UTC, with its time zone.

    APPROACH:
    1. Call get_caller_identity of the service "sts": everybody may.
    2. Its answer has the HTTP headers under ["ResponseMetadata"]["HTTPHeaders"]; the one called "date" is the time.

    EXAMPLE: aws_now(AWS).isoformat() gives '2026-12-04T18:00:00+00:00'.

    HINT: parsedate_to_datetime, imported above, reads such a header.
    """
    ### BEGIN SOLUTION
    answer = account.client("sts").get_caller_identity()
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    ### END SOLUTION


# %% nbgrader={"solution": true, "grade_id": "machines"}
def machines(account, regions=None):
    """Every instance that is not terminated.

    TODO: return (rows, unseen). A row is a dictionary with id, region, type, state, launched (a datetime) and tags (a
        dictionary). unseen maps each region that could not be listed to the error's code.

    APPROACH:
    1. Without regions, take all that describe_regions of the service "ec2" names.
    2. In each region read all pages of describe_instances: reservations, and in each of them instances.
    3. Leave out those whose state is shutting-down or terminated.
    4. A region that refuses (a ClientError) must not hide the others.

    EXAMPLE: a row: {"id": "i-0ab", "region": "eu-west-1", "type": "g5.xlarge", "state": "running",
        "launched": datetime(...), "tags": {"owner": "ada"}}

    HINT: ec2.get_paginator("describe_instances").paginate() gives the pages. An instance without tags has no "Tags".
        error.response["Error"]["Code"] is the code.
    """
    ### BEGIN SOLUTION
    if regions is None:
        regions = [region["RegionName"] for region in account.client("ec2").describe_regions()["Regions"]]
    rows, unseen = [], {}
    for region in regions:
        pages = account.client("ec2", region=region).get_paginator("describe_instances").paginate()
        try:
            found = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
        except ClientError as error:
            unseen[region] = error.response["Error"]["Code"]
            continue
        for one in found:
            if one["State"]["Name"] not in ("shutting-down", "terminated"):
                row = {"id": one["InstanceId"], "region": region, "type": one["InstanceType"]}
                tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
                rows.append({**row, "state": one["State"]["Name"], "launched": one["LaunchTime"], "tags": tags})
    return rows, unseen
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-machines", "points": 6} exercises=["aws-now", "machines"]
# Test 1a · aws_now and machines · 6 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "aws_now and machines",
    points=6,
    off_limits=("course_lib.finops.aws.paging", "course_lib.finops.aws.accounts", "course_lib.finops.ephemeral"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
stage = rehearse(datetime(2026, 12, 4, 18, tzinfo=UTC))
stage.account.advance(timedelta(minutes=3, seconds=20))
check.equal("AWS's time", lambda: aws_now(stage.aws).isoformat(), "2026-12-04T18:03:20+00:00", hint="from the header")
near = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada", "project": "web"}, 2)
bare = stage.furnish("eu-west-1", "trn1.2xlarge")
gone = stage.furnish("eu-west-1", "trn1.2xlarge", {"owner": "ada"})
stage.account.client("ec2", region="eu-west-1").terminate_instances(InstanceIds=gone)
stage.account.client("ec2").stop_instances(InstanceIds=near[:1])
listed = check.outcome(lambda: machines(stage.aws, ["us-east-1", "eu-west-1"]))


def rows_of(told):
    return {row["id"]: row for row in told()[0]}


check.equal(
    "two instances here, one there, and none that is terminated",
    lambda: tuple(sorted((row["region"], row["type"], row["state"]) for row in listed()[0])),
    (
        ("eu-west-1", "trn1.2xlarge", "running"),
        ("us-east-1", "g5.xlarge", "running"),
        ("us-east-1", "g5.xlarge", "stopped"),
    ),
    hint="a stopped instance is not terminated: its disk still costs money",
    weight=2,
)
check.equal(
    "tags as a dictionary, empty where there are none",
    lambda: (
        tuple(sorted(rows_of(listed)[near[1]]["tags"].items())),
        tuple(sorted(rows_of(listed)[bare[0]]["tags"].items())),
    ),
    ((("owner", "ada"), ("project", "web")), ()),
    hint='one.get("Tags", [])',
)
check.equal(
    "the time of the launch, as boto3 gives it",
    lambda: (rows_of(listed)[bare[0]]["launched"] - datetime(2026, 12, 4, tzinfo=UTC)).total_seconds(),
    18 * 3600 + 200.0,
)
### BEGIN HIDDEN TESTS
check.hide()
stage.again(datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC))
check.equal("the time, one second before March", lambda: aws_now(stage.aws).isoformat(), "2027-02-28T23:59:59+00:00")
many = [stage.furnish("us-west-2", "inf2.xlarge", {"n": str(n)})[0] for n in range(101)]
far = stage.furnish("sa-east-1", "g5.xlarge", {"owner": "bob"}, 3)
check.equal(
    "all of 101 launches",
    lambda: tuple(sorted(row["id"] for row in machines(stage.aws, ["us-west-2"])[0])),
    tuple(sorted(many)),
    hint="read every page",
    weight=4,
)
stage.account.inject("denied", "ec2.DescribeInstances", region="eu-north-1")
stage.account.inject("denied", "ec2.DescribeInstances", region="us-west-2")
everywhere = check.outcome(lambda: machines(stage.aws))
check.equal(
    "without regions: every region of the account, even if two refuse",
    lambda: tuple(sorted(row["id"] for row in everywhere()[0])),
    tuple(sorted(far)),
    hint="describe_regions, and go on after a region that refuses",
    weight=4,
)
check.equal(
    "the regions that refused, with the code of the error",
    lambda: tuple(sorted(everywhere()[1].items())),
    (("eu-north-1", "UnauthorizedOperation"), ("us-west-2", "UnauthorizedOperation")),
    hint='error.response["Error"]["Code"]',
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now the money. An instance costs its price while it is `pending` or `running`; a stopped one costs its disk only. Who
# has no tag `owner` is *nobody*, which is the most expensive colleague in most accounts. And where no price is known,
# the honest answer is a list, not a zero.


# %% nbgrader={"solution": true, "grade_id": "by-owner"}
def by_owner(rows, prices):
    """USD per hour of each owner, and what nobody knows the price of.

    TODO: return (usd, unpriced): a dictionary from owner to USD per hour, and a list of ids.

    APPROACH:
    1. Only rows whose state is pending or running cost anything here.
    2. A type that prices does not hold, or holds None for, is unpriced: put the row's id on the list.
    3. The owner is the tag "owner"; without it, or with spaces alone, "nobody".

    EXAMPLE: two g5.xlarge of ada at 1.006 and a running trn2.48xlarge with price None give ({"ada": 2.012}, ["i-0cd"]).

    HINT: prices.get(kind) is None asks both. A price of 0.0 is a price.
    """
    ### BEGIN SOLUTION
    usd, unpriced = {}, []
    for row in rows:
        price = prices.get(row["type"])
        if row["state"] not in ("pending", "running"):
            continue
        if price is None:
            unpriced.append(row["id"])
        else:
            owner = row["tags"].get("owner", "").strip() or "nobody"
            usd[owner] = usd.get(owner, 0) + price
    return usd, unpriced
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-by-owner", "points": 2} exercises=["by-owner"]
# Test 1b · by_owner · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("by_owner", points=2, off_limits=("course_lib.finops.emergency",))


def row(number, kind, state="running", **tags):
    return {"id": f"i-{number}", "region": "us-east-1", "type": kind, "state": state, "tags": tags}


def told(rows, prices):
    usd, unpriced = check.outcome(lambda: by_owner(rows, prices))()
    return tuple((owner, round(float(usd[owner]), 6)) for owner in sorted(usd)), tuple(sorted(unpriced))


few = [row(1, "a", owner="ada"), row(2, "a", owner="ada"), row(3, "b", owner="bob"), row(4, "c", owner="bob")]
check.equal(
    "two owners, and a type without a price",
    lambda: told(few, {"a": 1.006, "b": 21.5, "c": None}),
    ((("ada", 2.012), ("bob", 21.5)), ("i-4",)),
    hint="add up; a price of None goes on the list",
)
check.equal(
    "stopped instances cost nothing here, pending ones do",
    lambda: told([row(1, "a", "stopped", owner="ada"), row(2, "a", "pending", owner="bob")], {"a": 2.0}),
    ((("bob", 2.0),), ()),
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal(
    "without an owner, and with an empty one",
    lambda: told([row(1, "a"), row(2, "a", owner="  "), row(3, "a", owner=" ada ")], {"a": 0.5}),
    ((("ada", 0.5), ("nobody", 1.0)), ()),
    hint='"nobody" for both; spaces around a name do not count',
)
check.equal(
    "a free type has a price, and a stopped one of unknown price is no news",
    lambda: told([row(1, "z", owner="ada"), row(2, "y", "stopped"), row(3, "y")], {"z": 0.0}),
    ((("ada", 0.0),), ("i-3",)),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# And the answer for the corridor:

# %%
AWS = the_account().aws
ROWS, UNSEEN = machines(AWS)
USD, UNPRICED = by_owner(ROWS, PRICES)
for owner, usd in sorted(USD.items(), key=lambda pair: -pair[1]):
    print(f"{owner:8} {usd:7.2f} USD/h {usd * WEEKEND:9,.2f} USD until Monday")
print(f"in all   {sum(USD.values()):7.2f} USD/h {sum(USD.values()) * WEEKEND:9,.2f} USD, and {len(UNPRICED)} unpriced")

# %% [markdown]
# ## 2 · A launch that cannot be forgotten
#
# The end of an instance is decided at its launch, by layers that each assume that the others fail:
#
# 1. The instance powers itself off (`shutdown` in its user data), and powering off means **terminating**. The default
#    is stopping, and then the disk stays.
# 2. EventBridge Scheduler terminates it from outside, once, at its end.
# 3. The reaper of task 4 finds it by its tags, which it has from its first second.
#
# You begin with the second layer. A one-time schedule has an expression such as `at(2026-12-05T06:00:00)`, in UTC, and
# can call any API of AWS: the target's ARN `arn:aws:scheduler:::aws-sdk:ec2:terminateInstances` says which.


# %% nbgrader={"solution": true, "grade_id": "schedule-end"}
def schedule_end(account, region, instance_id, ends, role):
    """Let EventBridge Scheduler terminate an instance at its end; asking again changes nothing.

    TODO: make the schedule; return nothing.

    APPROACH:
    1. Call create_schedule of the service "scheduler", in the instance's region, with a Name that has the instance's id
       in it, FlexibleTimeWindow={"Mode": "OFF"} and ActionAfterCompletion="DELETE".
    2. ScheduleExpression is at(...) with the end in UTC: ends may have another time zone.
    3. Target has "Arn" (above), "RoleArn", and "Input": the parameters of the call, as JSON.
    4. If there is such a schedule already, create_schedule raises a ConflictException: that is fine.

    EXAMPLE: for ends = 2026-12-05 15:00 in Tokyo (+09:00) the expression is at(2026-12-05T06:00:00).

    HINT: ends.astimezone(UTC).strftime("at(%Y-%m-%dT%H:%M:%S)"); except, or contextlib.suppress; the exception is
        scheduler.exceptions.ConflictException; Input is json.dumps({"InstanceIds": [...]}).
    """
    ### BEGIN SOLUTION
    scheduler = account.client("scheduler", region=region)
    with contextlib.suppress(scheduler.exceptions.ConflictException):
        scheduler.create_schedule(
            Name=f"end-{instance_id}",
            ScheduleExpression=ends.astimezone(UTC).strftime("at(%Y-%m-%dT%H:%M:%S)"),
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
                "RoleArn": role,
                "Input": json.dumps({"InstanceIds": [instance_id]}),
            },
        )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-schedule-end", "points": 3} exercises=["schedule-end"]
# Test 2a · schedule_end · 3 points
import importlib
from datetime import UTC, datetime, timedelta, timezone

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "schedule_end",
    points=3,
    off_limits=("course_lib.finops.ephemeral", "course_lib.finops.cloud.back_door"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
evening = datetime(2026, 12, 4, 18, tzinfo=UTC)
stage = rehearse(evening)
ends_leases = "arn:aws:iam::123456789012:role/ends-leases"


def schedules(region):
    found = stage.account.client("scheduler", region=region)
    return [found.get_schedule(Name=one["Name"]) for one in found.list_schedules()["Schedules"]]


def around_the_end(region, end, minutes=1):
    """States a minute before and after an end, in the order of the ids; and how many schedules are left."""
    states = []
    for moment in (end - timedelta(minutes=minutes), end + timedelta(minutes=minutes)):
        stage.turn(moment)
        states += [state for _, state in sorted(stage.states(region).items())]
    return (*states, len(schedules(region)))


(first,) = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada"})
asked = check.outcome(lambda: schedule_end(stage.aws, "us-east-1", first, evening + timedelta(hours=12), ends_leases))
made = [(one["Target"]["RoleArn"], one["FlexibleTimeWindow"]["Mode"]) for one in schedules("us-east-1")]
check.equal(
    "one schedule, with the role, at its time and not about it",
    lambda: (asked(), tuple(made)),
    (None, ((ends_leases, "OFF"),)),
)
seen = around_the_end("us-east-1", evening + timedelta(hours=12))
check.equal(
    "it runs until its end, is terminated then, and the schedule is gone too",
    lambda: (asked(), *seen),
    (None, "running", "terminated", 0),
    hint='terminateInstances with {"InstanceIds": [instance_id]}, and ActionAfterCompletion="DELETE"',
    weight=2,
)
### BEGIN HIDDEN TESTS
check.hide()
stage.again(datetime(2027, 3, 5, 20, tzinfo=UTC))
pair = stage.furnish("ap-northeast-1", "g5.xlarge", {"owner": "ada"}, 2)
tokyo = datetime(2027, 3, 6, 15, 0, 30, tzinfo=timezone(timedelta(hours=9)))
twice = check.outcome(
    lambda: [schedule_end(stage.aws, "ap-northeast-1", one, tokyo, ends_leases) for one in (*pair, pair[0])]
)
count = len(schedules("ap-northeast-1"))
seen = around_the_end("ap-northeast-1", tokyo)
check.equal(
    "two instances, one of them asked for twice: two schedules",
    lambda: (len(twice()), count),
    (3, 2),
    hint="the instance's id belongs into the name, and a ConflictException is no failure",
)
check.equal(
    "an end in Tokyo's time, in Tokyo's region",
    lambda: (len(twice()), *seen),
    (3, "running", "running", "terminated", "terminated", 0),
    hint="astimezone(UTC), and the scheduler of the instance's region",
    weight=2,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now the launch. A request may be sent twice: the network breaks after AWS has heard you, or you run the cell again.
# `ClientToken` makes the second request the first one's echo, but only if **every parameter is the same**. So nothing
# in the request may depend on the moment of the call, the user data least of all. The shell can count the minutes when
# the instance boots:
#
# ```
# #!/bin/bash
# shutdown -h +$(( (1796450400 - $(date +%s)) / 60 ))
# ```
#
# where the large number is the end in seconds since 1970.


# %% nbgrader={"solution": true, "grade_id": "launch"}
def launch(account, order):
    """Launch one instance with its end built in, or leave nothing behind.

    TODO: return the instance's id. Raise a ValueError that names the end if it has no time zone or is over, and one
        that names the budget if the price until the end is above it; then nothing is launched.

    APPROACH:
    1. order has region, image, type, owner, project, ends (a datetime), usd_per_hour, budget (USD) and role.
    2. Check the end and the price against aws_now(account).
    3. run_instances with tags owner, project and expires-at (as 2026-12-05T06:00:00Z) on the instance and its volume,
       in the same call; shutdown behavior terminate; the user data from above; and a ClientToken made from the order.
    4. Then schedule_end. If that fails, terminate the instance again and let the error pass on.

    EXAMPLE: launch(AWS, {"region": "us-east-1", "type": "trn1.2xlarge", "ends": FRIDAY + timedelta(hours=12), ...})

    HINT: TagSpecifications=[{"ResourceType": "instance", "Tags": tags}, {"ResourceType": "volume", "Tags": tags}];
        hashlib.sha256(text.encode()).hexdigest() is a token of 64 characters, the most that EC2 takes. A bare `raise`
        in an except block passes the error on.
    """
    ### BEGIN SOLUTION
    ends = order["ends"]
    if ends.tzinfo is None:
        raise ValueError(f"ends {ends} names no time zone")
    hours = (ends - aws_now(account)).total_seconds() / 3600
    if hours <= 0:
        raise ValueError(f"ends {ends} is over")
    if hours * order["usd_per_hour"] > order["budget"]:
        raise ValueError(f"{hours * order['usd_per_hour']:.2f} USD until {ends} is above the budget {order['budget']}")
    until = ends.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tags = {"owner": order["owner"], "project": order["project"], "expires-at": until}
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2, count = account.client("ec2", region=order["region"]), 1
    told = ec2.run_instances(
        ImageId=order["image"],
        InstanceType=order["type"],
        MinCount=count,
        MaxCount=count,
        ClientToken=hashlib.sha256(json.dumps(order, default=str).encode()).hexdigest(),
        InstanceInitiatedShutdownBehavior="terminate",
        UserData=f"#!/bin/bash\nshutdown -h +$(( ({int(ends.timestamp())} - $(date +%s)) / 60 ))\n",
        TagSpecifications=[{"ResourceType": kind, "Tags": pairs} for kind in ("instance", "volume")],
    )
    (launched,) = told["Instances"]
    instance_id = launched["InstanceId"]
    try:
        schedule_end(account, order["region"], instance_id, ends, order["role"])
    except ClientError:
        ec2.terminate_instances(InstanceIds=[instance_id])
        raise
    return instance_id
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-launch", "points": 5} exercises=["aws-now", "schedule-end", "launch"]
# Test 2b · launch · 5 points
import importlib
from datetime import UTC, datetime, timedelta, timezone

from botocore.exceptions import ClientError

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "launch",
    points=5,
    off_limits=("course_lib.finops.ephemeral", "course_lib.finops.aws.accounts", "course_lib.finops.cloud.back_door"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
evening = datetime(2026, 12, 4, 18, tzinfo=UTC)
stage = rehearse(evening)


def order(hours=12, **changed):
    """An order for hours of a trn1.2xlarge, 16.125 USD for twelve of them."""
    given = {
        "region": "us-east-1",
        "image": "ami-12c6146b",
        "type": "trn1.2xlarge",
        "owner": "ada",
        "project": "speech",
    }
    money = {"usd_per_hour": 1.34375, "budget": 20.0, "role": "arn:aws:iam::123456789012:role/ends-leases"}
    return {**given, **money, "ends": evening + timedelta(hours=hours), **changed}


def state(region="us-east-1"):
    """The states of a region's instances, in the order of their ids."""
    return tuple(now for _, now in sorted(stage.states(region).items()))


def tags_of(thing):
    return tuple(sorted((tag["Key"], tag["Value"]) for tag in thing.get("Tags", [])))


stage.account.inject("denied", "ec2.CreateTags")
tagged = check.outcome(lambda: launch(stage.aws, order()))
here, volumes = stage.instances("us-east-1"), stage.account.client("ec2").describe_volumes()["Volumes"]
check.equal(
    "one instance, whose id came back",
    lambda: (tagged(), state()),
    (next(iter(here), ""), ("running",)),
)
check.equal(
    "instance and volume have three tags from their first moment",
    lambda: (tagged() in here, *map(tags_of, (*here.values(), *volumes))),
    (True, *[(("expires-at", "2026-12-05T06:00:00Z"), ("owner", "ada"), ("project", "speech"))] * 2),
    hint="TagSpecifications in run_instances: whoever tags afterwards may not get so far",
    weight=2,
)
stage.again()
stage.account.put_to_sleep(schedules=True)
alone = check.outcome(lambda: launch(stage.aws, order()))
seen = []
for minutes in (-5, 5):
    stage.turn(evening + timedelta(hours=12, minutes=minutes))
    seen += state()
check.equal(
    "the scheduler is out of order: the instance ends itself, and is terminated by it",
    lambda: (bool(alone()), *seen),
    (True, "running", "terminated"),
    hint='user data, and InstanceInitiatedShutdownBehavior="terminate"',
    weight=4,
)
stage.again()
dear = check.outcome(lambda: launch(stage.aws, order(budget=16.124)))
check.refuses("16.125 USD with a budget of 16.124", dear, naming="16.124")
### BEGIN HIDDEN TESTS
check.hide()


def refused_by(told, kind=ValueError):
    """Whether an outcome is that error; another one passes."""
    try:
        told()
    except kind:
        return True
    return False


launched = len(stage.calls("RunInstances"))
check.equal(
    "and nothing was launched",
    lambda: (refused_by(dear), launched),
    (True, 0),
    hint="check before run_instances",
)

for words, ends in (
    ("an end that is over", evening - timedelta(seconds=1)),
    ("an end that is now", evening),
    ("an end without a time zone", datetime(2026, 12, 5, 6)),
):
    stage.again()
    refused = check.outcome(lambda ends=ends: launch(stage.aws, order(ends=ends)))
    launched = len(stage.calls("RunInstances"))
    check.equal(words, lambda told=refused, n=launched: (refused_by(told), n), (True, 0), hint="a ValueError, first")
stage.again()
stage.account.put_to_sleep(guests=True)
tokyo = datetime(2026, 12, 5, 15, tzinfo=timezone(timedelta(hours=9)))
far = check.outcome(lambda: launch(stage.aws, order(region="ap-northeast-1", ends=tokyo)))
marks = [dict(tags_of(one)).get("expires-at") for one in stage.instances("ap-northeast-1").values()]
seen = []
for minutes in (-5, 5):
    stage.turn(tokyo + timedelta(minutes=minutes))
    seen += state("ap-northeast-1")
check.equal(
    "its system hangs, in another region with its own time: the scheduler ends it",
    lambda: (bool(far()), *seen, *marks),
    (True, "running", "terminated", "2026-12-05T06:00:00Z"),
    hint="schedule_end with the order's region; the tag in UTC",
    weight=3,
)
stage.again()
exact = order(budget=12 * 1.34375)
one = check.outcome(lambda: launch(stage.aws, exact))
stage.turn(evening + timedelta(minutes=7))
same = check.outcome(lambda: launch(stage.aws, dict(exact)))
check.equal(
    "the same order seven minutes later is the same instance, and exactly the budget is enough",
    lambda: (one() == same(), state()),
    (True, ("running",)),
    hint="a ClientToken from the order, and nothing in the request that depends on the time of the call",
    weight=3,
)
other = check.outcome(lambda: launch(stage.aws, order(owner="bob")))
check.equal("another order is another instance", lambda: (one() != other(), state()), (True, ("running",) * 2))
stage.again()
stage.account.inject("denied", "scheduler.CreateSchedule")
torn = check.outcome(lambda: launch(stage.aws, order()))
tried = len(stage.calls("RunInstances"))
check.equal(
    "the scheduler refuses: the error passes on, and the instance is terminated",
    lambda: (refused_by(torn, ClientError), tried, state()),
    (True, 1, ("terminated",)),
    hint="terminate_instances in the except block, then raise",
    weight=3,
)
stage.again()
stage.account.inject("internal", "ec2.RunInstances", times=1)
retried = check.outcome(lambda: launch(stage.aws, order(0.5)))
check.equal(
    "half an hour is enough; EC2 fails once, and boto3 asks again: one instance",
    lambda: (bool(retried()), state()),
    (True, ("running",)),
)
stage.again()
stage.account.inject("denied", "ec2.RunInstances")
empty = check.outcome(lambda: launch(stage.aws, order()))
left = len(stage.account.client("scheduler").list_schedules()["Schedules"])
check.equal(
    "EC2 refuses: the error passes on, and no schedule waits for nobody",
    lambda: (refused_by(empty, ClientError), left),
    (True, 0),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 3 · What others may do
#
# Your function is careful. Your colleagues have consoles. A policy makes the account careful: it allows a launch *only*
# with an owner and an end, and lets everybody end what is theirs. IAM asks about a launch several times, once for each
# resource that it touches: image, network, volume, and the instance itself, which carries the conditions. Tags at launch
# are one more request, `ec2:CreateTags`, recognizable by `ec2:CreateAction`. Whoever forgets that has allowed everybody
# to tag what belongs to others.
#
# Two statements are given. The three that matter are yours. `${aws:username}` stands for the caller's name. moto, and
# many a practice account, ignores `Condition`; the tests use the course's evaluator, which decides as AWS documents it.


# %% nbgrader={"solution": true, "grade_id": "researcher-policy"}
def researcher_policy(number, regions, types):
    """Launch these types in these regions with an owner and an end, end what is your own, and nothing else.

    TODO: return the policy as a dictionary, with the two given statements and three of your own.

    APPROACH:
    1. ec2:RunInstances on instances, if the request's region is in regions, the type in types, the request's tag owner
       is the caller's name, and its tag expires-at has the form of 2026-12-05T06:00:00Z.
    2. ec2:CreateTags on instances and volumes, if ec2:CreateAction is RunInstances.
    3. ec2:StopInstances and ec2:TerminateInstances on instances whose tag owner is the caller's name.

    EXAMPLE: {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": f"{arn}:instance/*",
        "Condition": {"StringEquals": {"aws:RequestedRegion": regions, ...}, "StringLike": {...}}}

    HINT: keys: ec2:InstanceType, aws:RequestTag/owner (what is about to be set), aws:ResourceTag/owner (what is there).
        All keys in a Condition must fit, and of a list of values one. In StringLike, ? stands for one character.
    """
    arn = f"arn:aws:ec2:*:{number}"
    parts = [f"{arn}:{part}/*" for part in ("volume", "network-interface", "subnet", "security-group")]
    given = [
        {"Effect": "Allow", "Action": ["ec2:DescribeInstances", "ec2:DescribeRegions"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": [*parts, "arn:aws:ec2:*::image/*"]},
    ]
    ### BEGIN SOLUTION
    own, instances = "${aws:username}", f"{arn}:instance/*"
    equal = {"aws:RequestedRegion": regions, "ec2:InstanceType": types, "aws:RequestTag/owner": own}
    dated = {"aws:RequestTag/expires-at": "????-??-??T??:??:??Z"}
    three = [
        ("ec2:RunInstances", instances, {"StringEquals": equal, "StringLike": dated}),
        ("ec2:CreateTags", [instances, parts[0]], {"StringEquals": {"ec2:CreateAction": "RunInstances"}}),
        (["ec2:StopInstances", "ec2:TerminateInstances"], instances, {"StringEquals": {"aws:ResourceTag/owner": own}}),
    ]
    mine = [{"Effect": "Allow", "Action": what, "Resource": on, "Condition": when} for what, on, when in three]
    return {"Version": "2012-10-17", "Statement": given + mine}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-researcher-policy", "points": 5} exercises=["researcher-policy"]
# Test 3 · researcher_policy · 5 points
import importlib

from course_lib import labkit
from course_lib.finops.iam import (
    Launch,
    Request,
    evaluate_all,
    request_on_instance,
    requests_for_run_instances,
)

check = importlib.reload(labkit).Check(
    "researcher_policy",
    points=5,
    off_limits=("course_lib.finops.iam.guardrails", "course_lib.finops.guardrails"),
    unchanged=("course_lib.finops.iam",),
)
written = check.outcome(lambda: researcher_policy("123456789012", ["us-east-1", "eu-west-1"], ["trn1.2xlarge"]))
TWO = {"owner": "ada", "expires-at": "2026-12-05T06:00:00Z"}


def may(request, who="ada", number="123456789012", policy=written):
    """Whether a user's request goes through; a request is a function of the caller."""
    caller = f"arn:aws:iam::{number}:user/{who}"
    asked = request(caller)
    return evaluate_all(policy(), asked if type(asked) is tuple else (asked,)).allowed


def start(kind="trn1.2xlarge", region="us-east-1", tags=TWO):
    marks = {"instance": tags, "volume": tags} if tags else {}
    return lambda caller: requests_for_run_instances(caller, Launch(kind, region, marks))


def on_instance(action, tags, region="us-east-1", number="123456789012", **more):
    return lambda caller: request_on_instance(caller, action, region, number, resource_tags=tags, **more)


check.equal(
    "a trn1.2xlarge with both tags yes, a p5.48xlarge no",
    lambda: (may(start()), may(start("p5.48xlarge"))),
    (True, False),
    hint="ec2:InstanceType in StringEquals",
    weight=2,
)
check.equal(
    "in eu-west-1 yes, in ap-south-1 no",
    lambda: (may(start(region="eu-west-1")), may(start(region="ap-south-1"))),
    (True, False),
    hint="aws:RequestedRegion",
    weight=2,
)
check.equal(
    "with an end yes, without no",
    lambda: (may(start()), may(start(tags={"owner": "ada"}))),
    (True, False),
    hint="aws:RequestTag/expires-at",
)
check.equal(
    "terminate your own yes, a colleague's no",
    lambda: tuple(may(on_instance("ec2:TerminateInstances", {"owner": who})) for who in ("ada", "bob")),
    (True, False),
    hint="aws:ResourceTag/owner must be ${aws:username}",
    weight=2,
)
### BEGIN HIDDEN TESTS
check.hide()
bobs = {**TWO, "owner": "bob"}
check.equal(
    "bob with bob's tag yes, with ada's no; and not without an owner, or without any tag",
    lambda: tuple([may(start(tags=tags), "bob") for tags in (bobs, TWO, {"expires-at": TWO["expires-at"]}, {})]),
    (True, False, False, False),
    hint="the owner's tag is the caller's name, not a constant, and it must be there",
    weight=3,
)
ends = ("2027-01-01T00:00:00Z", "next Monday", "2027-01-01T00:00:00", "")
check.equal(
    "an end in UTC yes; words, no time zone or nothing no",
    lambda: tuple(may(start(tags={"owner": "ada", "expires-at": end})) for end in ends),
    (True, False, False, False),
    hint="StringLike with a ? for each digit, and the Z",
    weight=2,
)
own = {"owner": "ada"}


def may_call(*actions):
    return tuple([may(lambda caller, action=action: Request(caller, action)) for action in actions])


check.equal(
    "tags at launch yes, on what runs no",
    lambda: (may(start()), may(on_instance("ec2:CreateTags", {"owner": "bob"}, new_tags=own))),
    (True, False),
    hint="ec2:CreateAction must be RunInstances",
    weight=3,
)
check.equal(
    "stop your own yes, an untagged one no",
    lambda: (may(on_instance("ec2:StopInstances", own)), may(on_instance("ec2:StopInstances", {}))),
    (True, False),
)
beside = (
    "ec2:StartInstances",
    "ec2:ModifyInstanceAttribute",
    "ec2:DeleteTags",
    "ec2:RebootInstances",
    "ec2:CreateTags",
)
check.equal(
    "terminate your own yes; start, change, retag it no",
    lambda: (
        may(on_instance("ec2:TerminateInstances", own, "eu-west-1")),
        *[may(on_instance(action, own)) for action in beside],
    ),
    (True, *[False] * len(beside)),
    hint="name the actions one by one",
    weight=2,
)
check.equal(
    "look yes; other services, passing roles, fleets no",
    lambda: may_call("ec2:DescribeInstances", "s3:ListAllMyBuckets", "iam:PassRole", "ec2:CreateFleet"),
    (True, False, False, False),
)
there = check.outcome(lambda: researcher_policy("210987654321", ["us-west-2"], ["inf2.xlarge", "g5.xlarge"]))


def may_there(*wanted):
    return tuple([may(start(kind, region), number="210987654321", policy=there) for kind, region in wanted])


check.equal(
    "another account, region and types",
    lambda: may_there(
        ("g5.xlarge", "us-west-2"),
        ("inf2.xlarge", "us-west-2"),
        ("g5.xlarge", "us-east-1"),
        ("g5.2xlarge", "us-west-2"),
    ),
    (True, True, False, False),
    hint="use the arguments",
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 4 · The reaper
#
# It assumes that everything before it failed. It keeps no list and no state: what the tags say *now* decides, so that it
# may run every five minutes, twice at once, or not at all for an hour. What it decides about one instance is a function
# without any AWS in it:
#
# - The tag `protected` = `true` (in any capitals): keep.
# - The tag `expires-at` with a time zone: terminate once that time has come, keep before.
# - Without such a tag, or with one that nobody can read, such as a time without a zone: an hour's grace from the launch,
#   then stop. Stopping keeps the disk, for whoever comes looking for it. What is stopped already is kept.


# %% nbgrader={"solution": true, "grade_id": "judge"}
def judge(row, now):
    """What the reaper does with one instance.

    TODO: return "keep", "terminate" or "stop".

    APPROACH:
    1. row is one of those that machines returns; now is AWS's time.
    2. First protected, then the end, then the grace.
    3. datetime.fromisoformat reads the end, and raises a ValueError for what is none. Without a time zone it is none
       either.

    EXAMPLE: expires-at 2026-12-04T18:00:00Z is terminated at 18:00:00 sharp, and kept at 17:59:59.

    HINT: .tzinfo is None for a time without a zone. Compare moments (now >= end), never hours or texts.
    """
    ### BEGIN SOLUTION
    tags = row["tags"]
    spared = tags.get("protected", "").strip().lower() == "true"
    try:
        end = datetime.fromisoformat(tags.get("expires-at", "").strip())
    except ValueError:
        end = None
    if end is not None and end.tzinfo is not None:
        verdict = "terminate" if now >= end else "keep"
    elif row["state"] in ("stopping", "stopped") or now - row["launched"] < timedelta(hours=1):
        verdict = "keep"
    else:
        verdict = "stop"
    return "keep" if spared else verdict
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-judge", "points": 3} exercises=["judge"]
# Test 4a · judge · 3 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit

check = importlib.reload(labkit).Check("judge", points=3, off_limits=("course_lib.finops.ephemeral",))
six = datetime(2026, 12, 4, 18, tzinfo=UTC)


def found(age=120, state="running", **tags):
    """A row of an instance that was launched so many minutes ago."""
    named = {key.replace("_", "-"): value for key, value in tags.items()}
    row = {"id": "i-1", "region": "us-east-1", "type": "g5.xlarge", "state": state, "tags": named}
    return {**row, "launched": six - timedelta(minutes=age)}


def verdicts(*rows, now=six):
    return lambda: tuple(judge(row, now) for row in rows)


check.equal(
    "a second before its end, and at its end",
    verdicts(found(expires_at="2026-12-04T18:00:01Z"), found(expires_at="2026-12-04T18:00:00Z")),
    ("keep", "terminate"),
    hint="now >= end",
)
check.equal(
    "without an end: 59 minutes after its launch, and an hour after",
    verdicts(found(59), found(60), found(61, owner="ada")),
    ("keep", "stop", "stop"),
    hint="a grace of one hour",
)
check.equal(
    "over, protected, and protected = false",
    verdicts(
        found(expires_at="2026-12-01T00:00:00Z", protected="true"),
        found(expires_at="2026-12-01T00:00:00Z", protected="false"),
    ),
    ("keep", "terminate"),
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal(
    "the same moment in three time zones, and a minute later in one",
    verdicts(
        found(expires_at="2026-12-05T03:00:00+09:00"),
        found(expires_at="2026-12-04T10:00:00-08:00"),
        found(expires_at=" 2026-12-04T18:00:00+00:00 "),
        found(expires_at="2026-12-04T10:01:00-08:00"),
    ),
    ("terminate", "terminate", "terminate", "keep"),
    hint="moments, not texts; spaces around a tag's value do not count",
    weight=2,
)
check.equal(
    "a time without a zone is no end, whether it is over or not",
    verdicts(
        found(expires_at="2026-12-01T00:00:00"),
        found(expires_at="2027-12-01T00:00:00"),
        found(5, expires_at="2026-12-01"),
    ),
    ("stop", "stop", "keep"),
    hint="tzinfo is None: treat it as if it were missing",
    weight=2,
)
check.equal(
    "words, nothing, and yesterday at another hour",
    verdicts(found(expires_at="tonight"), found(expires_at=""), found(expires_at="2026-12-03T19:30:00Z")),
    ("stop", "stop", "terminate"),
    hint="a ValueError is no end; compare whole moments, not hours",
)
check.equal(
    "PROTECTED in any capitals; yes is not true",
    verdicts(found(protected=" True "), found(protected="TRUE"), found(protected="yes")),
    ("keep", "keep", "stop"),
)
check.equal(
    "stopped without an end, stopped and over, being stopped",
    verdicts(
        found(state="stopped"), found(state="stopped", expires_at="2026-12-04T17:00:00Z"), found(state="stopping")
    ),
    ("keep", "terminate", "keep"),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now the ending itself. `terminate_instances` takes a thousand ids at once and is **all or nothing**: one id that is
# gone, or one instance with termination protection, and the call ends none of them. Trying each alone would be a
# thousand calls. Halve instead: whoever is refused tries both halves, until the bad one stands alone. That is
# about $2 \log_2 n$ calls for one bad one among $n$.


# %% nbgrader={"solution": true, "grade_id": "end-all"}
def end_all(ec2, ids, how):
    """Terminate or stop instances, each for itself.

    TODO: return a dictionary from each id to "" if it has ended or was gone, or to the error's code.

    APPROACH:
    1. Nothing to end: return {} without a call.
    2. Try all of them at once: ec2.terminate_instances, or ec2.stop_instances if how is "stop".
    3. On a ClientError whose code speaks of a member (InvalidInstanceID.NotFound, OperationNotPermitted) halve, and
       join both results. One alone keeps the code; NotFound is as good as ended.
    4. Any other code (you may not call this at all) is everybody's: halving would only repeat it.

    EXAMPLE: end_all(ec2, ["i-1", "i-2"], "terminate") gives {"i-1": "", "i-2": "OperationNotPermitted"} if i-2 is
        protected.

    HINT: dict.fromkeys(ids, ""), and a | b joins dictionaries. The function may call itself.
    """
    ### BEGIN SOLUTION
    if not ids:
        return {}
    call = {"stop": ec2.stop_instances, "terminate": ec2.terminate_instances}[how]
    try:
        call(InstanceIds=ids)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("InvalidInstanceID.NotFound", "OperationNotPermitted"):
            return dict.fromkeys(ids, code)
        if len(ids) == 1:
            return {ids[0]: "" if code == "InvalidInstanceID.NotFound" else code}
        middle = len(ids) // 2
        return end_all(ec2, ids[:middle], how) | end_all(ec2, ids[middle:], how)
    return dict.fromkeys(ids, "")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-end-all", "points": 3} exercises=["end-all"]
# Test 4b · end_all · 3 points
import importlib
from collections import Counter
from datetime import UTC, datetime

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "end_all",
    points=3,
    off_limits=("course_lib.finops.ephemeral", "course_lib.finops.cloud.back_door"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
stage = rehearse(datetime(2026, 12, 4, 18, tzinfo=UTC))


def protect(*ids):
    for one in ids:
        stage.account.client("ec2").modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})


def ended(told):
    """How often each answer came, and each state."""
    codes = Counter(told().values())
    return tuple(sorted(codes.items())), tuple(sorted(Counter(stage.states("us-east-1").values()).items()))


three = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada"}, 3)
simple = check.outcome(lambda: end_all(stage.aws.client("ec2"), list(three), "terminate"))
tries = len(stage.calls("TerminateInstances"))
check.equal(
    "three at once, with one call",
    lambda: (*ended(simple), tries),
    ((("", 3),), (("terminated", 3),), 1),
)
stage.again()
ids = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada"}, 32)
protect(ids[13])
one_bad = check.outcome(lambda: end_all(stage.aws.client("ec2"), list(ids), "terminate"))
tries = len(stage.calls("TerminateInstances"))
check.equal(
    "31 of 32 end, the protected one does not",
    lambda: ended(one_bad),
    ((("", 31), ("OperationNotPermitted", 1)), (("running", 1), ("terminated", 31))),
    hint="halve what is refused, and try both halves",
    weight=2,
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal(
    "with at most 11 calls",
    lambda: (one_bad()[ids[13]], tries <= 11),
    ("OperationNotPermitted", True),
    hint="both halves of a batch, not each instance alone",
)
stage.again()
some = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada"}, 9)
protect(some[0], some[8])
lost = [*some[:4], "i-0123456789abcdef0", *some[4:]]
mixed = check.outcome(lambda: end_all(stage.aws.client("ec2"), list(lost), "terminate"))
check.equal(
    "two protected ones, the first and the last, and one that is gone",
    lambda: (mixed()["i-0123456789abcdef0"], mixed()[some[0]], mixed()[some[8]], *ended(mixed)),
    (
        "",
        *["OperationNotPermitted"] * 2,
        (("", 8), ("OperationNotPermitted", 2)),
        (("running", 2), ("terminated", 7)),
    ),
    hint="what is gone has ended; all others keep their code",
    weight=2,
)
stage.again()
kept = stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada"}, 5)
halted = check.outcome(lambda: end_all(stage.aws.client("ec2"), list(kept), "stop"))
check.equal("stop means stop", lambda: ended(halted), ((("", 5),), (("stopped", 5),)), hint='how == "stop"')
stage.account.inject("denied", "ec2.TerminateInstances")
before = len(stage.calls())
denied = check.outcome(lambda: end_all(stage.aws.client("ec2"), list(kept), "terminate"))
tries = len(stage.calls()) - before
check.equal(
    "who may not terminate at all is told so by one call",
    lambda: (*ended(denied), tries),
    ((("UnauthorizedOperation", 5),), (("stopped", 5),), 1),
    hint="only codes that speak of a member are halved",
)
before = len(stage.calls())
nothing = check.outcome(lambda: end_all(stage.aws.client("ec2"), [], "stop"))
tries = len(stage.calls()) - before
check.equal(
    "nothing to end, no call; and the five stay stopped",
    lambda: (len(nothing().keys()), tries, ended(halted)[1]),
    (0, 0, (("stopped", 5),)),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now both together. A reaper is a machine that deletes machines, so it has two brakes: it only tells what it would do
# unless `apply` is true, and it does **nothing at all** if more instances are to end than `at_most`. A clock or a policy
# gone wrong is likelier than a thousand forgotten instances.


# %% nbgrader={"solution": true, "grade_id": "reap"}
def reap(account, regions=None, at_most=20, apply=False):
    """End what has outlived its time.

    TODO: return a dictionary with "terminate" and "stop" (lists of ids that are to end so), "failed" (id to code, of
        what should have ended and did not) and "unseen" (as machines gives it). Raise a ValueError that names the number
        if more than at_most are to end; then nothing is done, and apply makes no difference.

    APPROACH:
    1. Ask AWS for its time, list the machines, judge each row.
    2. Count terminate and stop together, before anything is done.
    3. With apply, call end_all for each region and each way of ending, with that region's client.

    EXAMPLE: reap(AWS, REGIONS) gives {"terminate": ["i-0ab"], "stop": [], "failed": {}, "unseen": {}}, and i-0ab runs on.

    HINT: an instance that is judged "keep" appears nowhere.
    """
    ### BEGIN SOLUTION
    now = aws_now(account)
    rows, unseen = machines(account, regions)
    doomed = [(row, verdict) for row in rows if (verdict := judge(row, now)) != "keep"]
    if len(doomed) > at_most:
        raise ValueError(f"{len(doomed)} instances are to end, more than at_most={at_most}; nothing was done")
    failed = {}
    if apply:
        for region, how in {(row["region"], verdict) for row, verdict in doomed}:
            ids = [row["id"] for row, verdict in doomed if (row["region"], verdict) == (region, how)]
            ended = end_all(account.client("ec2", region=region), ids, how)
            failed |= {one: code for one, code in ended.items() if code}
    told = {how: [row["id"] for row, verdict in doomed if verdict == how] for how in ("terminate", "stop")}
    return {**told, "failed": failed, "unseen": unseen}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-reap", "points": 4} exercises=["aws-now", "machines", "judge", "end-all", "reap"]
# Test 4c · reap · 4 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "reap",
    points=4,
    off_limits=(
        "course_lib.finops.aws.paging",
        "course_lib.finops.aws.accounts",
        "course_lib.finops.ephemeral",
        "course_lib.finops.emergency",
        "course_lib.finops.cloud.back_door",
    ),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
WHERE = ["eu-west-1", "us-east-1"]


def world(at):
    """An account with some of everything: (ids by what should become of them, the stage)."""
    stage = rehearse(at - timedelta(hours=3))
    over, later = (at - timedelta(seconds=30)).isoformat(), (at + timedelta(minutes=1)).isoformat()
    made = {
        "terminate": stage.furnish("us-east-1", "g5.xlarge", {"owner": "ada", "expires-at": over}, 6),
        "stop": stage.furnish("us-east-1", "g5.xlarge", {"expires-at": "2026-01-01T00:00:00"}, 2),
        "keep": stage.furnish("us-east-1", "g5.xlarge", {"owner": "bob", "expires-at": later}, 2),
    }
    made["terminate"] += stage.furnish("eu-west-1", "inf2.xlarge", {"owner": "ada", "expires-at": over}, 3)
    made["stop"] += stage.furnish("eu-west-1", "inf2.xlarge")
    made["keep"] += stage.furnish("eu-west-1", "inf2.xlarge", {"expires-at": over, "protected": "true"})
    stage.turn(at - timedelta(minutes=59))
    made["keep"] += stage.furnish("eu-west-1", "inf2.xlarge")
    stage.turn(at)
    return made, stage


def became(made, stage, told, *more):
    """What was told, and what became of each kind: its states, without repetition."""
    lists = tuple(sorted(told()[how]) == sorted(made[how]) for how in ("terminate", "stop"))
    states = stage.states(*WHERE)
    return (*lists, *[", ".join(sorted({states[one] for one in made[kind]})) for kind in made], *more)


made, stage = world(datetime(2026, 12, 4, 18, tzinfo=UTC))
dry = check.outcome(lambda: reap(stage.aws, WHERE))
check.equal(
    "a dry run tells what would end, and changes nothing",
    lambda: became(made, stage, dry),
    (True, True, "running", "running", "running"),
    hint="apply=False is the default",
)
wet = check.outcome(lambda: reap(stage.aws, WHERE, apply=True))
check.equal(
    "with apply: ended in both regions, and nothing else",
    lambda: became(made, stage, wet, len(wet()["failed"])),
    (True, True, "terminated", "stopped", "running", 0),
    hint="end_all with each region's own client",
    weight=2,
)
made, stage = world(datetime(2026, 12, 4, 18, tzinfo=UTC))
strict = check.outcome(lambda: reap(stage.aws, WHERE, at_most=11, apply=True))
check.refuses("twelve are to end, eleven may", strict, naming="12")
### BEGIN HIDDEN TESTS
check.hide()


def refused(told):
    try:
        told()
    except ValueError:
        return "refused"
    return "done"


check.equal(
    "and nothing was done; twelve of twelve may",
    lambda: (
        refused(strict),
        len(set(stage.states(*WHERE).values())),
        became(made, stage, check.outcome(lambda: reap(stage.aws, WHERE, at_most=12, apply=True)))[2:4],
    ),
    ("refused", 1, ("terminated", "stopped")),
    hint="count before anything is done",
)
made, stage = world(datetime(2027, 7, 1, 0, 30, tzinfo=UTC))
bad = made["terminate"][2]
stage.account.client("ec2").modify_instance_attribute(InstanceId=bad, DisableApiTermination={"Value": True})
stage.account.inject("denied", "ec2.DescribeInstances", region="sa-east-1")
stage.account.inject("throttling", "ec2.*", region="us-east-1", times=1)
hard = check.outcome(lambda: reap(stage.aws, [*WHERE, "sa-east-1"], apply=True))
stage.account.heal()
check.equal(
    "one has termination protection: the other eight end, and it is named",
    lambda: (became(made, stage, hard)[2:], stage.states("us-east-1")[bad], tuple(sorted(hard()["failed"].items()))),
    (("running, terminated", "stopped", "running"), "running", ((bad, "OperationNotPermitted"),)),
    hint="collect the codes of end_all under failed",
    weight=2,
)
check.equal(
    "and the region that refused is named",
    lambda: tuple(sorted(hard()["unseen"].items())),
    (("sa-east-1", "UnauthorizedOperation"),),
)
before = len(stage.calls("TerminateInstances", "StopInstances"))
again = check.outcome(lambda: reap(stage.aws, WHERE, apply=True))
calls = len(stage.calls("TerminateInstances", "StopInstances")) - before
check.equal(
    "a second time finds the protected one alone, with one call",
    lambda: (tuple(again()["terminate"]), len(again()["stop"]), calls),
    ((bad,), 0, 1),
    hint="decide by what is there now, and end what was judged only",
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# What would it do to your group's account? Nothing yet: this is a dry run, and 20 is the limit.

# %%
STAGE = the_account()
for limit in (20, 200):
    try:
        PLANNED = reap(STAGE.aws, REGIONS, at_most=limit)
    except ValueError as error:
        print("at_most 20:", error)
print(f"at_most 200: terminate {len(PLANNED['terminate'])}, stop {len(PLANNED['stop'])}")
DONE = reap(STAGE.aws, REGIONS, at_most=200, apply=True)
AFTER, _ = by_owner(machines(STAGE.aws, REGIONS)[0], PRICES)
for owner, usd in sorted(AFTER.items(), key=lambda pair: -pair[1]):
    print(f"{owner:8} still {usd:7.2f} USD/h {usd * WEEKEND:9,.2f} USD until Monday")

# %% [markdown]
# ## 5 · How late a budget is
#
# Your group has a budget, and it has mailed nobody. Budgets look at billing data, which AWS refreshes up to three times
# a day, some hours late. So a budget is a report, not a brake. How late exactly? First make one that works: for one
# project's tag, with a mail at 80 % of what was really spent.


# %% nbgrader={"solution": true, "grade_id": "set-budget"}
def set_budget(account, number, name, usd, project, mail):
    """A monthly cost budget for one project; asking again with another amount changes it.

    TODO: make or change the budget; return nothing.

    APPROACH:
    1. create_budget of the service "budgets" takes AccountId, Budget and NotificationsWithSubscribers.
    2. Budget: BudgetName, BudgetType "COST", TimeUnit "MONTHLY", BudgetLimit with the amount as text, and CostFilters
       for the tag.
    3. One notification: ACTUAL, GREATER_THAN, 80, PERCENTAGE; its subscriber is an EMAIL.
    4. If there is one of that name already, create_budget raises a DuplicateRecordException: call update_budget, with
       NewBudget.

    EXAMPLE: CostFilters={"TagKeyValue": ["user:project$speech"]} counts what carries the tag project = speech.

    HINT: {"Notification": {"NotificationType": ..., "ComparisonOperator": ..., "Threshold": 80, "ThresholdType": ...},
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": mail}]}
    """
    ### BEGIN SOLUTION
    budgets = account.client("budgets")
    budget = {
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": str(usd), "Unit": "USD"},
        "CostFilters": {"TagKeyValue": [f"user:project${project}"]},
    }
    measured = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN"}
    notification = {**measured, "Threshold": 80, "ThresholdType": "PERCENTAGE"}
    told = [{"Notification": notification, "Subscribers": [{"SubscriptionType": "EMAIL", "Address": mail}]}]
    try:
        budgets.create_budget(AccountId=number, Budget=budget, NotificationsWithSubscribers=told)
    except budgets.exceptions.DuplicateRecordException:
        budgets.update_budget(AccountId=number, NewBudget=budget)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-set-budget", "points": 3} exercises=["set-budget"]
# Test 5a · set_budget · 3 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "set_budget",
    points=3,
    off_limits=("course_lib.finops.guardrails", "course_lib.finops.cloud.back_door"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
friday = datetime(2026, 12, 4, 18, tzinfo=UTC)
stage = rehearse(friday)
NUMBER = "123456789012"


def alerts(hours):
    """Turn the clock by so many hours; the mails that went out: hours after the start, and to whom."""
    stage.turn(stage.start + timedelta(hours=hours))
    told = [record for record in stage.account.records() if record["operation"] == "alert"]
    moments = [(datetime.fromisoformat(one["time"]) - stage.start) / timedelta(hours=1) for one in told]
    return tuple((hour, one["parameters"]["to"]) for hour, one in zip(moments, told, strict=True))


stage.furnish("us-east-1", "trn1.32xlarge", {"project": "speech"})
stage.furnish("us-east-1", "p5.48xlarge", {"project": "vision"})
made = check.outcome(lambda: set_budget(stage.aws, NUMBER, "speech", 600, "speech", "ada@example.org"))
sent = alerts(40)
# Spent after h hours: 21.5 h. At hour 24 the data end at hour 16 (344 USD), at hour 32 at hour 24 (516 USD).
check.equal(
    "80 % of 600 USD at 21.50 USD/h: one mail, 32 hours after the start",
    lambda: (made(), sent),
    (None, ((32.0, "ada@example.org"),)),
    hint="one notification at 80 PERCENTAGE of ACTUAL; the filter leaves the other project out",
    weight=2,
)
budgets = stage.account.client("budgets")
kinds, limits = [], []
for one in budgets.describe_budgets(AccountId=NUMBER).get("Budgets", []):
    named = {"AccountId": NUMBER, "BudgetName": one["BudgetName"]}
    kinds.append((one["BudgetName"], one["BudgetType"], one["TimeUnit"], one["BudgetLimit"]["Unit"]))
    for about in budgets.describe_notifications_for_budget(**named)["Notifications"]:
        ways = budgets.describe_subscribers_for_notification(**named, Notification=about)["Subscribers"]
        limits.append((about["NotificationType"], about["ComparisonOperator"], float(about["Threshold"])))
        limits += [way["SubscriptionType"] for way in ways]
check.equal(
    "one monthly budget in USD, one notification, by mail",
    lambda: (made(), tuple(kinds), tuple(limits)),
    (None, (("speech", "COST", "MONTHLY", "USD"),), (("ACTUAL", "GREATER_THAN", 80.0), "EMAIL")),
)
### BEGIN HIDDEN TESTS
check.hide()
start = datetime(2027, 2, 3, 7, tzinfo=UTC)
stage = rehearse(start)
stage.furnish("eu-west-1", "p5.48xlarge", {"project": "vision"})
stage.furnish("us-east-1", "g5.xlarge", {"project": "web"}, 40)
twice = check.outcome(
    lambda: [set_budget(stage.aws, NUMBER, "see", usd, "vision", "bob@example.org") for usd in (10, 1500.5)]
)
sent = alerts(48)
# 55.04 USD/h; 1,200.40 USD are spent after 21.8 hours, which the data of hour 32 show first.
check.equal(
    "set twice: the second amount counts, for another project in another region",
    lambda: (len(twice()), sent),
    (2, ((32.0, "bob@example.org"),)),
    hint="on DuplicateRecordException update_budget with NewBudget",
    weight=2,
)
budgets = stage.account.client("budgets").describe_budgets(AccountId=NUMBER).get("Budgets", [])
limits = tuple((one["BudgetName"], float(one["BudgetLimit"]["Amount"])) for one in budgets)
check.equal("and there is still one", lambda: (len(twice()), limits), (2, (("see", 1500.5),)))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now predict it. A budget is computed every 8 hours from the moment when the account was opened, from data that end 8
# hours before. You start something at one of these moments. When is the first computation that sees **more** than the
# threshold, and what have you spent by then?


# %% nbgrader={"solution": true, "grade_id": "alert-hours"}
def alert_hours(usd_per_hour, threshold, every=8, delay=8):
    """When a budget tells, and what was spent by then.

    TODO: return (hours, usd): hours from the start to the alert, and all that was spent in them.

    APPROACH:
    1. Refuse a price of 0 or less, with a ValueError that names it: such an alert never comes.
    2. The alert comes at the first multiple of every (the start itself is none) at which the data show more than the
       threshold. They show what was spent until delay hours before.
    3. By then you have spent the price of all hours.

    EXAMPLE: alert_hours(21.5, 400) gives (32, 688.0): at hour 24 the data show 344 USD.

    HINT: a while loop over the multiples is as good as a formula.
    """
    ### BEGIN SOLUTION
    if usd_per_hour <= 0:
        raise ValueError(f"a price of {usd_per_hour} never reaches a threshold")
    hours = every * ((threshold / usd_per_hour + delay) // every + 1)
    return hours, usd_per_hour * hours
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-alert-hours", "points": 2} exercises=["alert-hours"]
# Test 5b · alert_hours · 2 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "alert_hours", points=2, unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request")
)


def predicted(*given, **more):
    hours, usd = check.outcome(lambda: alert_hours(*given, **more))()
    return float(hours), round(float(usd), 6)


check.equal("the docstring's example", lambda: predicted(21.5, 400), (32.0, 688.0))
check.equal("p5.48xlarge, a budget of 500", lambda: predicted(55.04, 400), (16.0, 880.64), hint="hours times the price")
check.refuses("an instance that costs nothing", lambda: alert_hours(0, 400), naming="0")
### BEGIN HIDDEN TESTS
check.hide()
check.equal(
    "exactly at the threshold is not above it, at half a dollar an hour neither",
    lambda: (predicted(50.0, 400), predicted(50.0, 399), predicted(0.5, 4)),
    ((24.0, 1200.0), (16.0, 800.0), (24.0, 12.0)),
    hint="more than the threshold",
)
check.equal(
    "data every 6 hours that are 12 hours old, and nearly fresh ones every hour",
    lambda: (predicted(10.0, 75, every=6, delay=12), predicted(10.0, 75, every=1, delay=0)),
    ((24.0, 240.0), (8.0, 80.0)),
    hint="use the arguments every and delay",
)
start = datetime(2026, 12, 7, 9, tzinfo=UTC)
stage = rehearse(start)
stage.furnish("us-east-1", "p4d.24xlarge", {"project": "speech"})
limit, kinds = {"BudgetLimit": {"Amount": "600", "Unit": "USD"}}, {"BudgetType": "COST", "TimeUnit": "MONTHLY"}
above = {"ComparisonOperator": "GREATER_THAN", "NotificationType": "ACTUAL"}
whole = {"Threshold": 100, "ThresholdType": "PERCENTAGE"}
ada = {"SubscriptionType": "EMAIL", "Address": "ada@example.org"}
stage.account.client("budgets").create_budget(
    AccountId="123456789012",
    Budget={"BudgetName": "all", **kinds, **limit, "CostFilters": {"TagKeyValue": ["user:project$speech"]}},
    NotificationsWithSubscribers=[{"Notification": {**above, **whole}, "Subscribers": [ada]}],
)
stage.turn(start + timedelta(hours=60))
told = [datetime.fromisoformat(one["time"]) for one in stage.account.records() if one["operation"] == "alert"]
after = (told[0] - start) / timedelta(hours=1)
check.equal(
    "p4d.24xlarge and 600 USD, as the account itself does it",
    lambda: predicted(21.957642, 600),
    (after, round(after * 21.957642, 6)),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your own budget on your own account: cy's p5.48xlarge and bob's two trn1.32xlarge belong to `speech`, which may spend
# 3,000 USD a month. They have run for 26 hours when you come.

# %%
STAGE = the_account()
set_budget(STAGE.aws, "123456789012", "speech", 3000, "speech", "you@example.org")
RATE = PRICES["p5.48xlarge"] + 2 * PRICES["trn1.32xlarge"]
for _ in range(WEEKEND):
    STAGE.account.advance(timedelta(hours=1))
    SENT = [record["time"] for record in STAGE.account.records() if record["operation"] == "alert"]
    if SENT:
        break
HOURS, SPENT = alert_hours(RATE, 0.8 * 3000)
print(f"{RATE:.2f} USD/h of known price; predicted: a mail {HOURS:.0f} h after the launch, {SPENT:,.2f} USD")
for moment in SENT[:1] or ["none until Monday"]:
    print(f"the mail: {moment[:16]}")

# %% [markdown]
# And who spent it? **Cost Explorer** answers in money, some hours late, and charges 0.01 USD for each request. What you
# do not filter out is in the sum, and what has no tag comes back under an empty name.


# %% nbgrader={"solution": true, "grade_id": "spend-by-owner"}
def spend_by_owner(account, project, start, end):
    """What each owner has spent on one project.

    TODO: return a dictionary from owner ("nobody" without a tag) to USD. start and end are texts such as "2026-12-04";
        the end is not included.

    APPROACH:
    1. Call get_cost_and_usage of the service "ce" once: TimePeriod, Granularity "DAILY", Metrics ["UnblendedCost"].
    2. Filter keeps the tag project, GroupBy groups by the tag owner.
    3. Add up the groups of all days. A group's key is "owner$ada", and "owner$" for what has no owner.

    EXAMPLE: spend_by_owner(AWS, "speech", "2026-12-01", "2026-12-05") gives {"bob": 430.0, "cy": 990.72}.

    HINT: Filter={"Tags": {"Key": ..., "Values": [...]}}, GroupBy=[{"Type": "TAG", "Key": "owner"}]; amounts are texts.
    """
    ### BEGIN SOLUTION
    told = account.client("ce").get_cost_and_usage(
        TimePeriod={"Start": start, "End": end},
        Granularity="DAILY",
        Metrics=["UnblendedCost"],
        Filter={"Tags": {"Key": "project", "Values": [project]}},
        GroupBy=[{"Type": "TAG", "Key": "owner"}],
    )
    usd = {}
    for day in told["ResultsByTime"]:
        for group in day["Groups"]:
            (key,) = group["Keys"]
            owner = key.removeprefix("owner$") or "nobody"
            usd[owner] = usd.get(owner, 0) + float(group["Metrics"]["UnblendedCost"]["Amount"])
    return usd
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-spend-by-owner", "points": 2} exercises=["spend-by-owner"]
# Test 5c · spend_by_owner · 2 points
import importlib
from datetime import UTC, datetime, timedelta

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "spend_by_owner",
    points=2,
    off_limits=("course_lib.finops.usage", "course_lib.finops.focus", "course_lib.finops.cloud.back_door"),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
start = datetime(2026, 12, 2, 6, tzinfo=UTC)
stage = rehearse(start)
bobs = stage.furnish("us-east-1", "trn1.32xlarge", {"project": "speech", "owner": "bob"})
cys = stage.furnish("eu-west-1", "g5.xlarge", {"project": "speech", "owner": "cy"}, 2)
stage.furnish("us-east-1", "p4d.24xlarge", {"project": "vision", "owner": "cy"})
lone = stage.furnish("us-east-1", "inf2.xlarge", {"project": "speech"})
stage.turn(start + timedelta(hours=30))
stage.account.client("ec2").terminate_instances(InstanceIds=[*bobs, *lone])
stage.account.client("ec2", region="eu-west-1").terminate_instances(InstanceIds=cys)
stage.turn(start + timedelta(hours=48))


def spent(told):
    usd = told()
    return tuple((owner, round(float(usd[owner]), 4)) for owner in sorted(usd))


asked = check.outcome(lambda: spend_by_owner(stage.aws, "speech", "2026-12-01", "2026-12-05"))
requests = len(stage.calls("GetCostAndUsage"))
check.equal(
    "30 hours of three owners on one project",
    lambda: spent(asked),
    (("bob", 645.0), ("cy", 60.36), ("nobody", 22.746)),
    hint="the filter keeps project speech; the group's key begins with owner$; add up all days",
    weight=2,
)
check.equal("with one request", lambda: (len(asked()), requests), (3, 1), hint="one request holds all groups and days")
### BEGIN HIDDEN TESTS
check.hide()
one_day = check.outcome(lambda: spend_by_owner(stage.aws, "speech", "2026-12-02", "2026-12-03"))
check.equal(
    "the first day alone, eighteen hours",
    lambda: spent(one_day),
    (("bob", 387.0), ("cy", 36.216), ("nobody", 13.6476)),
    hint="start and end as they are given",
)
others = check.outcome(lambda: spend_by_owner(stage.aws, "vision", "2026-12-01", "2026-12-04"))
# The data end eight hours before: 40 of 48 hours.
check.equal("another project, still running", lambda: spent(others), (("cy", round(40 * 21.957642, 4)),))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 6 · The emergency
#
# A key was stolen, or a loop launches what it should not. The first reflex is to terminate, and it is the wrong one: an
# Auto Scaling group starts anew what you end, faster than you. **First block what launches, then end what runs.**


# %% nbgrader={"solution": true, "grade_id": "shut-down"}
def shut_down(account, regions, prices, apply=False):
    """Block what launches, end what runs, and say what that saves.

    TODO: return a dictionary with "groups" (names of the Auto Scaling groups to block), "instances" (ids to terminate),
        "usd_per_hour" (what they cost, where a price is known), "unpriced" (ids) and "failed" (name or id to code).
        Without apply nothing is changed.

    APPROACH:
    1. List machines. What carries protected = true (in any capitals) stays; of the others, what is pending or running
       goes.
    2. List the groups of every region, all pages of describe_auto_scaling_groups of "autoscaling". Each whose MaxSize
       is not 0 already is to be blocked.
    3. With apply: update every group in every region to MinSize, MaxSize and DesiredCapacity 0. A group that refuses
       must not save the others: note the error's code.
    4. Only then end_all in each region.

    EXAMPLE: {"groups": ["nodes"], "instances": ["i-0ab", "i-0cd"], "usd_per_hour": 2.012, "unpriced": [], "failed": {}}

    HINT: by_owner adds up prices. end_all may find that a group has ended its instances already; that is fine.
    """
    ### BEGIN SOLUTION
    doomed = [
        row
        for row in machines(account, regions)[0]
        if row["state"] in ("pending", "running") and row["tags"].get("protected", "").strip().lower() != "true"
    ]
    usd, unpriced = by_owner(doomed, prices)
    groups, failed = [], {}
    for region in regions:
        scaling = account.client("autoscaling", region=region)
        for page in scaling.get_paginator("describe_auto_scaling_groups").paginate():
            for group in page["AutoScalingGroups"]:
                if group["MaxSize"] == 0:
                    continue
                name = group["AutoScalingGroupName"]
                groups.append(name)
                if apply:
                    try:
                        scaling.update_auto_scaling_group(
                            AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0
                        )
                    except ClientError as error:
                        failed[name] = error.response["Error"]["Code"]
    if apply:
        for region in regions:
            ids = [row["id"] for row in doomed if row["region"] == region]
            ended = end_all(account.client("ec2", region=region), ids, "terminate")
            failed |= {one: code for one, code in ended.items() if code}
    saved = {"usd_per_hour": sum(usd.values()), "unpriced": unpriced}
    return {"groups": groups, "instances": [row["id"] for row in doomed], **saved, "failed": failed}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-shut-down", "points": 4} exercises=["machines", "by-owner", "end-all", "shut-down"]
# Test 6 · shut_down · 4 points
import importlib
from datetime import UTC, datetime

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check(
    "shut_down",
    points=4,
    off_limits=(
        "course_lib.finops.aws.paging",
        "course_lib.finops.ephemeral",
        "course_lib.finops.emergency",
        "course_lib.finops.cloud.back_door",
    ),
    unchanged=("course_lib.finops.cloud.rehearsal", "urllib.request", "botocore.client", "botocore.hooks"),
)
WHERE = ["eu-west-1", "us-east-1"]
COSTS = {"g5.xlarge": 1.006, "p5.48xlarge": 55.04, "trn2.48xlarge": None}
stage = rehearse(datetime(2026, 12, 4, 23, tzinfo=UTC))


def group(name, region, least=2):
    """An Auto Scaling group that keeps some g5.xlarge running."""
    ec2, groups = stage.account.client("ec2", region=region), stage.account.client("autoscaling", region=region)
    data = {"ImageId": "ami-12c6146b", "InstanceType": "g5.xlarge"}
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    groups.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=least,
        MaxSize=2 * least,
        LaunchTemplate={"LaunchTemplateId": made["LaunchTemplateId"], "Version": "$Latest"},
        AvailabilityZones=[f"{region}a"],
    )


def world():
    stage.again()
    made = {
        "dear": stage.furnish("us-east-1", "p5.48xlarge", {"owner": "ada"}),
        "far": stage.furnish("eu-west-1", "trn2.48xlarge", {"owner": "bob"}),
        "kept": stage.furnish("us-east-1", "g5.xlarge", {"protected": " TRUE "}, 2),
        "off": stage.furnish("eu-west-1", "g5.xlarge", {"owner": "bob"}),
    }
    stage.account.client("ec2", region="eu-west-1").stop_instances(InstanceIds=made["off"])
    group("nodes", "us-east-1")
    return made


def states(made):
    now = stage.states(*WHERE)
    return tuple(", ".join(sorted({now[one] for one in ids})) for ids in made.values())


def sizes(region):
    found = stage.account.client("autoscaling", region=region).describe_auto_scaling_groups()["AutoScalingGroups"]
    return tuple((one["MinSize"], one["MaxSize"], one["DesiredCapacity"]) for one in found)


made = world()
plan = check.outcome(lambda: shut_down(stage.aws, WHERE, COSTS))
check.equal(
    "a dry run: one group, four instances, and nothing has changed",
    lambda: (tuple(plan()["groups"]), len(plan()["instances"]), states(made), sizes("us-east-1")),
    (("nodes",), 4, ("running", "running", "running", "stopped"), ((2, 4, 2),)),
    hint="the group's own two instances run as well",
)
check.equal(
    "what that saves in an hour, and what nobody knows the price of",
    lambda: (round(float(plan()["usd_per_hour"]), 6), tuple(plan()["unpriced"])),
    (57.052, tuple(made["far"])),
    hint="p5.48xlarge and the group's two; protected and stopped ones save nothing",
)
before = len(stage.calls())
real = check.outcome(lambda: shut_down(stage.aws, WHERE, COSTS, apply=True))
order = [call["operation"] for call in stage.calls()[before:]]
check.equal(
    "for real: blocked, ended, protected ones stay and stopped ones too",
    lambda: (len(real()["instances"]), states(made), sizes("us-east-1"), len(real()["failed"])),
    (4, ("terminated", "terminated", "running", "stopped"), ((0, 0, 0),), 0),
    weight=2,
)
### BEGIN HIDDEN TESTS
check.hide()
made = world()
group("workers", "eu-west-1", 1)
group("locked", "eu-west-1", 1)
armed = made["dear"][0]
stage.account.client("ec2").modify_instance_attribute(InstanceId=armed, DisableApiTermination={"Value": True})
before = len(stage.calls())
hard = check.outcome(lambda: shut_down(stage.aws, ["us-east-1", "eu-west-1"], COSTS, apply=True))
order = [call["operation"] for call in stage.calls()[before:]]
blocks = [place for place, name in enumerate(order) if name == "UpdateAutoScalingGroup"]
ends = [place for place, name in enumerate(order) if name == "TerminateInstances"]
check.equal(
    "all three groups in both regions are blocked before the first instance is ended",
    lambda: (len(hard()["groups"]), len(blocks), bool(blocks and ends) and max(blocks) < min(ends)),
    (3, 3, True),
    hint="two loops: first the groups of all regions, then the instances",
    weight=5,
)
check.equal(
    "one that refuses to end saves nobody else, and is named",
    lambda: (states(made), tuple(sorted(hard()["failed"].items()))),
    (("running", "terminated", "running", "stopped"), ((armed, "OperationNotPermitted"),)),
    weight=2,
)
again = check.outcome(lambda: shut_down(stage.aws, WHERE, COSTS, apply=True))
check.equal(
    "again: no group is left to block",
    lambda: (len(again()["groups"]), tuple(again()["instances"])),
    (0, (armed,)),
    hint="MaxSize 0 is blocked already",
)
made = world()
group("workers", "eu-west-1", 1)
stage.account.inject("denied", "autoscaling.UpdateAutoScalingGroup", region="eu-west-1")
torn = check.outcome(lambda: shut_down(stage.aws, WHERE, COSTS, apply=True))
check.equal(
    "a group that may not be blocked: the other is, the rest ends, and it is named",
    lambda: (sizes("us-east-1"), states(made), tuple(torn()["failed"].items())),
    (((0, 0, 0),), ("terminated", "terminated", "running", "stopped"), (("workers", "AccessDeniedException"),)),
    hint="a ClientError of one group is noted, and the loop goes on",
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Rehearsed on your group's account:

# %%
STAGE = the_account()
SHUT = shut_down(STAGE.aws, REGIONS, PRICES, apply=True)
print(f"{len(SHUT['groups'])} group blocked, {len(SHUT['instances'])} instances, {len(SHUT['failed'])} failed")
print(f"{SHUT['usd_per_hour']:.2f} USD/h saved, {SHUT['usd_per_hour'] * WEEKEND:,.2f} USD until Monday")
print(f"{len(SHUT['unpriced'])} of unknown price ended as well")
LEFT, _ = by_owner(machines(STAGE.aws, REGIONS)[0], PRICES)
print("left:", {owner: round(usd, 2) for owner, usd in LEFT.items()})

# %% [markdown]
# ## 7 · Monday's page
#
# Saturday, 02:40 UTC. A mail says that an access key of your group was found in a public repository. Write the page that
# whoever is awake will follow, in 150 to 300 words, with numbers of *your* account from the cells above. A reader looks
# for four things:
#
# 1. **What to do, in which order, and why in that order**, with the function for each step, what stays, and how you see
#    that it has worked.
# 2. **What it would cost to wait**: for the budget's mail, and until Monday. Which guardrail acts before the money is
#    spent, and which only reports it?
# 3. **What the reaper would have done on its own**, and what not: what still runs after it in your account, and why.
# 4. **What you change on Monday** so that this bill cannot grow again, for two owners of your account by name. Say for
#    one of your measures how it can fail, and what catches it then.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "mondays-page", "points": 8}
# ### BEGIN SOLUTION
# First block, then end: a group starts anew what I terminate. 1. Deactivate the key and attach a policy that denies
# launches, or the thief starts on. 2. `shut_down(AWS, REGIONS, PRICES)`, read it, then `apply=True`: it sets the group
# `nodes` to 0 and terminates 113 instances; dora's three protected ones stay (3.02 USD/h), two stopped ones too. 3. See that
# it worked: `machines(AWS)` over *all* regions, since the thief need not respect our three, with `unseen` empty and `failed`
# empty. Saved: 204.72 USD/h and one trn2.48xlarge of unknown price.
#
# Waiting until Monday costs 53.3 h x 204.72 = 10,918 USD. The budget's mail would come on Saturday at 08:00: 40 h after the
# launch, 3,921.60 USD of a budget of 3,000. A budget reports. What acts before is the check in `launch`, and the policy.
#
# The reaper alone would have refused: 112 are more than 20. With at_most=200 it terminates 108 and stops 4. bob's two
# trn1.32xlarge go on (43.00 USD/h, leased until the 9th), dora's are protected, his trn2 too. And the group replaces the
# nodes that were stopped. A thief who writes expires-at = 2030 is safe from it.
#
# On Monday: cy's end was "2026-12-04 12:00" without a zone, so nothing ended it for six hours, 330 USD; the policy's pattern
# refuses such a tag. ada's sweep gets one launch with an end for 102 runs, 77.34 USD/h. The pattern can be met by a wrong
# end, years away: then the budget check in `launch` refuses, price times hours. If somebody goes around `launch`, the weekly
# list by owner shows it.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · What costs money when nothing runs
#
# Not graded. A volume that belongs to no instance, and an address that points nowhere, cost money until somebody deletes
# them, and no reaper of instances sees them. Find them.


# %% nbgrader={"solution": true, "grade_id": "leftovers"}
def leftovers(account, regions):
    """Volumes and addresses that nothing uses.

    TODO: return a list of (region, id, note) in the order of regions; volumes first, with note such as "100 GiB".

    APPROACH:
    1. describe_volumes, all pages, with the filter status = available.
    2. describe_addresses: those without an AssociationId and without an InstanceId.

    EXAMPLE: [("us-east-1", "vol-0ab", "100 GiB"), ("us-east-1", "eipalloc-0cd", "address")]

    HINT: Filters=[{"Name": "status", "Values": ["available"]}]; an address's id is its AllocationId.
    """
    ### BEGIN SOLUTION
    unused = []
    for region in regions:
        ec2 = account.client("ec2", region=region)
        free = [{"Name": "status", "Values": ["available"]}]
        for page in ec2.get_paginator("describe_volumes").paginate(Filters=free):
            unused += [(region, volume["VolumeId"], f"{volume['Size']} GiB") for volume in page["Volumes"]]
        for address in ec2.describe_addresses()["Addresses"]:
            if not address.get("AssociationId") and not address.get("InstanceId"):
                unused.append((region, address["AllocationId"], "address"))
    return unused
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-leftovers"}
# Self-check for the stretch task: no points, only an answer.
import importlib
from datetime import UTC, datetime

from course_lib import labkit
from course_lib.finops.cloud.rehearsal import rehearse

check = importlib.reload(labkit).Check("leftovers", points=0, off_limits=("course_lib.finops.emergency",))
stage = rehearse(datetime(2026, 12, 4, 18, tzinfo=UTC))
stage.furnish("us-east-1", "g5.xlarge")
ec2 = stage.account.client("ec2", region="eu-west-1")
volume = ec2.create_volume(Size=100, AvailabilityZone="eu-west-1a")["VolumeId"]
address = ec2.allocate_address(Domain="vpc")["AllocationId"]
found = check.outcome(lambda: leftovers(stage.aws, ["us-east-1", "eu-west-1"]))
check.equal(
    "one volume and one address, and not the disk of what runs",
    lambda: tuple(found()),
    (("eu-west-1", volume, "100 GiB"), ("eu-west-1", address, "address")),
)
check.score()

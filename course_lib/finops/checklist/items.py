"""What the checklist asks for: ten items that an account can answer, and those that only people can tick.

They follow the section "Before you use a real account" of the chapter "AWS in fifteen minutes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from course_lib.finops.guardrails import PlannedLaunch

State = Literal["done", "missing", "unseen"]


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        name: such as "budget".
        title: what holds when it is done.
        why: what goes wrong without it.
        command: what to type; "..." stands for your own values. "" where nothing can be typed.
    """

    name: str
    title: str
    why: str
    command: str = ""


@dataclass(frozen=True)
class Step:
    """An item as it stands in an account.

    Attributes:
        item: which.
        state: "unseen" means that AWS did not let us look: it may be done or not.
        evidence: what was read.
        remedy: what to do; "" where it is done.
    """

    item: Item
    state: State
    evidence: str
    remedy: str = ""


# What somebody who begins means to run, unless they say otherwise.
FIRST = PlannedLaunch("trn1.2xlarge", 1, "us-east-1")

ITEMS: tuple[Item, ...] = (
    Item(
        "identity",
        "You know which account this is, and you are not its root user",
        "The root user can't be limited by any policy, and a mistake in the wrong account is somebody else's bill.",
        "aws sts get-caller-identity",
    ),
    Item(
        "root-keys",
        "The root user has no access keys",
        "Whoever finds such a key owns the account, and nothing below can stop them.",
    ),
    Item(
        "login-keys",
        "Nobody has a long-lived access key",
        "Keys on a disk are copied, committed and found. A login that expires is worth little to a thief.",
        "aws sso login",
    ),
    Item(
        "budget",
        "A budget tells a person",
        "Without an alert the first message about money is the invoice.",
        "course finops guard apply guardrails.toml",
    ),
    Item(
        "quota",
        "The quota suffices for the first launch, in its family and region",
        "For accelerators it is 0 in a new account, and the answer to a request takes minutes to days.",
        "course finops guard quota trn1.2xlarge 1 --region us-east-1 --apply",
    ),
    Item(
        "launch-policy",
        "A launch policy is attached that refuses what carries no end",
        "What was launched without its tags has no owner to ask and no end to come.",
        "course finops guard apply guardrails.toml",
    ),
    Item(
        "ends",
        "The schedules' group and the roles that end instances are there",
        "A launch whose end can't be scheduled is taken back, and without the reaper's role nothing ends what escaped.",
        "course finops guard apply guardrails.toml",
    ),
    Item(
        "bucket",
        "A bucket that forgets, in the machines' region",
        "Checkpoints outlive machines. In another region each copy is paid for, and without a lifecycle all are kept.",
        "course finops infra write storage --cloud aws",
    ),
    Item(
        "leases",
        "Nothing runs without a lease",
        "What has no end runs until somebody looks at the bill.",
        "course finops reap --apply",
    ),
    Item(
        "leftovers",
        "The sweep is empty: no loose volume, no idle address",
        "They cost money by existing, and no list of instances shows them.",
        "course finops emergency plan sweep.json",
    ),
)

PEOPLE: tuple[Item, ...] = (
    Item(
        "own-account",
        "This account is for experiments only, and one person is named for it",
        "AWS can't tell what an account is for. In an account of its own, a mistake can't touch production.",
    ),
    Item(
        "root-factor",
        "The root user has a second factor, and its password is locked away",
        "AWS shows that there is a factor, not who holds it.",
    ),
    Item(
        "reaper-tested",
        "You have left a small machine on, on purpose, and seen the reaper end it",
        "A guard that never had to act is a guess.",
        "course finops reap",
    ),
    Item(
        "restored",
        "You have restored one checkpoint from the bucket, and trained on from it",
        "A checkpoint that nobody has read is a hope.",
    ),
)

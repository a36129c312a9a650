"""The parts of the page that come from the account itself: what runs now, who pays, and what could be saved."""

from __future__ import annotations

from datetime import datetime, timedelta

from course_lib.finops.chargeback import CREDITS, IDLE, SHARED, UNTAGGED
from course_lib.finops.dashboard import charts
from course_lib.finops.dashboard.data import DashboardData, Leased, Unread
from course_lib.finops.dashboard.markup import Markup, element, fixed, folded, joined, name, table, usd
from course_lib.finops.dashboard.spending import unread

SOON = timedelta(hours=12)
MOST = 300  # rows of a table: what doesn't fit is counted, so that a page of thousands stays small
ROWS = {
    UNTAGGED: "untagged: nobody's tag is on it",
    IDLE: "idle: paid for and used by nobody",
    SHARED: "shared: no rule divides it",
    CREDITS: "credits left over",
}
PARTS = ("usage", "shared", "idle", "tax", "credit")


def runs_part(data: DashboardData) -> Markup:
    """What is charged at this moment, by owner and one by one, with the ends of the leases."""
    if isinstance(data.runs, Unread):
        return unread(data.runs)
    running, leases = data.runs.running, data.runs.leases
    pieces: list[Markup] = []
    if not leases:
        pieces.append(element("p", "No instance runs."))
    else:
        unknown = running.unknown("owner")
        owners = [
            (
                name(owner, "nobody: untagged"),
                str(sum(one.instance.owner == owner for one in leases)),
                "unknown" if (owner,) in unknown else usd(hourly),
                "unknown" if (owner,) in unknown else usd(24 * hourly),
                element("strong", str(endless)) if (endless := _endless(leases, owner, running.now)) else "0",
            )
            for (owner,), hourly in running.by("owner").items()
        ]
        heads = ("owner", "instances", "USD/h", "USD/day if nothing ends", "without a lease that holds")
        pieces.append(table("What runs now, by owner", heads, owners, numbers=(1, 2, 3, 4)))
        order = sorted(leases, key=lambda one: (-(one.instance.usd_per_hour or 0.0), one.instance.id))
        rows = [
            (
                fixed(one.instance.id),
                fixed(one.instance.region),
                one.instance.instance_type + (" (spot)" if one.instance.purchase == "spot" else ""),
                name(one.instance.owner),
                name(one.instance.project),
                "unknown" if one.instance.usd_per_hour is None else usd(one.instance.usd_per_hour),
                fixed(f"{one.instance.since:%Y-%m-%d %H:%M}"),
                _lease(one, running.now),
            )
            for one in order[:MOST]
        ]
        columns = ("instance", "region", "type", "owner", "project", "USD/h", "since (UTC)", "lease ends (UTC)")
        pieces.append(
            folded("Each instance and its lease", table("Instances that run now", columns, rows, numbers=(5,)))
        )
        pieces += _left_out(len(leases))
    if running.unpriced:
        kinds = ", ".join(sorted({one.instance_type for one in running.unpriced}))
        pieces.append(element("p", f"Not in the sums, since their price is unknown: {kinds}.", class_="warn"))
    pieces += [
        element("p", element("strong", f"Not seen: {region}: "), reason, class_="warn")
        for region, reason in running.unseen.items()
    ]
    return joined(pieces)


def _endless(leases: tuple[Leased, ...], owner: str, now: datetime) -> int:
    return sum(one.instance.owner == owner and (one.ends is None or one.ends <= now) for one in leases)


def _lease(one: Leased, now: datetime) -> Markup:
    kept = " (protected)" if one.protected else ""
    if one.ends is None:
        return joined([element("strong", "no lease"), f": {one.lack}{kept}"])
    at = fixed(f"{one.ends:%Y-%m-%d %H:%M}")
    if one.ends <= now:
        return joined([at, " ", element("strong", "over"), kept])
    return joined([at, " (soon)" if one.ends - now <= SOON else "", kept])


def chargeback_part(data: DashboardData) -> Markup:
    """The newest month of the bill, divided; untagged, idle, shared and credits under their own names."""
    found = data.chargeback
    if isinstance(found, Unread):
        return unread(found)
    used = [part for part in PARTS if any(getattr(one, part) for one in found.shares)] or ["usage"]
    rows = [
        (
            element("em", ROWS.get(one.name, one.name)) if one in found.apart else name(one.name),
            *(usd(getattr(one, part)) for part in used),
            element("strong", usd(one.total)),
            charts.share(f"{one.name}'s share", float(one.total / found.bill) if found.bill else 0.0),
        )
        for one in (*found.teams[:MOST], *found.apart)
    ]
    caption = f"{', '.join(found.months) or 'no month'} by {found.by}, {found.cost} in {found.currency}"
    wide = table(caption, (found.by, *used, "total", "of the bill"), rows, numbers=range(1, len(used) + 2))
    sums = (
        f"{usd(found.allocated)} allocated + {usd(found.idle)} idle + {usd(found.unallocated)} unallocated + "
        f"{usd(found.credits)} left of credits = {usd(found.bill)} {found.currency}: every cent has one place."
    )
    return joined([wide, *_left_out(len(found.teams)), element("p", sums)])


def advice_part(data: DashboardData) -> Markup:
    """What would save money, with evidence, risk and command."""
    found = data.advice
    if isinstance(found, Unread):
        return unread(found)
    pieces: list[Markup] = []
    if not found.recommendations:
        pieces.append(element("p", "Nothing to recommend."))
    else:
        told = f"Up to {usd(found.usd_per_month)} USD a month at list prices; nothing is changed by reading this."
        pieces.append(element("p", told))
        rows = [
            (
                fixed(one.resource),
                one.kind.replace("_", " "),
                one.what,
                name(one.owner),
                "unknown" if one.usd_per_month is None else usd(one.usd_per_month),
                one.evidence,
                one.risk,
            )
            for one in found.recommendations[:MOST]
        ]
        columns = ("resource", "kind", "proposal", "owner", "USD/month", "evidence", "risk")
        pieces.append(table("Recommendations, the largest saving first", columns, rows, numbers=(4,)))
        pieces += _left_out(len(found.recommendations))
        commands = [
            (fixed(one.resource), fixed(one.region), element("code", one.command))
            for one in found.recommendations[:MOST]
        ]
        pieces.append(
            folded("The command of each", table("Commands", ("resource", "region", "AWS CLI command"), commands))
        )
    if found.unmeasured:
        count = len(found.unmeasured)
        pieces.append(element("p", f"{count} running instances have no utilization in CloudWatch.", class_="soft"))
    pieces += [
        element("p", element("strong", f"Not seen: {region}: "), reason, class_="warn")
        for region, reason in found.unseen.items()
    ]
    return joined(pieces)


def _left_out(count: int) -> list[Markup]:
    return [element("p", f"{count - MOST} more are not shown.", class_="warn")] if count > MOST else []

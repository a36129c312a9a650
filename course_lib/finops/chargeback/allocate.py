"""Divide a month's bill among teams by a tag, so that every cent has exactly one place.

FOCUS's EffectiveCost is divided, since it holds a commitment's cost where the commitment is used; BilledCost is what
the invoice has to agree with. Amounts are exact until the last step. Source: FOCUS 1.2, EffectiveCost; for idle and
shared costs kept apart, the FinOps Foundation's capability "Allocation", https://www.finops.org/framework/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from course_lib.catalog import is_number
from course_lib.finops.chargeback.errors import ChargebackError
from course_lib.finops.chargeback.ledger import ZERO, Ledger
from course_lib.finops.chargeback.rounding import largest_remainder, to_cents
from course_lib.finops.chargeback.rules import Shared, Split
from course_lib.finops.chargeback.shares import CREDITS, IDLE, PARTS, SHARED, UNTAGGED, Allocation, Item, Share
from course_lib.finops.focus import FocusData, Row, number, tags_of_row

RESERVED = "__"  # begins the names of rows that are no team
APART = (IDLE, UNTAGGED, SHARED, CREDITS)


def allocate(
    data: FocusData,
    by: str = "project",
    *,
    shared: Sequence[Shared] = (),
    share_idle: Split | None = None,
    utilization: Mapping[str, float] | None = None,
    cost: str = "EffectiveCost",
) -> Allocation:
    """Divide a bill by a tag.

    Charges go to the team in the tag; those without it to "__untagged__". Unused commitments and reservations, and the
    unused part of resources in `utilization`, are idle. Taxes follow their tag, or else the charges. Credits and
    refunds reduce the team in their tag, or else everybody in proportion, and nobody below 0; what is left over of
    them is the row "__credits__". An amount whose rule gives nobody a share stays in "__idle__" or "__shared__".

    Args:
        data: rows of FOCUS 1.2.
        by: the tag's key.
        shared: shared costs; a row belongs to the first that covers it.
        share_idle: divide idle costs among the teams as well; kept apart when left out.
        utilization: ResourceId → fraction of the time, or of the machine, that was used; others count as used.
        cost: the column to divide.

    Raises:
        ChargebackError: for a utilization outside of 0 to 1, a tag value that begins with "__", or two shared costs
            of one name.
        FocusError: for rows in several currencies, or a column that is no cost.

    Source: FOCUS 1.2; `largest_remainder` for the cents.
    """
    _check(by, shared, utilization or {})
    currency, exact_bill = data.currency, Fraction(data.total(cost))
    ledger, pools, reductions = _charges(data, by, shared, utilization or {}, cost)
    used = {team: ledger.total(team) for team in list(ledger.cells) if team not in APART}
    left = reductions.pop("", ZERO)
    for rule in shared:
        left += _divide(ledger, pools.get(rule.name, ZERO), rule.split, used, "shared", SHARED)
    idle = pools.get(IDLE, ZERO)
    if share_idle is None:
        left += min(idle, ZERO)
        ledger.add(IDLE, "idle", max(idle, ZERO))
    else:
        left += _divide(ledger, idle, share_idle, used, "idle", IDLE)
    untaxed = {owner: amount - ledger.cells[owner]["tax"] for owner, amount in ledger.totals().items()}
    ledger.add(UNTAGGED, "tax", ledger.spread(pools.get("tax", ZERO), untaxed, "tax"))
    for owner, amount in reductions.items():
        left += ledger.reduce(owner, amount)
    payers = {owner: amount for owner, amount in ledger.totals().items() if amount > 0}
    taken = max(left, -sum(payers.values(), ZERO))
    ledger.spread(taken, payers, "credit")
    ledger.add(CREDITS, "credit", left - taken)
    return _rounded(ledger, by, cost, data, currency, exact_bill)


def _charges(
    data: FocusData, by: str, shared: Sequence[Shared], utilization: Mapping[str, float], cost: str
) -> tuple[Ledger, dict[str, Fraction], dict[str, Fraction]]:
    """Direct usage in a ledger; shared, idle and taxes in pools; reductions by owner, "" for nobody's."""
    ledger = Ledger()
    pools: dict[str, Fraction] = {}
    reductions: dict[str, Fraction] = {}
    for row, owner, pool, amount in _rows(data, by, shared, cost):
        if pool:
            pools[pool] = pools.get(pool, ZERO) + amount
        elif amount < 0:
            reductions[owner] = reductions.get(owner, ZERO) + amount
        elif row.get("ChargeCategory") == "Tax":
            if owner:
                ledger.add(owner, "tax", amount)
            else:
                pools["tax"] = pools.get("tax", ZERO) + amount
        else:
            busy = Fraction(str(utilization.get(str(row.get("ResourceId")), 1)))
            pools[IDLE] = pools.get(IDLE, ZERO) + amount * (1 - busy)
            _use(ledger, owner or UNTAGGED, row, amount * busy, float(busy))
    return ledger, pools, reductions


def _rows(data: FocusData, by: str, shared: Sequence[Shared], cost: str) -> Iterator[tuple[Row, str, str, Fraction]]:
    for row in data:
        owner = str(tags_of_row(row).get(by) or "").strip()
        if owner.startswith(RESERVED):
            raise ChargebackError.of(by, owner, f"begins with {RESERVED}", "rename this tag's value")
        unused = "Unused" in (row.get("CommitmentDiscountStatus"), row.get("CapacityReservationStatus"))
        pool = next((rule.name for rule in shared if rule.covers(row, owner)), IDLE if unused else "")
        yield row, owner, pool, Fraction(number(row, cost))


def _use(ledger: Ledger, owner: str, row: Row, amount: Fraction, busy: float) -> None:
    ledger.add(owner, "usage", amount)
    if amount:
        what = row.get("SkuMeter") or row.get("ChargeDescription") or row.get("SkuId") or row.get("ChargeCategory")
        line = ledger.lines[owner][str(row.get("ServiceName")), str(what)]
        line.usd += amount
        line.quantity += float(number(row, "PricingQuantity")) * busy
        line.units.add(str(row.get("PricingUnit") or ""))


def _divide(
    ledger: Ledger, amount: Fraction, split: Split, used: Mapping[str, Fraction], part: str, otherwise: str
) -> Fraction:
    """Divide a pool; a negative one (more refunds than charges) is handed back, to be a credit for everybody."""
    if amount <= 0:
        return amount
    shares = split.shares(used) or {otherwise: Fraction(1)}
    for team, share in shares.items():
        ledger.add(team, part, amount * share)
    return ZERO


def _rounded(ledger: Ledger, by: str, cost: str, data: FocusData, currency: str, exact_bill: Fraction) -> Allocation:
    owners = sorted(ledger.cells)
    bill = to_cents(exact_bill)
    totals = dict(zip(owners, largest_remainder([ledger.total(owner) for owner in owners], bill), strict=True))
    made = {owner: _share(ledger, owner, total) for owner, total in totals.items()}
    teams = sorted((share for name, share in made.items() if name not in APART), key=lambda s: (-s.total, s.name))
    apart = tuple(made[name] for name in APART if name in made)
    return Allocation(by, cost, tuple(data.months()), currency, bill, tuple(teams), apart)


def _share(ledger: Ledger, owner: str, total: Decimal) -> Share:
    cells = ledger.cells[owner]
    parts = dict(zip(PARTS, largest_remainder([cells.get(part, ZERO) for part in PARTS], total), strict=True))
    lines = sorted(ledger.lines[owner].items()) if owner in ledger.lines else []
    cents = largest_remainder([line.usd for _, line in lines], parts["usage"]) if lines else []
    items = tuple(
        Item(service, what, line.quantity if len(line.units) == 1 else 0.0, min(line.units, default=""), usd)
        for ((service, what), line), usd in zip(lines, cents, strict=True)
    )
    return Share(owner, **parts, items=items)


def _check(by: str, shared: Sequence[Shared], utilization: Mapping[str, float]) -> None:
    if not by.strip():
        raise ChargebackError.of("by", by, "is no tag's key", "give one such as project or owner")
    names = [rule.name for rule in shared]
    for name in names:
        if names.count(name) > 1 or name.startswith(RESERVED) or name in ("", "tax"):
            raise ChargebackError.of("shared", name, "is taken", f"give each a name of its own, without {RESERVED}")
    for resource, busy in utilization.items():
        if not is_number(busy) or not 0 <= busy <= 1:
            raise ChargebackError.of(f"utilization[{resource!r}]", busy, "must be from 0 to 1", "give a fraction: 0.35")

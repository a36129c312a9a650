"""Chargeback and showback: a bill in FOCUS columns, divided by a tag so that every cent has exactly one place.

allocation = allocate(read_focus("bill.csv.gz"), by="project", shared=[Shared("platform", Split("even"))])
allocation.frame()                     # name, kind, usage, shared, idle, tax, credit, total
statement(allocation, "bert").markdown()
"""

from course_lib.finops.chargeback.allocate import allocate
from course_lib.finops.chargeback.errors import ChargebackError
from course_lib.finops.chargeback.rounding import largest_remainder
from course_lib.finops.chargeback.rules import Shared, Split
from course_lib.finops.chargeback.shares import CREDITS, IDLE, SHARED, UNTAGGED, Allocation, Item, Share
from course_lib.finops.chargeback.statement import Statement, statement

__all__ = [
    "CREDITS",
    "IDLE",
    "SHARED",
    "UNTAGGED",
    "Allocation",
    "ChargebackError",
    "Item",
    "Share",
    "Shared",
    "Split",
    "Statement",
    "allocate",
    "largest_remainder",
    "statement",
]

"""The getting-started checklist: ten items that an account answers, and four that only people can tick."""

from course_lib.finops.checklist.items import FIRST, ITEMS, PEOPLE, Item, State, Step
from course_lib.finops.checklist.walk import Checklist, walk

__all__ = ["FIRST", "ITEMS", "PEOPLE", "Checklist", "Item", "State", "Step", "walk"]

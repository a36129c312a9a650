"""What a lab's test cells use: run the learner's function, say plainly what came back, hand nbgrader a number.

A test cell loads this package afresh (`importlib.reload`, which reloads its files too), collects checks in one `Check`,
and ends with `check.score()`: nbgrader reads that number as partial credit. Nothing here relies on `assert`, on `==` of
learners' objects or on a name that a notebook can rebind; what a notebook can still do inside its own process is for
the grading sandbox to stop.
"""

import importlib as _importlib

# A notebook may have changed a file's names in memory: each is executed anew, those that others build on first.
for _name in ("failures", "wording", "pristine", "trust", "picture", "arrays", "ranks", "check"):
    _importlib.reload(_importlib.import_module(f"course_lib.labkit.{_name}"))

from course_lib.labkit import picture  # noqa: E402 - after the reload
from course_lib.labkit.check import Check  # noqa: E402
from course_lib.labkit.failures import LabFailure, Tampered  # noqa: E402
from course_lib.labkit.ranks import Ranks  # noqa: E402

__all__ = ["Check", "LabFailure", "Ranks", "Tampered", "picture"]

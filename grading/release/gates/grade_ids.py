"""Gate: grade ids are unique, kebab-case and the same in source and release."""

import re
from collections import Counter

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check(bench: Bench) -> Finding:
    ids = [cell.metadata.nbgrader.grade_id for cell in bench.lab.cells()]
    problems = [f"grade id {name!r} is not kebab-case." for name in ids if not KEBAB.fullmatch(name)]
    problems += [f"grade id {name!r} is used {n} times." for name, n in Counter(ids).items() if n > 1]
    released = [c.metadata.nbgrader.grade_id for c in bench.released.cells if "nbgrader" in c.metadata]
    if Counter(released) != Counter(ids):
        changed = sorted(set(ids) ^ set(released))
        problems.append(f"released grade ids differ from the source's: {', '.join(changed)}; run `make labs`.")
    return Finding(problems, f"{len(ids)} ids")


GATE = Gate(
    name="grade-ids",
    proves="every grade id is unique, kebab-case and released as written",
    made_for="a copied cell whose second grade nbgrader silently drops",
    check=check,
)

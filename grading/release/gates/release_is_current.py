"""Gate: making the release again gives the same bytes as the folder in labs/."""

import tempfile
from pathlib import Path

from grading.release.atomic import differences
from grading.release.bench import Bench
from grading.release.gate import Finding, Gate
from grading.release.publish import generate


def check(bench: Bench) -> Finding:
    with tempfile.TemporaryDirectory() as work:
        made = generate(bench.lab, Path(work), bench.course)
        changed = differences(made, bench.course.labs / bench.lab.id)
        files = sum(p.is_file() for p in made.rglob("*"))
    problems = [f"labs/{bench.lab.id}/{name} is not what the source gives; run `make labs`." for name in changed]
    return Finding(problems, f"{files} file(s) compared")


GATE = Gate(
    name="release-is-current",
    proves="labs/ is exactly what nbgrader makes of the sources today",
    made_for="a released notebook edited by hand, or a source changed without a new release",
    check=check,
)

"""Gate: the points add up to what the header and the text say, and the hours are those of the curriculum."""

import tomllib

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    header = bench.lab.header
    graded = bench.lab.cells(grade=True)
    total = sum(float(cell.metadata.nbgrader.points) for cell in graded)
    manual = [cell for cell in graded if cell.metadata.nbgrader.solution]
    finding = Finding(measured=f"{total:g} points, {header.hours:g} h")
    if total != header.points:
        finding.problems.append(f"the cells' points add up to {total:g}, the header says {header.points:g}.")
    if not manual:
        finding.problems.append("no written answer is graded by hand; add a cell with grade and solution both true.")
    for cell in bench.released.cells:
        data = cell.metadata.get("nbgrader", {})
        if data.get("grade") and not data.get("solution") and f"{data['points']:g} points" not in cell.source:
            finding.problems.append(f"{data['grade_id']}: its first line should say `{data['points']:g} points`.")
    planned = _planned_hours(bench)
    if planned is not None and planned != header.hours:
        finding.problems.append(f"the header says {header.hours:g} h, the book's outline {planned:g} h.")
    return finding


def _planned_hours(bench: Bench) -> float | None:
    outline = bench.course.root / "book" / "outline.toml"
    if not outline.is_file():
        return None
    parts = tomllib.loads(outline.read_text(encoding="utf-8")).get("parts", [])
    hours = {lab["id"]: float(lab["hours"]) for part in parts for lab in part.get("labs", [])}
    return hours.get(bench.lab.id)


GATE = Gate(
    name="points-and-hours",
    proves="points add up, each test says its own, one answer is graded by hand, hours match the outline",
    made_for="a lab announced with 50 points and graded with 48",
    check=check,
)

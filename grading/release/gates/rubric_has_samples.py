"""Gate: every answer graded by hand has a rubric with its points and samples to calibrate graders by."""

import re

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

SAMPLES = ("excellent", "good", "insufficient")
ROW_POINTS = re.compile(r"\|\s*([0-9]+(?:\.[0-9]+)?)\s*\|\s*$")


def check(bench: Bench) -> Finding:
    finding = Finding()
    path = bench.course.rubrics / f"{bench.lab.id}.md"
    manual = [c for c in bench.lab.cells(grade=True) if c.metadata.nbgrader.solution]
    if manual and not path.is_file():
        finding.problems.append(f"grading/rubrics/{path.name} is missing; write criteria with points, and samples.")
        return finding
    for cell in manual:
        data = cell.metadata.nbgrader
        section = _section(path.read_text(encoding="utf-8"), data.grade_id)
        if not section:
            finding.problems.append(f"grading/rubrics/{path.name} has no section `## {data.grade_id}`.")
            continue
        total = sum(float(m.group(1)) for line in section.splitlines() if (m := ROW_POINTS.search(line)))
        if total != data.points:
            finding.problems.append(
                f"{data.grade_id}: the rubric's rows add up to {total:g}, the cell gives {data.points:g}."
            )
        missing = [s for s in SAMPLES if f"### {s}" not in section.lower()]
        if missing:
            finding.problems.append(f"{data.grade_id}: the rubric has no sample for {', '.join(missing)}.")
    finding.measured = f"{len(manual)} rubric(s)"
    return finding


def _section(text: str, name: str) -> str:
    match = re.search(rf"^## {re.escape(name)}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match.group(0) if match else ""


GATE = Gate(
    name="rubric-has-samples",
    proves="each written answer has criteria that add up and three calibration samples",
    made_for="two graders who give the same answer 4 and 9 points",
    check=check,
)

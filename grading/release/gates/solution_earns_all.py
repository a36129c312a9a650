"""Gate: the solution, executed by nbgrader in a real kernel, earns every point."""

import os
import shutil
import tempfile
import time

import nbformat
from nbgrader import utils
from nbgrader.preprocessors import Execute

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

SECONDS_A_LAB_MAY_TAKE = 180.0


def check(bench: Bench) -> Finding:
    notebook = nbformat.from_dict(dict(bench.source))
    extras = bench.lab.path.with_suffix("")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        if extras.is_dir():
            shutil.copytree(extras, work, dirs_exist_ok=True)
        with utils.setenv(NBGRADER_EXECUTION="autograde"):
            execute = Execute(timeout=int(SECONDS_A_LAB_MAY_TAKE), extra_arguments=["--log-level=ERROR"])
            execute.preprocess(notebook, {"metadata": {"path": work}})
        os.environ.pop("NBGRADER_EXECUTION", None)  # nbgrader 0.9.6 restores it under the wrong name
    seconds = time.monotonic() - started
    finding = Finding()
    earned = possible = 0.0
    for number, cell in enumerate(notebook.cells, start=1):
        name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {number}")
        failed = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        if failed:
            finding.problems.append(f"{name} raises {failed[0].ename}: {failed[0].evalue[:120]}; mend the solution.")
        if utils.is_grade(cell) and not utils.is_solution(cell):
            score, points = utils.determine_grade(cell)
            earned, possible = earned + score, possible + points
            if score < points and not failed:
                finding.problems.append(f"{name}: the solution earns {score:g} of {points:g}; mend it or the test.")
    if seconds > SECONDS_A_LAB_MAY_TAKE:
        finding.problems.append(
            f"the lab computes for {seconds:.0f} s, limit {SECONDS_A_LAB_MAY_TAKE:.0f} s; shrink it."
        )
    finding.measured = f"{earned:g} of {possible:g} points, {seconds:.1f} s in a kernel"
    return finding


GATE = Gate(
    name="solution-earns-all",
    proves="the solution earns every autograded point, and no cell of it fails",
    made_for="a test that asks for something the text does not say, and that no learner can pass",
    check=check,
)

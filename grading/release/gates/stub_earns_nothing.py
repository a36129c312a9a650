"""Gate: the notebook as released, untouched, earns nothing, for the reason that nothing is written yet."""

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    finding = Finding()
    trials = {"with hidden tests": bench.try_out(bench.stubs), "as released": bench.try_out(notebook=bench.released)}
    for how, trial in trials.items():
        for grade_id, (score, points) in trial.scores.items():
            if score and grade_id in bench.exercises:
                finding.problems.append(f"{grade_id} gives {score:g} of {points:g} for the stub ({how}).")
    for grade_id in bench.exercises:
        error = trials["as released"].outcomes[_cell_of(bench, grade_id)].error
        if error and error[0] != "NotImplementedError":
            finding.problems.append(
                f"{grade_id} fails on the stub with {error[0]}: {error[1][:80]}; it should say NotImplementedError."
            )
    finding.measured = f"0 points in {len(bench.exercises)} cells" if not finding.problems else ""
    return finding


def _cell_of(bench: Bench, grade_id: str) -> str:
    return next(str(c.id) for c in bench.released.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


GATE = Gate(
    name="stub-earns-nothing",
    proves="an untouched notebook earns 0, and its tests fail because of NotImplementedError",
    made_for="a test cell that passes without any work, since nbgrader gives full marks to a cell that raises nothing",
    check=check,
)

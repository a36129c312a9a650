"""Gate: putting one solution back to its stub costs exactly the cells that say they exercise it, and no other."""

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    finding = Finding()
    solutions = {c.metadata.nbgrader.grade_id for c in bench.lab.cells(solution=True, grade=False, kind="code")}
    for grade_id, exercised in bench.exercises.items():
        for unknown in sorted(exercised - solutions):
            finding.problems.append(f"{grade_id} says it exercises {unknown}, which is no solution cell.")
        if not exercised:
            finding.problems.append(f"{grade_id} exercises no solution cell; add exercises=[...] to its header.")
    tried = bench.sample(sorted(solutions & set(bench.stubs)))
    for solution in tried:
        expected = {grade_id for grade_id, exercised in bench.exercises.items() if solution in exercised}
        lost = bench.try_out({solution: bench.stubs[solution]}).losers & set(bench.exercises)
        for grade_id in sorted(lost - expected):
            finding.problems.append(
                f"without {solution}, {grade_id} fails too; declare it, or make that test independent."
            )
        for grade_id in sorted(expected - lost):
            finding.problems.append(f"without {solution}, {grade_id} still earns everything; test what it exercises.")
    finding.measured = f"{len(tried)} of {len(solutions)} solutions stubbed one at a time"
    return finding


GATE = Gate(
    name="cells-fail-alone",
    proves="each solution is tested, and failing it costs only the cells that name it",
    made_for="one early mistake that cascades through every later test",
    check=check,
)

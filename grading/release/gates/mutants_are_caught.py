"""Gate: every small mistake that can be planted in a solution costs points, except those explained in the source."""

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    finding = Finding()
    excused = {e.mutant: e.reason for e in bench.lab.header.equivalent_mutants}
    survivors = [mutant for mutant, trial in bench.mutant_trials if not trial.losers]
    for mutant in survivors:
        if mutant.name not in excused:
            finding.problems.append(
                f"a wrong solution earns full marks: {mutant.name}; test for it, or list it with a reason."
            )
    for name in sorted(set(excused) - {mutant.name for mutant in survivors}):
        finding.problems.append(f"listed as equivalent but caught or gone: {name}; remove it from equivalent_mutants.")
    total = len(bench.mutant_trials)
    if not total:
        finding.problems.append("no solution could be mutated; does a test cell name what it exercises?")
    finding.measured = f"{total - len(survivors)} of {total} caught, {len(excused)} equivalent"
    return finding


GATE = Gate(
    name="mutants-are-caught",
    proves="a swapped operator, an off-by-one, a missing check in a solution costs points",
    made_for="tests that only look whether a function returns something",
    check=check,
)

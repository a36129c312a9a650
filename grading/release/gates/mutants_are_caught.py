"""Gate: every small mistake that can be planted in a solution costs points, except those explained in the source."""

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    finding = Finding()
    excused = {e.mutant: e.reason for e in bench.lab.header.equivalent_mutants}
    trials = bench.mutant_trials
    survivors = [mutant for mutant, trial in trials if not trial.losers]
    for mutant in survivors:
        if mutant.name not in excused:
            finding.problems.append(
                f"a wrong solution earns full marks: {mutant.name}; test for it, or list it with a reason."
            )
    caught = {mutant.name for mutant, trial in trials if trial.losers}
    gone = set(excused) - {mutant.name for mutant in bench.mutants}
    for name in sorted(set(excused) & caught | gone):
        finding.problems.append(f"listed as equivalent but caught or gone: {name}; remove it from equivalent_mutants.")
    total = len(trials)
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

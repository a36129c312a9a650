"""Gate: in every autograded cell some mistake costs a part of the points and not all of them."""

from grading.release.bench import Bench, Trial
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    asked = set(bench.sample(sorted(bench.exercises)))
    partial = asked & set().union(*(_partly_paid(trial) for _, trial in bench.mutant_trials))
    for test in sorted(asked - partial):  # a sample may have left out the mistakes that cost a part
        rest = (_partly_paid(bench.trial(m)) for m in bench.mutants if m.grade_id in bench.exercises[test])
        partial |= next(({test} for paid in rest if test in paid), set())
    missing = sorted(asked - partial)
    problems = [f"{grade_id} is all or nothing; end it with check.score() over several checks." for grade_id in missing]
    return Finding(problems, f"{len(partial)} of {len(asked)} cells give part of their points")


def _partly_paid(trial: Trial) -> set[str]:
    return {grade_id for grade_id, (score, points) in trial.scores.items() if 0 < score < points}


GATE = Gate(
    name="partial-credit",
    proves="a nearly right answer earns something in every autograded cell",
    made_for="six points lost for one forgotten edge case",
    check=check,
)

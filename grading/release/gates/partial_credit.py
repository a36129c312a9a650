"""Gate: in every autograded cell some mistake costs a part of the points and not all of them."""

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate


def check(bench: Bench) -> Finding:
    partial = {
        grade_id
        for _, trial in bench.mutant_trials
        for grade_id, (score, points) in trial.scores.items()
        if 0 < score < points
    }
    missing = sorted(set(bench.exercises) - partial)
    problems = [f"{grade_id} is all or nothing; end it with check.score() over several checks." for grade_id in missing]
    return Finding(problems, f"{len(partial)} of {len(bench.exercises)} cells give part of their points")


GATE = Gate(
    name="partial-credit",
    proves="a nearly right answer earns something in every autograded cell",
    made_for="six points lost for one forgotten edge case",
    check=check,
)

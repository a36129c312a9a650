"""Gate: a correct function that warns, logs or prints to stderr keeps its points."""

import ast

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

NOISE = """
import warnings, sys, logging
warnings.warn("a deprecation that is no fault of the learner's")
print("a note on stderr", file=sys.stderr)
logging.getLogger("learner").warning("a log line")
"""


def check(bench: Bench) -> Finding:
    exercised = set().union(*bench.exercises.values()) if bench.exercises else set()
    noisy = {
        cell.metadata.nbgrader.grade_id: with_noise(cell.source)
        for cell in bench.lab.cells(solution=True, kind="code")
        if cell.metadata.nbgrader.grade_id in exercised
    }
    trial = bench.try_out(noisy)
    problems = [
        f"{grade_id} loses points to a warning in a correct function; call the function inside labkit.Check."
        for grade_id in sorted(trial.losers & set(bench.exercises))
    ]
    return Finding(problems, f"{len(noisy)} noisy solutions")


def with_noise(source: str) -> str:
    """The cell with NOISE at the start of every function's body."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = ast.parse(NOISE).body + node.body
    return ast.unparse(tree)


GATE = Gate(
    name="warnings-cost-nothing",
    proves="text on stderr from a correct function costs no points",
    made_for="nbgrader's rule that any stderr output means 0, measured with warnings.warn",
    check=check,
)

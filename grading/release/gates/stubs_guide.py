"""Gate: a stripped cell still has its signature and tells the learner what to do, how, with an example and a hint."""

import ast

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

SECTIONS = ("TODO", "APPROACH", "EXAMPLE", "HINT")


def check(bench: Bench) -> Finding:
    finding = Finding()
    for cell in bench.lab.cells(solution=True, kind="code"):
        grade_id = cell.metadata.nbgrader.grade_id
        stub = bench.stubs.get(grade_id, "")
        if signatures(stub) != signatures(cell.source):
            finding.problems.append(
                f"{grade_id}: the stub has lost or changed a signature; keep `def` outside the markers."
            )
        if "raise NotImplementedError" not in stub:
            finding.problems.append(
                f"{grade_id}: the stub does not raise NotImplementedError; mark the solution region."
            )
        missing = [section for section in SECTIONS if f"{section}:" not in stub]
        if missing:
            finding.problems.append(f"{grade_id}: the stub has no {', '.join(missing)}; say it in the docstring.")
    finding.measured = f"{len(bench.stubs)} stubs"
    return finding


def signatures(source: str) -> list[tuple[str, str]]:
    """Names and arguments of the functions and classes outside other functions' bodies."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            found.append((node.name, ", ".join(map(ast.unparse, node.bases))))
            found += [
                (f"{node.name}.{n.name}", ast.unparse(n.args)) for n in node.body if isinstance(n, ast.FunctionDef)
            ]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append((node.name, ast.unparse(node.args)))
    return found


GATE = Gate(
    name="stubs-guide",
    proves="each stub keeps its signature, TODO, APPROACH, EXAMPLE and HINT",
    made_for="an empty cell under a long page of text: where do I begin?",
    check=check,
)

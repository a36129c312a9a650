"""Gate: known ways to make tests pass without solving anything earn nothing."""

import ast
import textwrap

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

ALWAYS_EQUAL = """
class Always:
    def __getattribute__(self, name): return object.__getattribute__(self, name) if name[:2] == "__" else self
    def __call__(self, *a, **k): return self
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __sub__(self, other): return 0.0
    __rsub__ = __abs__ = __truediv__ = lambda self, *a: 0.0
    def __getitem__(self, key): return self
"""
DELETES = """
import ast as _ast
class Deleter(_ast.NodeTransformer):
    def visit_Assert(self, node): return _ast.Pass()
    def visit_Raise(self, node): return _ast.Pass()
get_ipython().ast_transformers.append(Deleter())
"""
EMPTIES = """
import ast as _ast
class Emptier(_ast.NodeTransformer):
    def visit_Module(self, node): node.body = [_ast.Pass()]; return node
get_ipython().ast_transformers.append(Emptier())
"""
FAKE_CHECK = """
class Fake:
    def __init__(self, subject, *, points, **kw): self.points = points
    def __getattr__(self, name): return lambda *a, **k: None
    def score(self): return self.points
from course_lib import labkit as _labkit
"""

CONSTANTS = ("None", "0.0", "True", "float('nan')", "float('inf')")

# name: (code run before the exercises, what each solution function returns)
CHEATS = {
    "asserts and raises deleted by an AST transformer": (DELETES, "None"),
    "every cell emptied by an AST transformer": (EMPTIES, "None"),
    "an object that equals everything": (ALWAYS_EQUAL, "Always()"),
    "a float that equals everything": (
        "class Yes(float):\n    __eq__ = lambda a, b: True\n    __sub__ = lambda a, b: 0.0",
        "Yes()",
    ),
    "tracebacks switched off": ("get_ipython().showtraceback = lambda *a, **k: None", "None"),
    "the checker replaced by name": (FAKE_CHECK + "_labkit.Check = Fake", "None"),
    "the checker's methods replaced": (
        FAKE_CHECK + "_labkit.Check.score = lambda self: self._points\n_labkit.Check.number = lambda *a, **k: None",
        "None",
    ),
    "the checker's helpers replaced": (FAKE_CHECK + "_labkit._record = _labkit._explain = lambda *a, **k: ''", "None"),
    "the checker's module replaced": (
        FAKE_CHECK + "import sys\nFake.Check = Fake\nsys.modules['course_lib.labkit'] = Fake",
        "None",
    ),
    "builtins hidden from the checker": (FAKE_CHECK + "_labkit.abs = lambda x: 0.0", "1.0"),
    "abs redefined": ("import builtins\nbuiltins.abs = lambda x: 0.0", "1.0"),
    "isinstance and type redefined": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda x: float",
        "1.0",
    ),
    "a cell hook of the notebook's own": ("get_ipython().events.register('post_run_cell', lambda *a: None)", "None"),
    "leaving with exit code 0": ("", "__import__('sys').exit(0)"),
    **{f"always {value}": ("", value) for value in CONSTANTS},
}


def check(bench: Bench) -> Finding:
    finding = Finding()
    tried = dict(bench.sample(list(CHEATS.items())))
    for name, (prelude, value) in tried.items():
        answers = {grade_id: returning(stub, value) for grade_id, stub in bench.stubs.items()}
        trial = bench.try_out(answers, prelude=prelude, as_graded=True)
        for grade_id, (score, points) in trial.scores.items():
            if score and grade_id in bench.exercises:
                finding.problems.append(
                    f"{name}: {grade_id} gives {score:g} of {points:g}; use labkit.Check in that test."
                )
    finding.measured = f"{len(tried)} cheats"
    return finding


def returning(stub: str, value: str) -> str:
    """The stub with every function's body replaced by `return value`; the rest of the cell stays."""
    tree = ast.parse(stub)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = ast.parse(textwrap.dedent(f"def f():\n    return {value}")).body[0].body  # type: ignore[attr-defined]
    return ast.unparse(tree)


GATE = Gate(
    name="cheats-earn-nothing",
    proves="deleted asserts, equal-to-everything objects and patched helpers or builtins earn 0",
    made_for="full marks measured with nbgrader 0.9.6 for an AST transformer and for an object with __eq__",
    check=check,
)

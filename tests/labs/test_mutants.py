"""The mistakes that are planted. Oracle: for small functions, the list of mistakes written down by hand."""

import nbformat
import pytest
from nbformat.notebooknode import from_dict

from grading.release.mutants import mutants_of


def mutants(body, before="", after=""):
    source = f"def f(x, y):\n{before}    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION\n{after}"
    cell = nbformat.v4.new_code_cell(source, metadata=from_dict({"nbgrader": {"grade_id": "f"}}))
    return mutants_of(cell)


def changes(body, **kwargs):
    return {m.change for m in mutants(body, **kwargs)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return x + y", {"x + y -> x - y", "return x + y -> return None"}),
        ("    return x / y", {"x / y -> x * y", "x / y -> y / x", "return x / y -> return None"}),
        ("    return x < y", {"x < y -> x <= y", "x < y -> x >= y", "return x < y -> return None"}),
        ("    return 5", {"5 -> 6", "5 -> 10", "return 5 -> return None"}),
        ("    return 0", {"0 -> 1", "0 -> -1", "return 0 -> return None"}),
        ("    return True", {"True -> False", "return True -> return None"}),
        ("    return x and y", {"x and y -> x or y", "return x and y -> return None"}),
        ("    return min(x, y)", {"min(x, y) -> max(x, y)", "return min(x, y) -> return None"}),
        (
            "    return x if y else 'a'",
            {"x if y else 'a' -> 'a' if y else x", "'a' -> 'a_'", "return x if y else 'a' -> return None"},
        ),
        ("    x = -x\n    return x", {"-x -> x", "x = -x -> pass", "return x -> return None"}),
        ("    x += y\n    return x", {"x += y -> x -= y", "x += y -> pass", "return x -> return None"}),
        ("    return sorted(x)", {"sorted(x) -> x", "return sorted(x) -> return None"}),
    ],
)
def test_each_kind_of_mistake_is_planted(body, expected):
    assert changes(body) == expected


def test_wording_of_messages_is_the_learners_own():
    body = "    if x:\n        raise ValueError(f'bad {x}, want 3')\n    return f'{x} of 7'"
    found = changes(body)
    assert any(change.startswith("raise ValueError") and change.endswith("-> pass") for change in found)
    assert any(change.startswith("if x:") for change in found)
    assert not any("_'" in change or "-> 4" in change or "-> 8" in change for change in found)


def test_only_the_solution_region_is_changed():
    found = mutants("    return x + y", before="    z = 1 + 2\n", after="w = 3 + 4\n")
    assert {m.change for m in found} == {"x + y -> x - y", "return x + y -> return None"}
    assert all("z = 1 + 2" in m.source and "w = 3 + 4" in m.source for m in found)


def test_every_mutant_is_valid_python_and_differs_from_the_solution():
    body = "    total = sum(x) * 2 ** y\n    if not total > 0:\n        return -1\n    return total % 7"
    found = mutants(body)
    assert len(found) == len({m.source for m in found}) >= 12
    for mutant in found:
        compile(mutant.source, mutant.name, "exec")

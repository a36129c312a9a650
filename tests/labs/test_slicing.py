"""Which cells a solution's tests need. Oracle: cells and names worked out by hand."""

from nbformat import from_dict

from grading.release.slicing import part_for


def cell(source, grade_id="", grade=False):
    about = {"nbgrader": {"grade_id": grade_id, "grade": grade, "solution": not grade}} if grade_id else {}
    return from_dict({"cell_type": "code", "source": source, "metadata": about})


CELLS = [
    cell("import os\nUNUSED = 1"),  # before the first exercise
    cell("def square(x): return x * x", "square"),
    cell("square(2)", "test-square", grade=True),
    cell("TABLE = {}"),
    cell("print(square(4))"),
    cell("TABLE['four'] = square(4)"),
    cell("def wall(a): return TABLE['four'] * a", "wall"),
    cell("wall(2)", "test-wall", grade=True),
    cell("wall(3)"),
]


def sources(tests, solution):
    return [c.source for c in part_for(CELLS, tests, solution)]


def test_a_part_ends_with_its_test_and_begins_with_the_preparations():
    assert sources({"test-square"}, "square") == [CELLS[0].source, CELLS[1].source, CELLS[2].source]


def test_what_its_code_reads_is_kept_and_what_only_shows_something_is_not():
    kept = sources({"test-wall"}, "wall")
    assert kept == [CELLS[number].source for number in (0, 1, 3, 5, 6, 7)]


def test_a_function_imported_or_assigned_under_a_name_counts_as_bound():
    cells = [
        cell("x = 1", "first"),
        cell("from math import sqrt as root"),
        cell("a.b[0].c = 2"),
        cell("for i in y: pass"),
    ]
    cells.append(cell("root(a, i)", "test", grade=True))
    assert [c.source for c in part_for(cells, {"test"}, "first")] == [c.source for c in cells]


def test_the_solution_itself_always_runs():
    cells = [cell("print('side effects only')", "solution"), cell("1", "test", grade=True)]
    assert len(part_for(cells, {"test"}, "solution")) == 2

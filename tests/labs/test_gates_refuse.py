"""Each gate refuses the defect that it was made for. Oracle: a lab that passes every gate, with one defect planted."""

import json
import re
import shutil
from pathlib import Path

import pytest

from grading.release import check, release
from grading.release.bench import Bench
from grading.release.gates import GATES

LAB = "lab90-areas"
SOLUTION = "    surface_of_it = side * side\n    return surface_of_it\n"


def verdict(course, gate):
    (result,) = check([LAB], course, only=[gate])
    return result


def refused(course, gate, told):
    result = verdict(course, gate)
    assert not result.passed, f"{gate} let it pass: {result.measured}"
    assert any(told in problem for problem in result.problems), result.problems
    assert all("\n" not in problem for problem in result.problems)


def edit_release(course, old, new):
    path = course.labs / LAB / f"{LAB}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_small_lab_passes_every_gate(small_course):
    release(LAB, small_course)
    results = check(None, small_course)
    assert [r.gate for r in results] == [g.name for g in GATES]
    assert [(r.gate, r.problems) for r in results if not r.passed] == []


def test_every_gate_has_a_refusal_here():
    tested = set(re.findall(r'refused\(small_course, "([a-z-]+)"', Path(__file__).read_text()))
    assert {g.name for g in GATES} == tested


def test_every_gate_says_what_it_proves_and_what_it_was_made_for():
    assert all(len(g.proves) > 30 and len(g.made_for) > 30 for g in GATES)
    assert len({g.name for g in GATES}) == len(GATES)


@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_samples_of_successive_days_try_every_variant_once_and_none_is_empty(small_course, every):
    """Oracle: the list of variants itself; with a step larger than the list, each sample has one."""
    (small_course.labs / LAB).mkdir(parents=True)
    variants = list("abcdefgh")
    days = min(every, len(variants))
    samples = [Bench(LAB, small_course, every=every, first=738_000 + day).sample(variants) for day in range(days)]
    assert sorted(variant for sample in samples for variant in sample) == variants
    assert all(samples)
    assert Bench(LAB, small_course, every=every).sample([]) == []


def test_solution_earns_all_refuses_a_test_that_nobody_can_pass(small_course, edit):
    edit(("lambda: wall_area(2, 3), 6)", "lambda: wall_area(2, 3), 7)"))
    release(LAB, small_course)
    refused(small_course, "solution-earns-all", "earns 1.5 of 3")


def test_solution_earns_all_refuses_a_failing_cell_that_nobody_grades(small_course, edit):
    edit(("SIDES = (3, 4)", "SIDES = 1 / 0"))
    release(LAB, small_course)
    refused(small_course, "solution-earns-all", "ZeroDivisionError")


def test_stub_earns_nothing_refuses_a_test_that_passes_without_work(small_course, edit):
    edit(('check.number("2 by 3", lambda: wall_area(2, 3), 6)', 'check.number("one", lambda: 1, 1)'))
    release(LAB, small_course)
    refused(small_course, "stub-earns-nothing", "test-wall-area gives 1.5 of 3 for the stub")


def test_stub_earns_nothing_refuses_a_test_that_fails_for_another_reason(small_course, edit):
    edit(('check.number("2 by 3"', 'wal_area\ncheck.number("2 by 3"'))
    release(LAB, small_course)
    refused(small_course, "stub-earns-nothing", "NameError")


def test_cells_fail_alone_refuses_an_undeclared_dependence(small_course, edit):
    edit(("return width * height", "return square_area(1) * width * height"))
    release(LAB, small_course)
    refused(small_course, "cells-fail-alone", "without square-area, test-wall-area fails too")


def test_cells_fail_alone_refuses_a_declared_exercise_that_is_not_tested(small_course, edit):
    edit(('exercises=["wall-area"]', 'exercises=["wall-area", "square-area"]'))
    release(LAB, small_course)
    refused(small_course, "cells-fail-alone", "without square-area, test-wall-area still earns everything")


def test_mutants_are_caught_refuses_weak_tests(small_course, edit):
    edit(('check.refuses("a negative side", lambda: square_area(-1), naming="-1")\n', ""))
    release(LAB, small_course)
    refused(small_course, "mutants-are-caught", "square-area: raise ValueError")


def test_mutants_are_caught_accepts_a_listed_equivalent_and_refuses_a_stale_one(small_course, edit):
    """Without the check of side 0 nothing tells `side <= 0` or `side < 1` from `side < 0`."""
    edit(
        ('check.equal("sides 0 and 2", lambda: (square_area(0), square_area(2)), (0, 4))\n', ""),
        (
            "#     equivalent_mutants: []\n",
            "#     equivalent_mutants:\n"
            "#     - {mutant: 'square-area: side < 0 -> side <= 0', reason: 'this course takes 0 for no side at all'}\n"
            "#     - {mutant: 'square-area: 0 -> 1', reason: 'nobody asks for a side between 0 and 1 here'}\n"
            "#     - {mutant: 'square-area: 1 -> 2', reason: 'there was once a 1 in this solution, long ago'}\n",
        ),
    )
    release(LAB, small_course)
    result = verdict(small_course, "mutants-are-caught")
    assert [p.split(":")[0] for p in result.problems] == ["listed as equivalent but caught or gone"]


def test_partial_credit_refuses_all_or_nothing(small_course, edit):
    edit(('check.number("1 by 5, which division gets right upside down", lambda: wall_area(5, 1), 5)\n', ""))
    release(LAB, small_course)
    refused(small_course, "partial-credit", "test-wall-area is all or nothing")


def test_cheats_earn_nothing_refuses_a_test_of_plain_asserts(small_course, edit):
    edit(
        ('check = importlib.reload(labkit).Check("wall_area", points=3)', "assert wall_area(2, 3) == 6"),
        ('check.number("2 by 3", lambda: wall_area(2, 3), 6)\n', ""),
        ('check.number("1 by 5, which division gets right upside down", lambda: wall_area(5, 1), 5)\n', ""),
    )
    edit(("assert wall_area(2, 3) == 6\ncheck.score()", "assert wall_area(2, 3) == 6\n3.0"))
    release(LAB, small_course)
    result = verdict(small_course, "cheats-earn-nothing")
    told = " ".join(result.problems)
    assert "asserts and raises deleted" in told
    assert "an object that equals everything" in told
    refused(small_course, "cheats-earn-nothing", "use labkit.Check")


def test_warnings_cost_nothing_refuses_a_bare_call_in_a_test(small_course, edit):
    edit(('check.number("2 by 3"', 'wall_area(1, 1)\ncheck.number("2 by 3"'))
    release(LAB, small_course)
    refused(small_course, "warnings-cost-nothing", "test-wall-area loses points")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Areas", "    surface_of_it = side * side"),
        ("# Areas", "for a long side expect 1523990.25"),
        ("# Areas", "hint: paint is sold by the area that it covers"),
        ("# Areas", "half the class forgot that a negative side is not a side"),
        ("# Areas", "### BEGIN HIDDEN TESTS"),
    ],
    ids=["a solution line", "a hidden number", "a written answer", "an instructor's note", "a marker"],
)
def test_nothing_leaks_refuses_hidden_text_in_the_release(small_course, old, new):
    release(LAB, small_course)
    edit_release(small_course, old, new)
    refused(small_course, "nothing-leaks", f"labs/{LAB}/{LAB}.ipynb")


def test_nothing_leaks_reads_every_file_of_every_lab(small_course):
    release(LAB, small_course)
    other = small_course.labs / "lab91-other" / "deep"
    other.mkdir(parents=True)
    (other / "helper.py").write_text(SOLUTION)
    refused(small_course, "nothing-leaks", "labs/lab91-other/deep/helper.py")


def test_grade_ids_refuses_twins_and_other_spellings(small_course, edit):
    release(LAB, small_course)
    edit(('"grade_id": "wall-area"', '"grade_id": "Wall_Area"'))
    refused(small_course, "grade-ids", "'Wall_Area' is not kebab-case")
    edit(('"grade_id": "Wall_Area"', '"grade_id": "square-area"'))
    refused(small_course, "grade-ids", "'square-area' is used 2 times")


def test_stubs_guide_refuses_a_stub_without_hint_or_signature(small_course, edit):
    edit(("    HINT: no square is needed.\n", ""))
    release(LAB, small_course)
    refused(small_course, "stubs-guide", "wall-area: the stub has no HINT")


def test_stubs_guide_refuses_a_signature_inside_the_markers(small_course, edit):
    head = 'def wall_area(width, height):\n    """Area of a wall.\n'
    edit((head, "### BEGIN SOLUTION\n" + head), ("    ### BEGIN SOLUTION\n    return width", "    return width"))
    edit(("return width * height\n    ### END SOLUTION", "return width * height\n### END SOLUTION"))
    release(LAB, small_course)
    refused(small_course, "stubs-guide", "wall-area: the stub has lost or changed a signature")


def test_no_later_chapter_refuses_a_chapter_or_room_that_comes_later(small_course, edit):
    release(LAB, small_course)
    edit(("requires: [book/one/01-squares]", "requires: [book/foundations/01-later]"))
    refused(small_course, "no-later-chapter", "requires book/foundations/01-later, which comes after")
    edit(("requires: [book/foundations/01-later]", "requires: [book/one/02-missing]"))
    refused(small_course, "no-later-chapter", "book/one/02-missing is not in _toc.yml")
    edit(("SIDES = (3, 4)", "from course_lib.catalog import instance"), ("rooms: [labkit]", "rooms: [labkit, catalog]"))
    refused(small_course, "no-later-chapter", "course_lib.catalog, which the book introduces after")


def test_points_and_hours_refuses_sums_and_hours_that_differ(small_course, edit):
    release(LAB, small_course)
    (small_course.root / "book").mkdir()
    (small_course.root / "book/outline.toml").write_text(f'[[parts]]\nlabs = [{{ id = "{LAB}", hours = 2.0 }}]\n')
    refused(small_course, "points-and-hours", "the header says 1 h, the book's outline 2 h")
    edit(('"points": 4', '"points": 5'))
    refused(small_course, "points-and-hours", "add up to 11, the header says 10")


def test_rubric_has_samples_refuses_missing_rubrics_sums_and_samples(small_course):
    release(LAB, small_course)
    path = small_course.rubrics / f"{LAB}.md"
    text = path.read_text()
    path.write_text(text.replace("| names area | 1 |", "| names area | 2 |"))
    refused(small_course, "rubric-has-samples", "add up to 4, the cell gives 3")
    path.write_text(text.replace("### Good", ""))
    refused(small_course, "rubric-has-samples", "no sample for good")
    path.unlink()
    refused(small_course, "rubric-has-samples", "is missing")


def test_release_is_current_refuses_a_hand_edited_release(small_course):
    release(LAB, small_course)
    edit_release(small_course, "# Areas", "# Areas, edited")
    (small_course.labs / LAB / "notes.txt").write_text("mine")
    result = verdict(small_course, "release-is-current")
    assert len(result.problems) == 2
    refused(small_course, "release-is-current", f"labs/{LAB}/notes.txt")


def test_a_released_folder_without_nbgrader_metadata_gets_one_clear_line(small_course):
    release(LAB, small_course)
    path = small_course.labs / LAB / f"{LAB}.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        cell["metadata"].pop("nbgrader", None)
    path.write_text(json.dumps(notebook))
    result = verdict(small_course, "grade-ids")
    assert result.problems == (
        f"labs/{LAB}/{LAB}.ipynb has no nbgrader metadata, so nothing in it can be graded: run `make labs`.",
    )
    path.write_text("{")
    assert "is not a notebook" in verdict(small_course, "grade-ids").problems[0]
    shutil.rmtree(path.parent)
    assert "is missing" in verdict(small_course, "grade-ids").problems[0]


def test_a_folder_in_labs_without_a_source_gets_one_clear_line(small_course):
    release(LAB, small_course)
    (small_course.labs / "lab91-stray").mkdir()
    stray = [r for r in check(None, small_course, only=["grade-ids"]) if r.lab == "lab91-stray"]
    assert [(r.gate, r.passed) for r in stray] == [("source", False)]
    assert "No lab named 'lab91-stray'" in stray[0].problems[0]


def test_a_variant_that_hangs_or_kills_its_process_loses_its_points_and_stops_nothing(small_course):
    release(LAB, small_course)
    with Bench(LAB, small_course) as bench:
        died = bench.try_out({"wall-area": "import os\nos._exit(0)"})
        assert died.losers == {"test-wall-area"}
        assert bench.try_out().losers == set()

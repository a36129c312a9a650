"""Lab 11 against wrong answers that people write. Oracle: the list of mistakes, written down by hand."""

import ast
from collections import Counter

import pytest

from grading.release import COURSE
from grading.release.bench import Bench
from grading.release.source import read_lab
from tests.labs.finops_lazy import CHEATS, HALF_RIGHT
from tests.labs.finops_mistakes import MISTAKES
from tests.labs.test_labs import EVERY, FIRST

LAB = "lab11-finops-guardrails"
NAMES = sorted(MISTAKES)
STEP = EVERY[LAB]


@pytest.fixture(scope="module")
def bench():
    with Bench(LAB, COURSE) as bench:
        yield bench


@pytest.fixture(scope="module")
def answers():
    cells = read_lab(COURSE.text_source(LAB)).notebook.cells
    return {cell.metadata["nbgrader"]["grade_id"]: cell.source for cell in cells if "nbgrader" in cell.metadata}


def test_there_are_mistakes_for_every_task(answers):
    tasks = Counter(cell for cell, _, _ in MISTAKES.values())
    assert len(MISTAKES) >= 120
    assert min(tasks.values()) >= 2
    assert {name for name in answers if f"test-{name}" in answers or name == "aws-now"} == set(tasks)


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_python_and_differs_from_the_answer(name, answers):
    cell, right, wrong = MISTAKES[name]
    assert answers[cell].count(right) == 1
    ast.parse(answers[cell].replace(right, wrong))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES[FIRST % STEP :: STEP])
def test_a_mistake_costs_points(name, bench, answers):
    cell, right, wrong = MISTAKES[name]
    trial = bench.try_out({cell: answers[cell].replace(right, wrong)}, about=cell, stop_at_first_loss=True)
    lost = {test: score for test, (score, points) in trial.scores.items() if score < points}
    assert lost, f"{name} earns everything; to repeat: LAB_SAMPLE={FIRST}"


def with_body(source, body):
    """A solution cell with another function's body; what stands before the marked region stays."""
    head, _, _ = source.partition("    ### BEGIN SOLUTION")
    return head + body.strip("\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cell", sorted(HALF_RIGHT)[FIRST % 8 :: 8])
def test_an_answer_for_good_days_only_earns_less_than_half(cell, bench, answers):
    body, test, most = HALF_RIGHT[cell]
    score, points = bench.try_out({cell: with_body(answers[cell], body)}, about=cell).scores[test]
    assert 0 <= score <= most * points


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(CHEATS)[FIRST % 9 :: 9])
def test_a_trick_earns_nothing(name, bench, answers):
    cell, prelude, body = CHEATS[name]
    trial = bench.try_out({cell: with_body(answers[cell], body)}, prelude=prelude, about=cell, as_graded=True)
    assert trial.scores[f"test-{cell}"][0] == 0

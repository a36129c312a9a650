"""The demonstration class's submissions before they are written down: the lab solved, and something done to it.

The right answers are taken from the lab's source, so that the class follows the lab when it changes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from grading.demo_class import faults
from grading.errors import GradingError
from grading.labs import require_source
from grading.layout import REPOSITORY, Layout


@dataclass(frozen=True)
class Question:
    """One automatically graded question.

    Args:
        solution: nbgrader id of the cell that the learner fills.
        test: nbgrader id of the cell that grades it.
        points: what it is worth.
        needs: ids of all cells whose answers the test runs, as the lab's author declares them.
    """

    solution: str
    test: str
    points: float
    needs: frozenset[str]


@dataclass(frozen=True)
class Lab:
    """A lab as the demonstration needs it.

    Args:
        id: the lab's id.
        released: the learner's notebook.
        answers: the right source of each solution cell, by nbgrader id.
        questions: the automatically graded questions, in order.
    """

    id: str
    released: NotebookNode
    answers: dict[str, str]
    questions: tuple[Question, ...]

    @property
    def points(self) -> float:
        return sum(question.points for question in self.questions)


def read_lab(lab: str, layout: Layout) -> Lab:
    """Reads the released lab and its answers."""
    source = nbformat.read(require_source(layout, lab), as_version=4)
    released_path = layout.root / "labs" / lab / f"{lab}.ipynb"
    if not released_path.is_file():
        raise GradingError(f"{lab} is not released: there is no labs/{lab}/{lab}.ipynb. Run make labs.")
    released = nbformat.read(released_path, as_version=4)
    answers = {}
    for cell in source.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            lines = [line for line in cell.source.split("\n") if "### BEGIN SOLUTION" not in line]
            answers[about["grade_id"]] = "\n".join(line for line in lines if "### END SOLUTION" not in line)
    return Lab(lab, released, answers, _questions(released, _declared(lab, layout)))


def _declared(lab: str, layout: Layout) -> dict[str, list[str]]:
    """Test cell → the solution cells that it runs, where the lab has a text source that says so."""
    path = layout.root / "solutions" / f"{lab}.py"
    if not path.is_file():
        return {}
    from grading.release.source import read_lab as read_source

    cells = read_source(path).notebook.cells
    return {c.metadata["nbgrader"]["grade_id"]: c.metadata["exercises"] for c in cells if "exercises" in c.metadata}


def _questions(released: NotebookNode, declared: dict[str, list[str]]) -> tuple[Question, ...]:
    found: list[Question] = []
    solution = ""
    for cell in released.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and not about.get("grade"):
            solution = about["grade_id"]
        elif about.get("grade") and not about.get("solution") and cell.cell_type == "code":
            needs = frozenset(declared.get(about["grade_id"], ())) | {solution}
            found.append(Question(solution, about["grade_id"], float(about["points"]), needs))
    if len(found) < 2:
        raise GradingError(f"The demonstration class needs a lab with 2 tested questions; this one has {len(found)}.")
    return tuple(found)


class Draft:
    """A submission in the making: the released notebook with all answers filled in, until something is done to it."""

    def __init__(self, lab: Lab, *, answered: tuple[str, ...] | None = None) -> None:
        self.lab = lab
        self.notebook = copy.deepcopy(lab.released)
        self.lost: set[str] = set()  # solution cells without a right answer
        for name, text in lab.answers.items():
            if answered is None or name in answered:
                self.cell(name).source = text
            else:
                self.lost.add(name)

    @property
    def deserved(self) -> float:
        """The points of the questions whose tests run right answers only."""
        return sum(question.points for question in self.lab.questions if not question.needs & self.lost)

    def cell(self, name: str) -> NotebookNode:
        """The cell with an nbgrader id."""
        return next(c for c in self.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)

    def stub(self, name: str) -> str:
        """A cell's source as released."""
        cells = self.lab.released.cells
        return str(next(c.source for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == name))

    def question(self, number: int) -> Question:
        """A question by number; labs with few questions start over."""
        return self.lab.questions[number % len(self.lab.questions)]

    def spoil(self, number: int, statements: str) -> Draft:
        """Puts statements into a question's function, which then earns nothing."""
        question = self.question(number)
        cell = self.cell(question.solution)
        cell.source = faults.inject(cell.source, statements.replace("{points}", str(question.points)))
        self.lost.add(question.solution)
        return self


def drafts(lab: Lab) -> dict[str, Draft]:
    """Every demonstration submission by learner, deterministic."""
    half = tuple(name for question in lab.questions[: (len(lab.questions) + 1) // 2] for name in question.needs)
    return {
        "perfect": Draft(lab),
        "half-right": Draft(lab, answered=half),
        "untouched": Draft(lab, answered=()),
        "syntax-error": _syntax_error(Draft(lab)),
        "infinite-loop": Draft(lab).spoil(3, faults.ENDLESS_LOOP),
        "endless-output": Draft(lab).spoil(4, faults.ENDLESS_OUTPUT),
        "memory-hog": Draft(lab).spoil(5, faults.MEMORY_HOG),
        "deleted-cell": _deleted_cells(Draft(lab)),
        "edited-test": _edited_test(Draft(lab)),
        "skipped-test": _skipped_test(Draft(lab)),
        "own-score": Draft(lab).spoil(0, faults.OWN_SCORE),
        "kernel-exit": Draft(lab).spoil(2, faults.KERNEL_EXIT),
        "fork-bomb": Draft(lab).spoil(5, faults.FORK_BOMB),
        "network": Draft(lab).spoil(5, faults.NETWORK),
        "noisy": _noisy(Draft(lab)),
        "spy": _spy(Draft(lab, answered=())),
    }


def _syntax_error(draft: Draft) -> Draft:
    question = draft.question(1)
    cell = draft.cell(question.solution)
    cell.source = faults.break_syntax(cell.source)
    draft.lost.add(question.solution)
    return draft


def _deleted_cells(draft: Draft) -> Draft:
    """One test cell is gone, which costs nothing, and one question altogether, which costs its points."""
    kept, lost = draft.question(-2), draft.question(-1)
    draft.notebook.cells = faults.without(draft.notebook.cells, kept.test, lost.solution, lost.test)
    draft.lost.add(lost.solution)
    return draft


def _edited_test(draft: Draft) -> Draft:
    question = draft.question(-2)
    draft.cell(question.solution).source = draft.stub(question.solution)
    draft.cell(question.test).source = f"{question.points}"
    draft.lost.add(question.solution)
    return draft


def _skipped_test(draft: Draft) -> Draft:
    """nbclient leaves cells with this tag out, and nbgrader gives a cell without output full marks."""
    question = draft.question(-2)
    draft.cell(question.solution).source = draft.stub(question.solution)
    draft.cell(question.test).metadata["tags"] = ["skip-execution"]
    draft.lost.add(question.solution)
    return draft


def _noisy(draft: Draft) -> Draft:
    for question in draft.lab.questions:
        cell = draft.cell(question.solution)
        cell.source = faults.inject(cell.source, faults.WARNING)
    return draft


def _spy(draft: Draft) -> Draft:
    roots = [str(REPOSITORY), str(REPOSITORY / "grading")]
    # A fixed id: the submissions are the same each time, so that what is graded stays graded.
    draft.notebook.cells.insert(0, new_code_cell(faults.SPY.format(roots=roots), id="spy"))
    return draft

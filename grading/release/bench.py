"""One lab on the test bench: its source, what was released, and what any variant of its solutions scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import nbformat
from nbformat.notebooknode import NotebookNode

from grading.release.build import source_notebook
from grading.release.course import Course
from grading.release.errors import ReleaseError
from grading.release.mutants import Mutant, mutants_of
from grading.release.runner import Outcome, Runner, scored, scored_by_the_course
from grading.release.slicing import part_for
from grading.release.source import Lab, read_lab

Variant = TypeVar("Variant")


@dataclass(frozen=True)
class Trial:
    """What one variant scored: grade id → (score, points), for the graded cells that were reached."""

    scores: dict[str, tuple[float, float]]
    outcomes: dict[str, Outcome]

    @property
    def losers(self) -> set[str]:
        """Graded cells that earned less than their points."""
        return {grade_id for grade_id, (score, points) in self.scores.items() if score < points}


class Bench:
    """A lab and everything that gates ask about it, each computed once.

    Args:
        lab_id: The lab's name.
        course: Folders to work in.
        every: Try every so-manieth variant only, where a gate would try them all.
        first: Number of the first variant to try, taken modulo `every`: another one each time, and in the end all have
            been tried.

    Raises:
        ReleaseError: If there is no such lab or its source cannot be used.
    """

    def __init__(self, lab_id: str, course: Course, *, every: int = 1, first: int = 0) -> None:
        self.course = course
        self._every, self._first = every, first
        self._tried: dict[Mutant, Trial] = {}
        self._parts: dict[str, str] = {}
        self.lab: Lab = read_lab(course.text_source(lab_id))
        extras = self.lab.path.with_suffix("")
        ahead = [c.source for c in self._before_first_exercise()]
        self._runner = Runner(extras if extras.is_dir() else course.solutions, ahead)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._runner.__exit__(kind, value, tb)

    @cached_property
    def source(self) -> NotebookNode:
        """nbgrader's source notebook, solutions and hidden tests included."""
        return source_notebook(self.lab)

    @property
    def released_path(self) -> Path:
        return self.course.labs / self.lab.id / f"{self.lab.id}.ipynb"

    @cached_property
    def released(self) -> NotebookNode:
        """What a learner opens.

        Raises:
            ReleaseError: If it is missing, is no notebook or carries no nbgrader metadata.
        """
        name = f"labs/{self.lab.id}/{self.lab.id}.ipynb"
        if not self.released_path.is_file():
            raise ReleaseError(f"{name} is missing: run `make labs`.")
        try:
            notebook = nbformat.read(self.released_path, as_version=4)
        except (ValueError, nbformat.ValidationError) as error:
            raise ReleaseError(f"{name} is not a notebook: {str(error).splitlines()[0]}; run `make labs`.") from error
        if not any("nbgrader" in cell.metadata for cell in notebook.cells):
            raise ReleaseError(f"{name} has no nbgrader metadata, so nothing in it can be graded: run `make labs`.")
        return notebook

    @cached_property
    def stubs(self) -> dict[str, str]:
        """grade id → what a learner finds in each solution cell."""
        return {
            cell.metadata.nbgrader.grade_id: cell.source
            for cell in self.released.cells
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
        }

    @cached_property
    def exercises(self) -> dict[str, set[str]]:
        """Autograded cell → the solution cells that it exercises, as its author declares them."""
        return {
            cell.metadata.nbgrader.grade_id: set(cell.metadata.get("exercises", []))
            for cell in self.lab.cells(grade=True, solution=False, kind="code")
        }

    def try_out(
        self,
        replaced: dict[str, str] | None = None,
        *,
        prelude: str = "",
        notebook: NotebookNode | None = None,
        stop_at_first_loss: bool = False,
        as_graded: bool = False,
        about: str = "",
    ) -> Trial:
        """Run the lab with some solution cells replaced.

        Args:
            replaced: grade id → new text of that cell.
            prelude: Code to run just before the first exercise.
            notebook: What to run instead of the source notebook.
            stop_at_first_loss: End after the first graded cell that does not earn all its points.
            as_graded: Score as `course grade` does, which trusts outputs less than nbgrader and its Validate button.
            about: Run only what the tests of this solution cell need.
        """
        cells = _code_cells(notebook or self.source)
        if about:
            cells = part_for(cells, {test for test, exercised in self.exercises.items() if about in exercised}, about)
        for cell in cells:
            cell.source = (replaced or {}).get(_grade_id(cell), cell.source)
        ahead = len(self._before_first_exercise())
        first = [nbformat.v4.new_code_cell(prelude)] if prelude else []
        outcomes = self._runner.run(first + cells[ahead:], stop_at_first_loss=stop_at_first_loss)
        outcomes = outcomes[:ahead] + outcomes[ahead + len(first) :]
        graded = [
            (cell, o) for cell, o in zip(cells, outcomes, strict=True) if cell.metadata.get("nbgrader", {}).get("grade")
        ]
        if stop_at_first_loss:
            graded = [(cell, outcome) for cell, outcome in graded if outcome.reached] or graded
        score = scored_by_the_course if as_graded else scored
        return Trial(
            {_grade_id(cell): score(cell, outcome) for cell, outcome in graded},
            {cell.id: outcome for cell, outcome in zip(cells, outcomes, strict=True)},
        )

    @cached_property
    def mutants(self) -> list[Mutant]:
        """Every mutant of every exercised solution cell."""
        exercised = set().union(*self.exercises.values()) if self.exercises else set()
        cells = self.lab.cells(solution=True, kind="code")
        return [m for cell in cells if cell.metadata.nbgrader.grade_id in exercised for m in mutants_of(cell)]

    def sample(self, variants: Sequence[Variant]) -> list[Variant]:
        """Every variant, or every so-manieth, but never none where there are some."""
        step = max(1, min(self._every, len(variants)))
        return list(variants[self._first % step :: step])

    @property
    def mutant_trials(self) -> list[tuple[Mutant, Trial]]:
        """Every mutant, or every so-manieth, with what it scored up to its first loss."""
        return [(mutant, self.trial(mutant)) for mutant in self.sample(self.mutants)]

    def trial(self, mutant: Mutant) -> Trial:
        """What one mutant scores up to its first loss; asked twice, it is run once."""
        if mutant not in self._tried:
            changed, about = {mutant.grade_id: mutant.source}, self._part_for(mutant.grade_id)
            self._tried[mutant] = self.try_out(changed, stop_at_first_loss=True, about=about)
        return self._tried[mutant]

    def _part_for(self, grade_id: str) -> str:
        """What `try_out` is to be about for mutants of a solution cell: that cell, or everything."""
        if grade_id not in self._parts:
            # If the right solution loses points there, its tests need more than was found.
            self._parts[grade_id] = "" if self.try_out(about=grade_id).losers else grade_id
        return self._parts[grade_id]

    def _before_first_exercise(self) -> list[Any]:
        return list(takewhile(lambda cell: "nbgrader" not in cell.metadata, _code_cells(self.source)))


def _code_cells(notebook: NotebookNode) -> list[Any]:
    return [nbformat.from_dict(dict(cell)) for cell in notebook.cells if cell.cell_type == "code"]


def _grade_id(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))

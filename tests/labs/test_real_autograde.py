"""The whole of plain nbgrader, gradebook included: solution, stub and cheats. Oracle: scores worked out by hand."""

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from grading.release import COURSE
from grading.release.bench import Bench
from grading.release.build import write_source_folder
from grading.release.gates.cheats_earn_nothing import CHEATS, returning
from grading.release.publish import tools_on_path

LAB = "lab00-cost-of-a-run"
CHEATERS = {
    "deleter": "asserts and raises deleted by an AST transformer",
    "equalizer": "an object that equals everything",
    "silencer": "tracebacks switched off",
    "replacer": "the checker's methods replaced",
    "redefiner": "abs redefined",
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nbgrader_pays_the_solution_in_full_and_stubs_and_cheats_nothing(tmp_path):
    with Bench(LAB, COURSE) as bench, tools_on_path():
        write_source_folder(bench.lab, tmp_path / "source" / LAB)
        config = Config()
        config.CourseDirectory.root = str(tmp_path)
        config.CourseDirectory.db_url = f"sqlite:///{tmp_path}/gradebook.db"
        config.Exchange.root = str(tmp_path)
        api = NbGraderAPI(CourseDirectory(config=config), config=config)
        assert api.generate_assignment(LAB)["success"]
        answers = {c.metadata.nbgrader.grade_id: c.source for c in bench.lab.cells(solution=True, kind="code")}
        hand_in(tmp_path, bench, "honest", answers)
        hand_in(tmp_path, bench, "untouched", {})
        for learner, cheat in CHEATERS.items():
            prelude, value = CHEATS[cheat]
            faked = {grade_id: returning(stub, value) for grade_id, stub in bench.stubs.items()}
            hand_in(tmp_path, bench, learner, faked, prelude)
        for learner in ("honest", "untouched", *CHEATERS):
            outcome = api.autograde(LAB, learner)
            assert outcome["success"], outcome
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as gradebook:
        scores = {s.student.id: s.score for s in gradebook.assignment_submissions(LAB)}
        assert scores == {"honest": 40.0, "untouched": 0.0, **dict.fromkeys(CHEATERS, 0.0)}
        assert gradebook.find_assignment(LAB).max_score == 50.0


def hand_in(root, bench, learner, answers, prelude=""):
    """Put a submission in place: the released notebook with these cells changed and, for a cheat, a cell ahead."""
    notebook = nbformat.from_dict(dict(bench.released))
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    if prelude:
        notebook.cells.insert(1, nbformat.v4.new_code_cell(prelude))
    folder = root / "submitted" / learner / LAB
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{LAB}.ipynb")

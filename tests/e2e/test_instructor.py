"""An instructor grades the class in the formgrader. Oracles: a real browser, and nbgrader's Gradebook beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from grading.demo_class import CELL_SECONDS, LIMITS, make, prepare
from grading.layout import Layout
from grading.run import grade
from tests.e2e.server import REPOSITORY, jupyterlab
from tests.e2e.watched import Watched

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]
READY = "() => window.formgrader?.loaded && formgrader.grades?.loaded && formgrader.comments?.loaded"
LAB = "lab00-cost-of-a-run"
WRITTEN = "written-advice"
CLASS = ("half-right", "hostile", "not-json", "perfect")
HOSTILE = """Compare $x^2$ <script>window.acted = 1</script> <img src="x" onerror="window.acted = 2">

![counted](https://example.org/seen.png) <meta http-equiv="refresh" content="0;url=/formgrader?path=submitted">

<iframe src="https://example.org/"></iframe> [the details](javascript:window.acted=3) The end."""


@dataclass(frozen=True)
class Classroom:
    """A graded class with the formgrader open on it.

    Args:
        address: of the server.
        gradebook: database URL.
        deserved: each learner's points from the automatic tests.
    """

    address: str
    gradebook: str
    deserved: dict[str, float]

    def score(self, learner: str) -> float:
        with Gradebook(self.gradebook) as gradebook:
            return float(gradebook.find_submission(LAB, learner).score)


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """Four of the demonstration class's learners, graded in a course folder of their own."""
    root = tmp_path_factory.mktemp("course")
    (root / "grading").mkdir()
    for name in ("solutions", "labs", "grading/nbgrader_config.py", "grading/templates"):
        (root / name).symlink_to(REPOSITORY / name)
    layout = Layout(root, "grading/demo")
    prepare(layout, CELL_SECONDS, LIMITS.as_dict())
    deserved = make(LAB, layout)
    deserved["hostile"] = _hand_in_hostile(layout, deserved["perfect"])
    for folder in layout.submitted.iterdir():
        if folder.name not in CLASS:
            shutil.rmtree(folder)
    grade(LAB, layout=layout, limits=LIMITS, cell_seconds=CELL_SECONDS)
    with jupyterlab(layout.grading, tmp_path_factory.mktemp("home"), "FORMGRADER_OPTIONS") as address:
        yield Classroom(address, layout.default_db_url, {name: deserved[name] for name in CLASS})


def _hand_in_hostile(layout: Layout, points: float) -> float:
    """The perfect submission, but the written answer is made to act in the reader's browser."""
    folder = Path(shutil.copytree(layout.submitted / "perfect", layout.submitted / "hostile")) / LAB
    notebook = nbformat.read(folder / f"{LAB}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == WRITTEN:
            cell.source = HOSTILE
    nbformat.write(notebook, folder / f"{LAB}.ipynb")
    return points


def open_submission(watched: Watched, classroom: Classroom, learner: str) -> None:
    """Manual grading, the lab, all names, the learner."""
    page = watched.page
    page.goto(f"{classroom.address}/formgrader/gradebook/{LAB}/{LAB}")
    page.locator("#main-table").get_by_role("link", name="Submission").first.wait_for()  # the button changes these
    page.get_by_role("button", name="Show All Names").click()
    page.get_by_role("link", name=learner, exact=True).click()
    page.wait_for_function(
        "() => window.formgrader?.loaded && formgrader.grades?.loaded && formgrader.comments?.loaded"
    )


def test_make_formgrader_leads_to_the_formgrader_without_a_warning(watched: Watched, classroom: Classroom) -> None:
    watched.page.goto(classroom.address)
    watched.page.get_by_role("link", name=LAB).wait_for()
    assert watched.page.url.endswith("/formgrader/manage_assignments")
    assert watched.page.locator(".alert:visible").all_inner_texts() == []


def test_every_learner_is_listed_with_the_points_they_deserve(watched: Watched, classroom: Classroom) -> None:
    watched.page.goto(f"{classroom.address}/formgrader/manage_students")
    watched.page.get_by_role("gridcell", name="perfect", exact=True).wait_for()
    rows = [row.locator("td").all_inner_texts() for row in watched.page.locator("#main-table tr").all()]
    rows = [row for row in rows if len(row) == 5]  # the last offers to add a learner
    shown = {row[1]: float(row[3].split("/")[0]) for row in rows}
    assert shown == classroom.deserved
    assert shown == {learner: classroom.score(learner) for learner in CLASS}
    assert watched.foreign == []
    assert watched.errors == []


def test_points_and_a_comment_given_by_hand_reach_the_gradebook(watched: Watched, classroom: Classroom) -> None:
    open_submission(watched, classroom, "perfect")
    page = watched.page
    page.locator(f"#{WRITTEN}").fill("7.5")
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        page.locator(f"#{WRITTEN}").press("Tab")
    page.locator(f"#{WRITTEN}-comment").fill("Name the price's date.")
    with page.expect_response(lambda answer: "/api/comment/" in answer.url and answer.request.method == "PUT"):
        page.locator(f"#{WRITTEN}-comment").press("Escape")
    expected = classroom.deserved["perfect"] + 7.5
    assert classroom.score("perfect") == expected
    with Gradebook(classroom.gradebook) as gradebook:
        assert gradebook.find_comment(WRITTEN, LAB, LAB, "perfect").comment == "Name the price's date."
    page.goto(f"{classroom.address}/formgrader/manage_students/perfect")
    page.get_by_role("gridcell", name=f"{expected:g} / 50").wait_for()
    assert watched.foreign == []
    assert watched.errors == []


def test_an_answer_that_tries_to_act_in_the_instructors_browser_is_only_text(
    watched: Watched, classroom: Classroom
) -> None:
    open_submission(watched, classroom, "hostile")
    page = watched.page
    answer = page.locator(".nbgrader_cell", has=page.locator(f"#{WRITTEN}"))
    assert "The end." in answer.inner_text()
    answer.locator("mjx-container").first.wait_for()  # formulas are set, from this machine
    page.wait_for_timeout(1000)
    assert page.evaluate("window.acted") is None
    assert "/formgrader/submissions/" in page.url
    assert answer.locator("a, img, iframe, script, meta").count() == 0
    assert watched.foreign == []
    assert watched.errors == []

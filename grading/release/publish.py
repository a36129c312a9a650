"""nbgrader's source notebook → the folder a learner opens, made by nbgrader itself in a throw-away course."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from grading.release.atomic import replace_tree
from grading.release.build import build_source, write_source_folder
from grading.release.course import COURSE, Course
from grading.release.errors import ReleaseError
from grading.release.source import Lab, read_lab

# Settings of grading/nbgrader_config.py that shape a released notebook. Folders, database and graders stay out of it.
SHAPING = ("ClearSolutions", "ClearHiddenTests", "ClearMarkScheme", "LockCells", "GenerateAssignment")


def release(lab_id: str, course: Course = COURSE) -> bool:
    """Make labs/<lab>/ from the lab's text source.

    Args:
        lab_id: A lab's name.
        course: Folders to work in.

    Returns:
        Whether the released folder changed.

    Raises:
        ReleaseError: If the source cannot be used or nbgrader refuses it. labs/ is then as it was.
    """
    build_source(lab_id, course)
    lab = read_lab(course.text_source(lab_id))
    course.labs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=course.labs) as work:
        made = generate(lab, Path(work), course)
        return replace_tree(made, course.labs / lab_id)


def release_all(course: Course = COURSE) -> dict[str, bool]:
    """Release every lab that has a text source; returns which folders changed."""
    return {lab_id: release(lab_id, course) for lab_id in course.lab_ids()}


def generate(lab: Lab, work: Path, course: Course = COURSE) -> Path:
    """Run nbgrader's generate_assignment in the empty folder `work`; returns the released folder inside it."""
    write_source_folder(lab, work / "source" / lab.id)
    config = _shaping_config(course)
    config.CourseDirectory.root = str(work)
    config.CourseDirectory.course_id = "release"
    (work / "throwaway.db").write_bytes(_empty_gradebook())
    config.CourseDirectory.db_url = f"sqlite:///{work / 'throwaway.db'}"
    config.CourseDirectory.assignment_id = lab.id
    config.Exchange.root = str(work)  # nothing is exchanged; nbgrader only wants to see a folder
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    outcome = api.generate_assignment(lab.id, force=True, create=True)
    made = work / "release" / lab.id
    if not outcome["success"] or not (made / f"{lab.id}.ipynb").is_file():
        told = outcome.get("error") or outcome.get("log") or "nothing was written"
        raise ReleaseError(f"{lab.id}: nbgrader refused the source: {told.strip().splitlines()[-1]}")
    _tidy(made / f"{lab.id}.ipynb")
    return made


@cache
def _empty_gradebook() -> bytes:
    """A gradebook with nbgrader's tables and nothing in them; making one takes seconds, so it is made once."""
    with tempfile.TemporaryDirectory() as folder, tools_on_path():
        path = Path(folder) / "empty.db"
        Gradebook(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def tools_on_path() -> Iterator[None]:
    """Let nbgrader find `alembic`, which it starts by name, even where the environment is not activated."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _shaping_config(course: Course) -> Config:
    path = course.grading / "nbgrader_config.py"
    config = Config()
    if path.is_file():
        loaded = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
        for name in SHAPING:
            if name in loaded:
                config[name] = loaded[name]
    return config


def _tidy(path: Path) -> None:
    """Drop what depends on the day or the machine, so that releasing twice gives the same bytes."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    path.chmod(0o644)

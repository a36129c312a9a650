"""What the sandbox, the private gradebooks and the parallel pool cost or save against nbgrader by itself.

Both sides grade the same solved submissions from nothing: ours with feedback and export, in the sandbox, two at a time;
nbgrader's own `autograde` one after the other, learners' code running unprotected as the instructor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.ratio import Ratio, compare
from grading.layout import Layout
from grading.release import build_source
from grading.run import grade

LAB = "lab00-cost-of-a-run"
LEARNERS = tuple(f"learner{number}" for number in range(4))
ROOT = Path(__file__).resolve().parents[1]
PLAIN = "c = get_config()\nc.CourseDirectory.course_id = 'plain'\nc.Exchange.root = 'exchange'\n"


def submit(course: Path, source: Path) -> None:
    """Give every learner the solved notebook."""
    for learner in LEARNERS:
        folder = course / "submitted" / learner / LAB
        folder.mkdir(parents=True)
        shutil.copy(source / f"{LAB}.ipynb", folder)


def our_course(folder: Path, source: Path) -> Layout:
    """A copy of the repository's shape with a class of LEARNERS."""
    for name in ("labs", "solutions"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "grading").mkdir()
    shutil.copy(ROOT / "grading" / "nbgrader_config.py", folder / "grading")
    submit(folder / "grading", source)
    return Layout(root=folder)


def plain_course(folder: Path, source: Path) -> None:
    """An nbgrader course with nbgrader's own settings and the same class, its assignment entered."""
    folder.mkdir()
    (folder / "nbgrader_config.py").write_text(PLAIN)
    shutil.copytree(source, folder / "source" / LAB)
    nbgrader(folder, "generate_assignment", LAB)
    for learner in LEARNERS:
        nbgrader(folder, "db", "student", "add", learner)
    submit(folder, source)


def nbgrader(folder: Path, *words: str) -> None:
    """Run nbgrader's command in a course folder."""
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"}
    subprocess.run([binaries / "nbgrader", *words], cwd=folder, env=environment, check=True, capture_output=True)


def measure() -> list[Ratio]:
    """Grading a small class, ours against nbgrader's."""
    with tempfile.TemporaryDirectory() as scratch:
        source = build_source(LAB)
        layout = our_course(Path(scratch, "ours"), source)
        plain_course(Path(scratch, "plain"), source)
        return [
            compare(
                f"grade {len(LEARNERS)} submissions: sandbox, feedback, CSV, 2 at a time",
                lambda: grade(LAB, layout=layout, jobs=2, force=True),
                "nbgrader autograde: no sandbox, in turn",
                lambda: nbgrader(Path(scratch, "plain"), "autograde", LAB, "--force"),
                runs=1,
            )
        ]

"""nbgrader's settings for this course. Run `nbgrader` commands, or JupyterLab with the formgrader, in this folder.

Submissions are graded exactly as `course grade` does it: in the sandbox, with the same limits and the same feedback.
"""

import os
import sys
from pathlib import Path

import nbgrader
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    GetGrades,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from grading.execute import GradedExecute  # noqa: E402
from grading.feedback import LearnerView  # noqa: E402
from grading.pages import InstructorView, LearnerPage, instructor_markdown  # noqa: E402
from grading.restore import RestoreCells  # noqa: E402
from grading.verdict import Verdict  # noqa: E402

c = get_config()  # noqa: F821 - traitlets defines it

# nbgrader starts `alembic` by name when it makes a gradebook.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# Where things lie -----------------------------------------------------------------------------------------------------
c.CourseDirectory.course_id = "training-at-scale"
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.release_directory = str(HERE.parent / "labs")

# Where `nbgrader list`, `collect` and the formgrader's release button look for a course on one machine. Where learners
# have accounts of their own, point this at a folder that they share.
EXCHANGE = HERE / "exchange"
if not EXCHANGE.exists() and os.access(HERE, os.W_OK):
    EXCHANGE.mkdir()
    (EXCHANGE / ".gitignore").write_text("*\n")
c.Exchange.root = str(EXCHANGE)

# Autograding ----------------------------------------------------------------------------------------------------------
c.Autograde.sanitize_preprocessors = [
    ClearOutput,
    RestoreCells,
    DeduplicateIds,
    OverwriteKernelspec,
    OverwriteCells,
    CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    GradedExecute,
    Verdict,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]
c.GradedExecute.timeout = 60  # seconds for one cell
# c.GradedExecute.sandbox = False  # only if you trust every submission
# c.GradedExecute.limits = {"memory_bytes": 3 * 1024**3}  # see grading/limits.py

# Feedback: no hidden test, no request to another host ------------------------------------------------------------
c.GenerateFeedback.preprocessors = [GetGrades, LearnerView]
c.GenerateFeedback.exporter_class = LearnerPage
c.LearnerPage.template_name = "learner"
c.LearnerPage.preprocessors = []

# The formgrader: nothing in a submission acts in the instructor's browser, no request to another host ------------
c.HTMLExporter.preprocessors = [InstructorView]
c.HTMLExporter.filters = {"markdown2html": instructor_markdown}
c.HTMLExporter.extra_template_basedirs = [
    str(HERE / "templates"),
    str(Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"),
]

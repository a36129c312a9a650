"""The demonstration class's folder, `grading/demo/`: nbgrader commands and the formgrader work in it too."""

from __future__ import annotations

from grading.layout import Layout

_CONFIG = '''\
"""nbgrader's settings for the demonstration class: the course's own, in this folder. Made by grading.demo_class."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
load_subconfig("nbgrader_config.py", path=str(HERE.parent))
c = get_config()
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.source_directory = str(HERE.parent / "source")
c.CourseDirectory.release_directory = str(HERE.parent.parent / "labs")
c.GradedExecute.timeout = {cell_seconds}
c.GradedExecute.limits = {limits}
'''


def prepare(layout: Layout, cell_seconds: int, limits: dict[str, int]) -> None:
    """Writes the folder's configuration, and keeps the folder out of version control."""
    layout.grading.mkdir(parents=True, exist_ok=True)
    (layout.grading / ".gitignore").write_text("*\n")
    config = _CONFIG.format(cell_seconds=cell_seconds, limits=limits)
    (layout.grading / "nbgrader_config.py").write_text(config)

"""Loads nbgrader_config.py, so that `course grade` and the `nbgrader` commands follow one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from grading.layout import Layout

HERE = Path(__file__).resolve().parent


def course_config(layout: Layout, **course_directory: Any) -> Config:
    """The course's nbgrader configuration for a layout.

    Args:
        layout: the course's folders.
        course_directory: options of nbgrader's CourseDirectory that differ, such as `db_url`.
    """
    own = layout.grading / "nbgrader_config.py"
    path = own if own.is_file() else HERE / "nbgrader_config.py"
    config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    config.CourseDirectory.root = str(layout.grading)
    config.CourseDirectory.source_directory = str(layout.source)
    config.CourseDirectory.release_directory = str(layout.root / "labs")
    for name, value in course_directory.items():
        config.CourseDirectory[name] = value
    return config

"""What a chapter's cells call: numbers for prose, figures, tables and the two explorers.

A chapter starts with `from book.kit import glue, show, show_table, palette`. The kit takes its facts from `course_lib`
and computes none itself.
"""

from . import palette
from .cost_widget import cost_explorer
from .figures import figure, show
from .glue import glue
from .roofline_widget import roofline_explorer
from .tables import show_table

__all__ = ["cost_explorer", "figure", "glue", "palette", "roofline_explorer", "show", "show_table"]

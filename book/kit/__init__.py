"""What a chapter's cells call: numbers for prose, figures, tables and the two explorers.

A chapter starts with `from book.kit import glue, show, show_table, palette`; everything here draws from `course_lib`, nothing
in it computes a fact of its own.
"""

from . import palette
from .figures import figure, show
from .glue import glue
from .tables import show_table

__all__ = ["figure", "glue", "palette", "show", "show_table"]

"""What a chapter's cells call: numbers for prose, figures, tables and the two explorers.

A chapter starts with `from book.kit import glue, show, show_table, palette`. The kit takes its facts from `course_lib`
and computes none itself. Names are imported when they are first asked for: `make book` and `make serve` run from this
package too, and need neither pandas nor plotly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import palette
    from .checklist_widget import checklist
    from .cost_widget import cost_explorer
    from .figures import figure, show
    from .plan_widget import plan_explorer
    from .prose import glue
    from .roofline_widget import roofline_explorer
    from .tables import show_table

_HOMES = {
    "checklist": "checklist_widget",
    "cost_explorer": "cost_widget",
    "figure": "figures",
    "glue": "prose",
    "plan_explorer": "plan_widget",
    "roofline_explorer": "roofline_widget",
    "show": "figures",
    "show_table": "tables",
}

__all__ = [
    "checklist",
    "cost_explorer",
    "figure",
    "glue",
    "palette",
    "plan_explorer",
    "roofline_explorer",
    "show",
    "show_table",
]


def __getattr__(name: str) -> Any:
    if name == "palette":
        return import_module(".palette", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

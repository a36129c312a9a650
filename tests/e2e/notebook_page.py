"""What a learner does with a notebook in JupyterLab: open it, run all cells, press Validate."""

from __future__ import annotations

import uuid
from typing import Any

from tests.e2e.watched import Watched

VALIDATION_LIMIT_MS = 180_000
RUN_LIMIT_MS = 180_000

# The execution indicator says "idle" before there is a kernel, and cells that are run too early make JupyterLab ask for
# a kernel in a dialog that covers the page. So what counts is that the kernel has answered its first question. (The
# waited-for function must not be async: its promise would pass for true at once.)
KERNEL_CONNECTED = """() =>
  window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"""
KERNEL_ANSWERS = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.info.then(() => true)"
# The command behind Run > Run All Cells; the menu itself races against redraws. It ends when the last cell has run, or
# the first has failed.
RUN_ALL = """() => {
  window.ran = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true; });
}"""
# JupyterLab takes cells that are out of sight off the page, so what they show is read from the notebook's model.
CODE_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code')
  .map(cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
SHOW_CODE_CELL = """(number) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const cells = notebook.widgets.map((cell, index) => ({cell, index})).filter(({cell}) => cell.model.type === 'code');
  return notebook.scrollToItem(cells[number].index, 'center');
}"""


def open_notebook(watched: Watched, address: str, path: str) -> None:
    """Open a notebook, alone in a workspace of its own, and wait until its kernel answers."""
    workspace = uuid.uuid4().hex  # the usual one opens again what was open before
    watched.page.goto(f"{address}/lab/workspaces/{workspace}/tree/{path}", wait_until="commit")
    watched.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
    watched.page.wait_for_function(KERNEL_CONNECTED)
    watched.page.evaluate(KERNEL_ANSWERS)


def run_all(watched: Watched) -> list[dict[str, Any]]:
    """Run all cells; return every code cell's execution count and outputs."""
    watched.page.evaluate(RUN_ALL)
    watched.page.wait_for_function("() => window.ran", timeout=RUN_LIMIT_MS)
    cells: list[dict[str, Any]] = watched.page.evaluate(CODE_CELLS)
    return cells


def show_code_cell(watched: Watched, number: int) -> None:
    """Scroll to a code cell, counted from 0."""
    watched.page.evaluate(SHOW_CODE_CELL, number)


def validate(watched: Watched) -> str:
    """Press nbgrader's Validate button; return what the dialog says."""
    watched.page.locator("jp-button.validate-button").click()
    dialog = watched.page.locator(".nbgrader-SuccessDialog, .nbgrader-ErrorDialog").first
    dialog.wait_for(timeout=VALIDATION_LIMIT_MS)
    return dialog.inner_text()

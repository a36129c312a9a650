"""Keeps nbgrader's log, the only place where it says what went wrong."""

from __future__ import annotations

import logging
import re


class NbgraderLog(logging.Handler):
    """Keeps what nbgrader logs in one run instead of printing it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []
        self.logger = logging.Logger("grading.nbgrader", logging.INFO)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())

    @property
    def kernel_trouble(self) -> str:
        """The message of a KernelStartError that nbgrader caught and logged."""
        found = re.findall(r"KernelStartError: (.+)", "\n".join(self.records))
        return found[-1] if found else ""

    @property
    def last_error(self) -> str:
        """The last line of the last traceback: the error itself."""
        traces = [record for record in self.records if record.startswith("Traceback")]
        lines = (traces or self.records or ["no reason was logged"])[-1].strip().splitlines()
        return lines[-1][:300]

    def remarks(self) -> list[str]:
        """What nbgrader repaired."""
        missing = re.findall(r"Cell '([^']+)' is missing", "\n".join(self.records))
        return [f"{name}: the cell was deleted and was put back" for name in missing]

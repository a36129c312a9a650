"""What goes out after grading: the executed notebooks, the learners' feedback pages and the grades as CSV."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from grading import records
from grading.errors import GradingError
from grading.layout import Layout
from grading.merge import digest
from grading.notice import write_notice
from grading.pool import run_tasks
from grading.records import FAILED, GRADED, Outcome
from grading.worker import FeedbackTask

PAGE_SECONDS = 120


@dataclass(frozen=True)
class Delivery:
    """One lab's results on their way out.

    Args:
        lab: the lab.
        layout: the course's folders.
        gradebook: the class's gradebook, open.
        db_url: its URL, for the workers.
        jobs: pages written at a time.
    """

    lab: str
    layout: Layout
    gradebook: Gradebook
    db_url: str
    jobs: int

    def write_feedback(
        self, outcomes: Mapping[str, Outcome], progress: Callable[[int, int, str], None]
    ) -> dict[str, Outcome]:
        """Writes the pages whose content is new; a grade given by hand since the last run counts as new.

        Returns:
            The outcomes, with what each page shows noted in them.
        """
        after = dict(outcomes)
        waiting: list[FeedbackTask] = []
        for learner, outcome in outcomes.items():
            page = self.layout.feedback / learner / self.lab / f"{self.lab}.html"
            if outcome.status == FAILED:
                continue
            shown = digest(self.gradebook.find_submission(self.lab, learner))
            if outcome.unchanged and outcome.shown == shown and page.is_file():
                continue
            if outcome.status == GRADED:
                waiting.append(FeedbackTask(self.layout, learner, self.lab, self.db_url))
            else:
                write_notice(page, learner, self.lab, outcome)
            after[learner] = replace(outcome, shown=shown)
        ends = run_tasks("grading.worker:write_feedback", waiting, jobs=self.jobs, deadline_seconds=PAGE_SECONDS)
        for count, done in enumerate(ends, start=1):
            learner = done.task.learner
            if done.trouble:
                reasons = (*after[learner].reasons, f"no feedback page: {done.trouble}")
                after[learner] = replace(after[learner], reasons=reasons, shown="")
            progress(count, len(waiting), f"feedback for {learner}")
        for learner, outcome in after.items():
            if outcome is not outcomes[learner]:
                records.save(record_path(self.layout, self.lab, learner), outcome)
        return after

    def export(self) -> Path:
        """The lab's grades of the whole class by nbgrader's own CSV exporter."""
        path = self.layout.exports / f"{self.lab}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            unfinished = Path(folder, path.name)
            CsvExportPlugin(to=str(unfinished), assignment=[self.lab]).export(self.gradebook)
            unfinished.replace(path)
        return path


def record_path(layout: Layout, lab: str, learner: str) -> Path:
    """Where the record of a graded submission lies."""
    return layout.work / "results" / lab / f"{learner}.json"


def move_in(source: Path, target: Path) -> None:
    """Replaces a folder by another in two renames, so that no half-written one is ever seen.

    Raises:
        GradingError: if the place cannot be written.
    """
    old = target.with_name(f".{target.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.replace(old)
        source.replace(target)
    except OSError as error:
        raise GradingError(f"{target} cannot be written ({error.strerror}); free space or permission there") from error
    shutil.rmtree(old, ignore_errors=True)

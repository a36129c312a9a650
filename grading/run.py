"""nbgrader's whole path for one lab: collect, autograde in parallel, enter, feedback, export.

Each submission is graded in a worker process with a private gradebook (`grading.worker`); this process alone writes to
the class's gradebook. A run that is cut off goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from sqlalchemy.exc import SAWarning

from grading import records
from grading.delivery import Delivery, move_in, record_path
from grading.guard import one_run, require_database
from grading.intake import Learner, Refusal, Submission, collect, read_roster, unreadable
from grading.labs import copy_template, ensure_lab, fingerprint, grader_version, lab_ids, require_source
from grading.layout import Layout
from grading.limits import Limits
from grading.merge import enter, enter_refusal, open_gradebook
from grading.nbgrader_settings import course_config
from grading.pool import Done, run_tasks
from grading.records import FAILED, GRADED, REFUSED, Outcome
from grading.sandbox import working_sandbox
from grading.summary import Summary
from grading.worker import Graded, Task

OVERHEAD_SECONDS = 120  # for reading, converting and starting kernels, beside the limit on the learner's own time
Progress = Callable[[int, int, str], None]


def grade(
    lab: str,
    *,
    layout: Layout | None = None,
    db_url: str | None = None,
    sandbox: bool = True,
    jobs: int | None = None,
    learners: Collection[str] | None = None,
    limits: Limits | None = None,
    cell_seconds: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Grades every submission of a lab.

    Args:
        lab: the lab's id, such as "lab00-cost-of-a-run".
        layout: the course's folders.
        db_url: SQLAlchemy URL of the gradebook; `grading/gradebook.db` when None.
        sandbox: run learners' code in bubblewrap; False trusts every submission.
        jobs: submissions at a time; one for each core when None.
        learners: grade these alone.
        limits: what each submission may use.
        cell_seconds: time limit of one cell; nbgrader_config.py's when None.
        force: grade again what has not changed.
        progress: called with (done, all, text) as the work goes on.

    Returns:
        The summary; the gradebook, the feedback pages and the CSV are written.

    Raises:
        SandboxUnavailableError: when no sandbox can be had.
        GradingError: for an unknown lab, a gradebook that cannot take it, or another run in the same class folder.
    """
    run = _Run(lab, layout or Layout(), db_url, sandbox, jobs or os.cpu_count() or 1, limits or Limits(), cell_seconds)
    run.progress = progress or (lambda done, total, text: None)
    require_database(run.db_url)
    with one_run(run.layout), warnings.catch_warnings():
        # nbgrader's own way of adding rows; SQLAlchemy 2 remarks on it for every learner
        warnings.simplefilter("ignore", SAWarning)
        return run.everything(learners, force)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        lab: str,
        layout: Layout,
        db_url: str | None,
        sandbox: bool,
        jobs: int,
        limits: Limits,
        cell_seconds: int | None,
    ) -> None:
        self.lab, self.layout, self.sandbox, self.jobs = lab, layout, sandbox, jobs
        self.limits, self.cell_seconds = limits, cell_seconds
        self.db_url = db_url or layout.default_db_url
        self.course_id = course_config(layout).CourseDirectory.course_id
        self.progress: Progress
        self.roster = read_roster(layout.roster)
        self.outcomes: dict[str, Outcome] = {}
        self.refusals: list[Outcome] = []
        self.versions: dict[str, str] = {}  # by learner, from before the grading: files may change meanwhile

    def everything(self, learners: Collection[str] | None, force: bool) -> Summary:
        started = time.monotonic()
        if self.sandbox:
            working_sandbox()
        require_source(self.layout, self.lab)
        try:
            ensure_lab(self.layout, self.lab, self.db_url)
            with open_gradebook(self.db_url, self.course_id) as gradebook:
                self.gradebook = gradebook
                self._grade_all(learners, force)
                delivery = Delivery(self.lab, self.layout, gradebook, self.db_url, self.jobs)
                self.outcomes = delivery.write_feedback(self.outcomes, self.progress)
                export = delivery.export()
        finally:
            shutil.rmtree(self.layout.work / "running" / str(os.getpid()), ignore_errors=True)
        outcomes = (*(self.outcomes[name] for name in sorted(self.outcomes)), *self.refusals)
        return Summary(self.lab, self.db_url, outcomes, export, time.monotonic() - started)

    def _grade_all(self, learners: Collection[str] | None, force: bool) -> None:
        known = None
        if self.roster is not None:
            known = {*self.roster, *(student.id for student in self.gradebook.students)}
        submissions, refusals = collect(self.layout, self.lab, lab_ids(self.layout), known, learners)
        for refusal in refusals:
            self._refuse(refusal, 0.0, "")
        self.source_version = fingerprint(self.layout.source / self.lab)
        readable = [submission for submission in submissions if self._read_version(submission)]
        waiting = [submission for submission in readable if force or not self._unchanged(submission)]
        total = len(waiting)
        tasks = [self._task(submission) for submission in waiting]
        deadline = self.limits.wall_seconds + OVERHEAD_SECONDS
        ends = run_tasks("grading.worker:grade", tasks, jobs=self.jobs, deadline_seconds=deadline)
        for count, done in enumerate(ends, start=1):
            self._take(done)
            self.progress(count, total, f"graded {done.task.learner}")

    def _read_version(self, submission: Submission) -> bool:
        """Notes what is about to be graded, and with what; refuses files that cannot be read."""
        try:
            files = fingerprint(submission.folder)
        except OSError as error:
            self._refuse(Refusal(submission.learner, unreadable(error), submission.learner), 0.0, "")
            return False
        parts = [files, self.source_version, str(self.limits), str(self.cell_seconds)]
        text = " ".join([*parts, self.db_url, str(self.sandbox), grader_version()])
        # hashed, because the URL may hold a password and the record is printed by --json
        self.versions[submission.learner] = hashlib.sha256(text.encode()).hexdigest()
        return True

    def _unchanged(self, submission: Submission) -> bool:
        """Takes an earlier outcome over when the same files were graded the same way into this gradebook."""
        earlier = records.load(self._record(submission.learner))
        if earlier is None or earlier.status == FAILED or earlier.version != self.versions[submission.learner]:
            return False
        try:
            entry = self.gradebook.find_submission(self.lab, submission.learner)
        except MissingEntry:
            return False
        notebook = self.layout.autograded / submission.learner / self.lab / f"{self.lab}.ipynb"
        if earlier.status == GRADED and not notebook.is_file():
            return False
        self.outcomes[submission.learner] = replace(
            earlier, score=_points(entry), max_score=float(entry.max_score), needs_manual=bool(entry.needs_manual_grade)
        )
        return True

    def _task(self, submission: Submission) -> Task:
        work = self.layout.work / "running" / str(os.getpid()) / submission.learner
        copy_template(self.layout, self.lab, work / "gradebook.db")
        self._copy_duedate(submission.learner, work / "gradebook.db")
        return Task(
            layout=self.layout,
            learner=submission.learner,
            lab=self.lab,
            folder=submission.folder,
            work=work,
            sandbox=self.sandbox,
            limits=self.limits.as_dict(),
            cell_seconds=self.cell_seconds,
        )

    def _copy_duedate(self, learner: str, db: Path) -> None:
        """The due date with this learner's extension, for nbgrader's late penalty."""
        duedate = self.gradebook.find_assignment(self.lab).duedate
        if duedate is None:
            return
        with contextlib.suppress(MissingEntry):  # a first submission has no extension
            duedate = self.gradebook.find_submission(self.lab, learner).duedate
        with Gradebook(f"sqlite:///{db}", self.course_id) as private:
            private.find_assignment(self.lab).duedate = duedate
            private.db.commit()

    def _take(self, done: Done) -> None:
        """Enters one finished task."""
        task: Task = done.task
        version = self.versions[task.learner]
        graded: Graded | None = done.result
        if graded is None and not done.lost:
            # An exception of ours, or no kernel to be had: that says nothing about the submission.
            self.outcomes[task.learner] = Outcome(task.learner, FAILED, seconds=done.seconds, reasons=(done.trouble,))
        elif graded is None:
            self._refuse(
                Refusal(task.learner, f"{done.trouble}; look into the notebook, then run again", task.learner),
                done.seconds,
                version,
            )
        elif graded.refused:
            self._refuse(Refusal(task.learner, graded.refused, task.learner), done.seconds, version)
        else:
            self._keep(task, graded, done.seconds, version)
        shutil.rmtree(task.work, ignore_errors=True)

    def _keep(self, task: Task, graded: Graded, seconds: float, version: str) -> None:
        assert graded.autograded is not None
        move_in(graded.autograded, self.layout.autograded / task.learner / self.lab)
        entry = enter(self.gradebook, self.lab, self._learner(task.learner), graded)
        outcome = Outcome(
            task.learner,
            GRADED,
            score=_points(entry),
            max_score=float(entry.max_score),
            needs_manual=bool(entry.needs_manual_grade),
            seconds=seconds,
            reasons=graded.reasons,
            version=version,
        )
        self.outcomes[task.learner] = outcome
        records.save(self._record(task.learner), outcome)

    def _refuse(self, refusal: Refusal, seconds: float, version: str) -> None:
        outcome = Outcome(refusal.who, REFUSED, seconds=seconds, reasons=(refusal.reason,), version=version)
        if refusal.learner is None:
            self.refusals.append(outcome)
            return
        recorded = enter_refusal(self.gradebook, self.lab, self._learner(refusal.learner))
        entry = self.gradebook.find_submission(self.lab, refusal.learner)
        if not recorded and version:
            earlier = records.load(self._record(refusal.learner))
            if earlier is not None and earlier.status == GRADED:
                outcome = replace(outcome, reasons=(*outcome.reasons, "the grade from before stays"))
        outcome = replace(outcome, score=_points(entry), max_score=float(entry.max_score))
        self.outcomes[refusal.learner] = outcome
        records.save(self._record(refusal.learner), outcome)

    def _learner(self, name: str) -> Learner:
        return (self.roster or {}).get(name, Learner(name))

    def _record(self, learner: str) -> Path:
        return record_path(self.layout, self.lab, learner)


def _points(entry: object) -> float:
    score, penalty = float(entry.score), float(entry.late_submission_penalty or 0.0)  # type: ignore[attr-defined]
    return max(0.0, score - penalty)

"""What the checks found, as a frame, Markdown or JSON: with what nobody looked at, and what no check can tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from course_lib.finops.compliance.checks import BY_NAME
from course_lib.finops.compliance.controls import FRAMEWORKS, Control, controls_of, uncovered
from course_lib.finops.compliance.results import Result, Settings, Status

if TYPE_CHECKING:
    import pandas as pd

NO_ATTESTATION = (
    "This report is no attestation, no audit and no legal advice. It says what some settings of one account were at "
    "one moment. A control that a check touches is not fulfilled because the check passed."
)
STATES: tuple[Status, ...] = ("failed", "unseen", "passed", "not applicable")


@dataclass(frozen=True)
class Report:
    """The results of one look at an account.

    Attributes:
        account: its number.
        now: AWS's time when it began.
        regions: the regions that were looked at.
        checks: names of the checks that were run.
        settings: the limits.
        results: by check, region and resource.
    """

    account: str
    now: datetime
    regions: tuple[str, ...]
    checks: tuple[str, ...]
    settings: Settings
    results: tuple[Result, ...]

    def of(self, status: Status, check: str | None = None) -> list[Result]:
        """The results of one status, of one check or of all."""
        return [one for one in self.results if one.status == status and check in (None, one.check)]

    @property
    def clean(self) -> bool:
        """Whether nothing failed and everything could be seen."""
        return not self.of("failed") and not self.of("unseen")

    def status_of(self, check: str) -> Status:
        """The worst status among a check's results: failed, then unseen, then passed, then not applicable."""
        found = {one.status for one in self.results if one.check == check}
        return next((state for state in STATES if state in found), "not applicable")

    def covered(self, framework: str) -> dict[str, list[tuple[Control, Status]]]:
        """Check → the controls of a framework that it touches, with the check's status here."""
        return {
            name: [(control, self.status_of(name)) for control in controls_of(name, framework)]
            for name in self.checks
            if controls_of(name, framework)
        }

    def uncovered(self, framework: str) -> list[Control]:
        """The controls of a framework that no check of this run touches."""
        return uncovered(framework, self.checks)

    def frame(self) -> pd.DataFrame:
        """One row for each result: area, check, status, region, resource, evidence, remedy, controls."""
        import pandas as pd

        rows = [
            {
                "area": BY_NAME[one.check].area,
                "check": one.check,
                "status": one.status,
                "region": one.region,
                "resource": one.resource,
                "evidence": one.evidence,
                "remedy": one.remedy,
                "controls": ", ".join(control.label for control in controls_of(one.check)),
            }
            for one in self.results
        ]
        columns = ("area", "check", "status", "region", "resource", "evidence", "remedy", "controls")
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> pd.DataFrame:
        """One row for each check, with how many results have which status."""
        import pandas as pd

        rows = []
        for name in self.checks:
            counts = Counter(one.status for one in self.results if one.check == name)
            rows.append(
                {"check": name, "claim": BY_NAME[name].claim, **{str(state): counts[state] for state in STATES}}
            )
        return pd.DataFrame(rows, columns=("check", "claim", *STATES))

    def as_json(self) -> str:
        """Everything as JSON, with the sentence that it is no attestation."""
        return json.dumps(self.as_dict(), indent=2)

    def as_dict(self) -> dict[str, Any]:
        """The content of `as_json`."""
        return {
            "notice": NO_ATTESTATION,
            "account": self.account,
            "time": self.now.isoformat(),
            "regions": list(self.regions),
            "settings": asdict(self.settings),
            "results": [asdict(one) for one in self.results],
            "controls": {
                framework: {
                    "touched": sorted({c.number for pairs in self.covered(framework).values() for c, _ in pairs}),
                    "no check": [control.number for control in self.uncovered(framework)],
                }
                for framework in FRAMEWORKS
            },
        }

    def markdown(self) -> str:
        """The report to be read: notice, failures, what could not be seen, controls, and what is left to people."""
        counts = Counter(one.status for one in self.results)
        lines = [
            f"# Checks of account {self.account}",
            "",
            f"**{NO_ATTESTATION}**",
            "",
            f"{self.now:%Y-%m-%d %H:%M} UTC, {len(self.regions)} regions, {len(self.checks)} checks: "
            + ", ".join(f"{counts[state]} {state}" for state in STATES)
            + ".",
        ]
        for title, state in (("Failed", "failed"), ("Could not be seen", "unseen")):
            lines += ["", f"## {title}", "", *_results(one for one in self.results if one.status == state)]
        for framework, words in FRAMEWORKS.items():
            lines += ["", f"## {words}", "", *self._controls(framework)]
        return "\n".join(lines) + "\n"

    def _controls(self, framework: str) -> list[str]:
        touched: dict[Control, list[str]] = {}
        for name, pairs in self.covered(framework).items():
            for control, state in pairs:
                touched.setdefault(control, []).append(f"{name}: {state}")
        rows = [
            f"| {_cell(control.label)} {_cell(control.name)} | {'; '.join(states)} | {_cell(control.people)} |"
            for control, states in sorted(touched.items(), key=lambda item: item[0].position)
        ]
        left = self.uncovered(framework)
        table = ["| control | checks | what is left to people |", "|---|---|---|", *rows]
        return [*table, "", f"No check touches {len(left)}: {', '.join(control.number for control in left) or 'none'}."]


def _results(found: Iterable[Result]) -> list[str]:
    rows = [
        f"| {one.check} | {one.region} | {_cell(one.resource)} | {_cell(one.evidence)} | {_cell(one.remedy)} |"
        for one in found
    ]
    if not rows:
        return ["None."]
    return ["| check | region | resource | evidence | remedy |", "|---|---|---|---|---|", *rows]


def _cell(text: str) -> str:
    """Text that can't leave its cell: a resource's name may hold whatever its owner liked."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")

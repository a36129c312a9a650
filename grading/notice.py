"""The feedback page of a submission that could not be graded: what is wrong and what the learner can do."""

from __future__ import annotations

import html
from pathlib import Path

from grading.records import Outcome

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{lab}: feedback for {learner}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: auto; padding: 1rem; }}
</style>
</head>
<body><main>
<h1>{lab}</h1>
<p>{learner}: this submission could not be graded.</p>
<ul>{reasons}</ul>
<p>Points in the gradebook: {score:g} of {max_score:g}. Submit again after the repair, or ask your instructor.</p>
</main></body>
</html>
"""


def write_notice(path: Path, learner: str, lab: str, outcome: Outcome) -> None:
    """Writes the page in the place where the feedback would be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in outcome.reasons)
    page = _PAGE.format(
        lab=html.escape(lab),
        learner=html.escape(learner),
        reasons=reasons,
        score=outcome.score or 0.0,
        max_score=outcome.max_score or 0.0,
    )
    path.write_text(page, encoding="utf-8")

"""Gate: no solution, hidden test, mark scheme or instructor's note occurs in anything a learner gets."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate
from grading.release.regions import KINDS, regions, without_regions
from grading.release.source import INSTRUCTOR_TAG, Lab

LINE = 12  # shorter lines say nothing: `else:`, `return x`
WORDS = 6  # words in a row that count as copied
WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|[0-9][0-9_.e+]*|[^\sA-Za-z_0-9]")
NUMBER = re.compile(r"(?<![\w.])[0-9][0-9_]*\.?[0-9]*(?:e[+-]?[0-9]+)?(?![\w.])")


def check(bench: Bench) -> Finding:
    hidden, visible = split(bench.lab)
    lines = {_squeeze(line) for line in hidden} - {_squeeze(line) for line in visible}
    lines = {line for line in lines if len(line) >= LINE}
    grams = _grams(hidden) - _grams(visible)
    numbers = {n for n in _numbers(hidden) - _numbers(visible) if _is_telling(n)}
    finding = Finding(measured=f"{len(lines)} lines, {len(grams)} word runs, {len(numbers)} numbers looked for")
    bench.released  # noqa: B018 - says in one line if it is missing
    for path in sorted(p for p in bench.course.labs.rglob("*") if p.is_file()):
        name = path.relative_to(bench.course.root)
        text = readable(path)
        told = [_squeeze(line) for line in text]
        for marker in [f"{edge} {kind}" for edge in ("BEGIN", "END") for kind in KINDS]:
            if any(marker in line for line in told):
                finding.problems.append(f"{name} carries the marker {marker}; mark that cell as nbgrader expects.")
        found = [line for line in lines if any(line in other for other in told)]
        found += [" ".join(gram) for gram in sorted(grams & _grams(text))]
        if bench.lab.id in path.parts:  # another lab may well print a year, a paper or a count that this one hides
            found += [f"the number {number}" for number in sorted(numbers & _numbers(text))]
        if found:
            finding.problems.append(
                f"{name} shows hidden text: {found[0][:80]!r} and {len(found) - 1} more; release it again."
            )
    return finding


def split(lab: Lab) -> tuple[list[str], list[str]]:
    """Lines that a learner must not see, and lines that they may."""
    hidden: list[str] = []
    visible: list[str] = []
    for cell in lab.notebook.cells:
        lines = cell.source.split("\n")
        marked = regions(cell.source)
        solution = cell.metadata.get("nbgrader", {}).get("solution", False)
        if INSTRUCTOR_TAG in cell.metadata.get("tags", []) or (solution and not marked):
            hidden += lines
            continue
        hidden += [line for region in marked for line in region.lines]
        visible += without_regions(cell.source)
    return hidden, visible


def readable(path: Path) -> list[str]:
    """A file's text lines; a notebook's strings as a reader sees them, outputs and metadata included."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return text.split("\n")
    try:
        return [line for string in _strings(json.loads(text)) for line in string.split("\n")]
    except ValueError:
        return text.split("\n")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)
        else:
            for item in value:
                yield from _strings(item)


def _squeeze(line: str) -> str:
    return " ".join(line.strip().lstrip("#").split())


def _grams(lines: list[str]) -> set[tuple[str, ...]]:
    words = [word for line in lines for word in WORD.findall(line.lstrip("# "))]
    runs = {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}
    return {run for run in runs if sum(len(w) > 2 for w in run) >= 4 and not any(a == b for a, b in pairwise(run))}


def _is_telling(number: str) -> bool:
    """Four significant digits, or three and an exponent: a tolerance such as 1e-5 gives nothing away."""
    digits, _, exponent = number.partition("e")
    return len(digits.replace(".", "").strip("0")) >= (3 if exponent else 4)


def _numbers(lines: list[str]) -> set[str]:
    return {n.replace("_", "") for line in lines for n in NUMBER.findall(line)}


GATE = Gate(
    name="nothing-leaks",
    proves="no hidden line, run of words or telling number occurs anywhere in labs/",
    made_for="solutions that a course shipped to its learners with the installer",
    check=check,
)

"""Gate: a lab needs nothing that the book explains only after the place where the lab is done."""

import ast

import yaml

from grading.release.bench import Bench
from grading.release.gate import Finding, Gate

READY_ROOMS = {"labkit", "runtime"}
# The part of the book that introduces each room of course_lib; READY_ROOMS need no introduction.
INTRODUCED_IN = {
    "catalog": "foundations",
    "arithmetic": "foundations",
    "runtime": "distributed",
    "models": "distributed",
    "distributed": "distributed",
    "telemetry": "distributed",
    "nki": "accelerators",
    "moe": "moe",
    "serving": "moe",
    "finops": "finops",
    "cases": "cases",
}


def check(bench: Bench) -> Finding:
    header = bench.lab.header
    chapters = chapters_in_order(yaml.safe_load(bench.course.table_of_contents.read_text(encoding="utf-8")))
    finding = Finding(measured=f"{len(header.requires)} chapters, {len(header.rooms)} rooms")
    for chapter in sorted({header.after, *header.requires} - set(chapters)):
        finding.problems.append(
            f"{chapter} is not in {bench.course.table_of_contents.name}; name a chapter of the book."
        )
    if header.after not in chapters:
        return finding
    reached = chapters.index(header.after)
    for chapter in header.requires:
        if chapter in chapters and chapters.index(chapter) > reached:
            finding.problems.append(f"requires {chapter}, which comes after {header.after}; move the lab or the need.")
    used = rooms_used([c.source for c in bench.lab.notebook.cells if c.cell_type == "code"])
    for room in sorted(used - set(header.rooms)):
        finding.problems.append(f"imports course_lib.{room}, which its header does not list under rooms.")
    for room in sorted(set(header.rooms) - used):
        finding.problems.append(f"lists the room {room} but never imports it; remove it from the header.")
    for room in sorted(used - READY_ROOMS):
        part = INTRODUCED_IN.get(room.split(".")[0])
        first = next((i for i, chapter in enumerate(chapters) if f"/{part}/" in f"/{chapter}/"), None)
        if first is None or first > reached:
            finding.problems.append(f"imports course_lib.{room}, which the book introduces after {header.after}.")
    return finding


def chapters_in_order(toc: dict) -> list[str]:
    """The book's files in reading order."""
    found = [toc["root"]]
    for part in toc.get("parts", [toc]):
        for chapter in part.get("chapters", []):
            found.append(chapter["file"])
            found += [section["file"] for section in chapter.get("sections", [])]
    return found


def rooms_used(sources: list[str]) -> set[str]:
    """Rooms of course_lib that code cells import; one reached past its public names is named in full."""
    used = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "course_lib":
                names = [f"course_lib.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            used |= {name.removeprefix("course_lib.") for name in names if name.startswith("course_lib.")}
    return used


GATE = Gate(
    name="no-later-chapter",
    proves="chapters and rooms that a lab needs come before it in the book",
    made_for="a course whose tests of module N needed module N+1",
    check=check,
)

"""Imports go down only: the floors of course_lib, read from the source with ast. Oracle: the list of floors below."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# From top to bottom; a room may import rooms on lower floors only. `may` names the arrows allowed within a floor.
FLOORS = [
    {
        "cli",
        "cli_bill",
        "cli_break_even",
        "cli_chargeback",
        "cli_cloud",
        "cli_comply",
        "cli_cloud_up",
        "cli_cost",
        "cli_dashboard",
        "cli_batch",
        "cli_export",
        "cli_finops",
        "cli_guard",
        "cli_infra",
        "cli_launch",
        "cli_moe",
        "cli_plan",
        "cli_prices",
        "cli_spend",
        "grading",
        "book",
        "labs",
    },
    {"cli_values"},
    {"cases", "serving"},
    {"finops", "telemetry"},
    {"distributed", "moe", "nki"},
    {"models", "runtime", "labkit"},
    {"arithmetic"},
    {"catalog"},
]
SIDEWAYS = {
    ("moe", "distributed"),
    ("cli", "grading"),
    ("cli_bill", "cli"),
    ("cli_break_even", "cli"),
    ("cli_chargeback", "cli"),
    ("cli_cloud", "cli"),
    ("cli_comply", "cli"),
    ("cli_cloud", "cli_cloud_up"),
    ("cli_cloud_up", "cli"),
    ("cli_cost", "cli"),
    ("cli_cost", "cli_bill"),
    ("cli_cost", "cli_break_even"),
    ("cli_cost", "cli_prices"),
    ("cli_batch", "cli"),
    ("cli_finops", "cli"),
    ("cli_finops", "cli_batch"),
    ("cli_finops", "cli_chargeback"),
    ("cli_finops", "cli_cloud"),
    ("cli_finops", "cli_comply"),
    ("cli_finops", "cli_dashboard"),
    ("cli_finops", "cli_export"),
    ("cli_finops", "cli_guard"),
    ("cli_finops", "cli_infra"),
    ("cli_finops", "cli_launch"),
    ("cli_dashboard", "cli"),
    ("cli_export", "cli"),
    ("cli_export", "cli_launch"),
    ("cli_guard", "cli"),
    ("cli_infra", "cli"),
    ("cli_launch", "cli"),
    ("cli_launch", "cli_cloud"),
    ("cli_moe", "cli"),
    ("cli_plan", "cli"),
    ("cli_prices", "cli"),
    ("cli_finops", "cli_spend"),
    ("cli_spend", "cli"),
}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] != "course_lib" else Path(parts[1]).stem


def imported_modules(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(source: str) -> set[str]:
    rooms = set()
    for name in imported_modules(source):
        parts = name.split(".")
        if parts[0] == "course_lib" and len(parts) > 1 and parts[1] in FLOOR:
            rooms.add(parts[1])
        elif parts[0] in ("grading", "book"):
            rooms.add(parts[0])
    return rooms


def forbidden(room: str, target: str) -> bool:
    if room == target or (room, target) in SIDEWAYS:
        return False
    return FLOOR[target] <= FLOOR[room]


SOURCES = [
    path
    for folder in ("course_lib", "grading", "book")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "course_lib/__init__.py" and not {"source", "submitted", "autograded", "demo"} & set(path.parts)
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} is on no floor: add it to the architecture first"
    up = {target for target in rooms_imported(path.read_text()) if forbidden(room, target)}
    assert not up, f"{path.relative_to(ROOT)} ({room}) may not import {sorted(up)}"


def test_the_rule_refuses_an_arrow_that_goes_up_or_sideways():
    assert forbidden("catalog", "arithmetic")
    assert forbidden("arithmetic", "runtime")
    assert forbidden("nki", "moe")
    assert forbidden("nki", "distributed")
    assert not forbidden("nki", "runtime")
    assert forbidden("finops", "telemetry")
    assert not forbidden("cases", "moe")
    assert rooms_imported("def f():\n    from course_lib.finops.x import y") == {"finops"}
    assert rooms_imported("from course_lib import moe") == {"moe"}


def test_outsiders_use_only_a_rooms_public_names():
    """Nothing outside a room reaches deeper than its `__init__`, the bootstrap (which runs before it) aside."""
    deep = []
    for path in SOURCES:
        for name in imported_modules(path.read_text()):
            parts = name.split(".")
            if parts[0] != "course_lib" or len(parts) < 3 or parts[1] not in FLOOR or room_of(path) == parts[1]:
                continue
            if (ROOT / "course_lib" / parts[1] / f"{parts[2]}.py").exists() and not _is_public(parts[1], parts[2]):
                deep.append(f"{path.relative_to(ROOT)}: {name}")
    assert deep == []


def _is_public(room: str, name: str) -> bool:
    tree = ast.parse((ROOT / "course_lib" / room / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return name in ast.literal_eval(node.value)
    return False


HEAVY_STACKS = {"torch_neuronx", "habana_frameworks", "lightning"}


def test_each_optional_hardware_stack_is_imported_in_at_most_one_file():
    seen: dict[str, list[str]] = {}
    for path in SOURCES:
        for name in imported_modules(path.read_text()):
            if name.split(".")[0] in HEAVY_STACKS:
                seen.setdefault(name.split(".")[0], []).append(str(path.relative_to(ROOT)))
    assert all(len(set(files)) == 1 for files in seen.values()), seen

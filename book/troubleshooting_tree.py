"""The troubleshooting page's decision tree: read from TOML, checked, and written as nested MyST dropdowns.

Dropdowns are plain `<details>` elements: they open with the keyboard, need no script, and the search finds their text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).with_name("troubleshooting.toml")


class TreeError(ValueError):
    """A node that leads nowhere, is reached twice or not at all, or both asks and answers."""


@dataclass(frozen=True)
class Node:
    """One step: `choose` is what the reader recognizes; it either leads on (`next`) or ends (`cause` and `remedy`)."""

    id: str
    choose: str
    next: tuple[str, ...] = ()
    cause: str = ""
    remedy: str = ""

    @property
    def ends(self) -> bool:
        """True for a leaf."""
        return not self.next


def load_tree(path: Path = TREE) -> dict[str, Node]:
    """Read the tree and refuse one in which a reader could get lost.

    Returns:
        Nodes by id; the first one is the root.

    Raises:
        TreeError: names the node and what is wrong with it.
    """
    nodes: dict[str, Node] = {}
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["node"]:
        node = Node(**{**row, "next": tuple(row.get("next", ()))})
        if node.id in nodes:
            raise TreeError(f"node {node.id!r} occurs twice in {path.name}")
        if node.ends != bool(node.cause and node.remedy):
            raise TreeError(
                f"node {node.id!r} must either ask (next) or answer (cause and remedy), not both or neither"
            )
        nodes[node.id] = node
    reached = [child for node in nodes.values() for child in node.next]
    for child in reached:
        if child not in nodes:
            raise TreeError(f"{child!r} is an answer of some node, but no node has that id")
    for name in list(nodes)[1:]:
        if reached.count(name) != 1:
            raise TreeError(f"node {name!r} is reached {reached.count(name)} times; exactly once makes a tree")
    return nodes


def as_myst(nodes: Mapping[str, Node]) -> str:
    """The tree as nested dropdowns in MyST, without the root's own question."""
    root = next(iter(nodes.values()))
    return "\n".join(_dropdown(nodes, child, depth=0) for child in root.next)


def _dropdown(nodes: Mapping[str, Node], name: str, depth: int) -> str:
    node = nodes[name]
    fence = ":" * (9 - depth)  # an outer fence is longer than those inside it; colons, since titles hold backticks
    if node.ends:
        body = f"**Cause.** {node.cause}\n\n**Remedy.** {node.remedy}"
    else:
        body = "\n".join(_dropdown(nodes, child, depth + 1) for child in node.next)
    return f"{fence}{{dropdown}} {node.choose}\n:name: trouble-{node.id}\n\n{body}\n{fence}\n"

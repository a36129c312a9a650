"""The troubleshooting tree: every reader who follows it arrives at a remedy."""

import re
from pathlib import Path

import pytest

from book.troubleshooting_tree import TreeError, as_myst, load_tree

ROOT = Path(__file__).parents[2]


def test_every_path_ends_with_a_remedy_within_three_choices() -> None:
    """Oracle: a walk along all paths from the root."""
    nodes = load_tree()
    paths = [["root"]]
    while paths:
        path = paths.pop()
        node = nodes[path[-1]]
        assert len(path) <= 4, path
        if node.ends:
            assert node.remedy
        paths += [[*path, child] for child in node.next]


def test_every_make_target_that_a_remedy_names_exists() -> None:
    """Oracle: the Makefile's own targets."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = (ROOT / "book" / "troubleshooting.toml").read_text()
    named = {target for target in re.findall(r"`make ([a-z-]+)", text)}
    assert named
    assert named <= targets


def test_fences_nest() -> None:
    """Oracle: a stack of fences; each closes the one opened last, and an inner one is shorter."""
    stack: list[int] = []
    for line in as_myst(load_tree()).splitlines():
        colons = len(line) - len(line.lstrip(":"))
        if colons < 3:
            continue
        if line.strip(":"):
            assert not stack or colons < stack[-1]
            stack.append(colons)
        else:
            assert stack.pop() == colons
    assert stack == []


LEAF = '[[node]]\nid = "{}"\nchoose = "c"\ncause = "because"\nremedy = "do this"\n'
ASK = '[[node]]\nid = "root"\nchoose = "what?"\nnext = {}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ASK.format('["a"]'), "'a' is an answer"),
        (ASK.format('["a"]') + LEAF.format("a") + LEAF.format("b"), "'b' is reached 0 times"),
        (ASK.format('["a", "a"]') + LEAF.format("a"), "'a' is reached 2 times"),
        (ASK.format('["a"]') + LEAF.format("a") * 2, "'a' occurs twice"),
        (ASK.format('["a"]') + '[[node]]\nid = "a"\nchoose = "c"\ncause = "only"\n', "'a' must either ask"),
        (ASK.format('["a"]') + LEAF.format("a") + 'next = ["root"]\n', "'a' must either ask"),
    ],
)
def test_a_tree_in_which_a_reader_gets_lost_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "tree.toml"
    file.write_text(text)
    with pytest.raises(TreeError, match=message):
        load_tree(file)

"""The hash changes with what a cell can read, and with nothing else. Oracle: edits to a small copy of the layout."""

from pathlib import Path

import pytest

from book.kit.freshness import execution_key, page_key, prune


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "course_lib/catalog/prices.py",
        "course_lib/catalog/data/prices.csv",
        "book/kit/figures.py",
        "book/outline.toml",
        "book/_ext/offline.py",
        "book/_static/custom.css",
        "book/start/welcome.md",
        "requirements.lock",
        "_config.yml",
        "README.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "course_lib/catalog/prices.py",
        "course_lib/catalog/data/prices.csv",
        "book/kit/figures.py",
        "book/outline.toml",
        "requirements.lock",
    ],
)
def test_code_facts_and_pins_are_in_the_execution_key(root: Path, name: str) -> None:
    before = execution_key(root), page_key(root)
    (root / name).write_text("after")
    assert execution_key(root) != before[0]
    assert page_key(root) != before[1]


@pytest.mark.parametrize("name", ["book/_ext/offline.py", "book/_static/custom.css", "_config.yml"])
def test_looks_are_in_the_page_key_only(root: Path, name: str) -> None:
    before = execution_key(root), page_key(root)
    (root / name).write_text("after")
    assert execution_key(root) == before[0]
    assert page_key(root) != before[1]


@pytest.mark.parametrize("name", ["book/start/welcome.md", "README.md"])
def test_a_page_s_own_text_and_the_rest_are_in_neither(root: Path, name: str) -> None:
    before = execution_key(root), page_key(root)
    (root / name).write_text("after")
    assert (execution_key(root), page_key(root)) == before


def test_a_new_a_deleted_and_a_renamed_file_each_count(root: Path) -> None:
    keys = {execution_key(root)}
    (root / "course_lib/new.py").write_text("")
    keys.add(execution_key(root))
    (root / "course_lib/new.py").rename(root / "course_lib/renamed.py")
    keys.add(execution_key(root))
    assert len(keys) == 3
    (root / "course_lib/renamed.py").unlink()
    assert execution_key(root) in keys


def test_compiled_files_and_times_do_not_count(root: Path) -> None:
    before = execution_key(root)
    (root / "course_lib/catalog/data/x.pyc").write_text("compiled")
    (root / "course_lib/catalog/prices.py").touch()
    assert execution_key(root) == before


def test_pruning_keeps_one_cache_and_tells_what_it_deleted(tmp_path: Path) -> None:
    for name in ("old", "older", "now"):
        (tmp_path / name).mkdir()
    assert [path.name for path in prune(tmp_path, keep="now")] == ["old", "older"]
    assert [path.name for path in tmp_path.iterdir()] == ["now"]
    assert prune(tmp_path / "absent", keep="now") == []

"""Pages are executed side by side, once, and a fault is still reported. Oracle: pages that wait for each other."""

import shutil

import pytest
import yaml

from book.kit.ahead import cores, execute_ahead, read, sources
from book.kit.build import build

HEAD = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Page NAME

"""
# Each page says that it runs and goes on only when the other does: one after the other, they would wait for ever.
MEETS = """```{code-cell} ipython3
import time
from pathlib import Path

root = Path.cwd().parent
with (root / "NAME-runs").open("a") as runs:
    runs.write("x")
until = time.monotonic() + 60
while not (root / "OTHER-runs").exists():
    if time.monotonic() > until:
        raise TimeoutError("the other page does not run")
    time.sleep(0.05)
print("NAME met OTHER")
```
"""


def page(name, other, text=MEETS):
    return (HEAD + text).replace("NAME", name).replace("OTHER", other)


@pytest.fixture
def root(tmp_path, request):
    ours = request.config.rootpath
    for folder in ("_static", "_templates"):
        shutil.copytree(ours / "book" / folder, tmp_path / "book" / folder)
    shutil.copy(ours / "_config.yml", tmp_path / "_config.yml")
    toc = {"format": "jb-book", "root": "book/a", "parts": [{"caption": "More", "chapters": [{"file": "book/b"}]}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    (tmp_path / "book/references.bib").write_text("")
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "book/a.md").write_text(page("a", "b"))
    (tmp_path / "book/b.md").write_text(page("b", "a"))
    return tmp_path


@pytest.mark.skipif(cores() < 2, reason="one core: pages run one after the other")
def test_two_pages_run_at_the_same_time_and_once(root):
    assert build(root) == 0
    for name, other in (("a", "b"), ("b", "a")):
        assert (root / f"{name}-runs").read_text() == "x"
        assert f"{name} met {other}" in (root / f"_build/html/book/{name}.html").read_text()


def test_what_is_cached_runs_no_more_and_what_failed_is_not_cached(root):
    (root / "book/b.md").write_text(page("b", "a", '```{code-cell} ipython3\nraise ValueError("torn")\n```\n'))
    (root / "b-runs").write_text("")
    cache, pages = root / "cache", sources(root)
    first = execute_ahead(root, cache, pages, workers=2)
    assert [path.name for path, seconds in first.items() if seconds is None] == ["b.md"]
    second = execute_ahead(root, cache, [*pages, pages[1]], workers=2)
    assert {path.name for path in second} == {"b.md"}
    assert (root / "a-runs").read_text() == "x"


def test_a_page_without_code_is_left_out(tmp_path):
    (tmp_path / "prose.md").write_text("# Only prose\n")
    assert read(tmp_path / "prose.md") is None


def test_every_page_of_the_book_has_a_source(request):
    assert all(path.is_file() for path in sources(request.config.rootpath))

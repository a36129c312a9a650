"""`make book` executes what has to be executed, and its exit code tells the truth.

Oracle: a book of one page, whose cell prints a fact of its own `course_lib` and counts its runs in a file.
"""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from book.kit.build import build

PAGE = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A page

```{code-cell} ipython3
import sys
from pathlib import Path

root = Path.cwd().parent
sys.path.insert(0, str(root))
with (root / "runs").open("a") as runs:
    runs.write("x")
from course_lib.fact import FACT

print("the fact is", FACT)
```
"""


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A book of one page with this book's settings."""
    ours = request.config.rootpath
    for folder in ("_static", "_templates"):
        shutil.copytree(ours / "book" / folder, tmp_path / "book" / folder)
    settings = yaml.safe_load((ours / "_config.yml").read_text(encoding="utf-8"))
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(settings))
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (tmp_path / "book/page.md").write_text(PAGE)
    (tmp_path / "book/references.bib").write_text("")
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "course_lib/__init__.py").write_text("")
    (tmp_path / "course_lib/fact.py").write_text("FACT = 41\n")
    (tmp_path / "requirements.lock").write_text("numpy==2.4.6\n")
    return tmp_path


def runs(root: Path) -> int:
    return len((root / "runs").read_text())


def shown(root: Path) -> str:
    return (root / "_build/html/book/page.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_page_runs_again_when_the_library_changes_but_not_for_nothing_or_for_prose(root: Path) -> None:
    assert build(root) == 0
    assert runs(root) == 1
    assert "the fact is 41" in shown(root)

    assert build(root) == 0
    assert runs(root) == 1, "nothing changed, yet the page was executed"

    (root / "course_lib/fact.py").write_text("FACT = 42\n")
    assert build(root) == 0
    assert runs(root) == 2
    assert "the fact is 42" in shown(root)
    assert len(list((root / ".jb-cache").iterdir())) == 1, "the cache of the old library was kept"

    (root / "book/page.md").write_text(PAGE.replace("# A page", "# Another title"))
    assert build(root) == 0
    assert runs(root) == 2, "only prose has changed, yet the page was executed"
    assert "Another title" in shown(root)


@pytest.mark.slow
def test_a_failing_cell_fails_the_build_each_time_and_shows_its_traceback(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (root / "book/page.md").write_text(PAGE.replace('print("the fact is", FACT)', "FACT / 0"))
    for attempt in range(2):
        assert build(root) == 1, f"attempt {attempt}"
        said = re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().err)
        assert "ZeroDivisionError: division by zero" in said
        assert "book/page.html: a cell failed" in said
    (root / "book/page.md").write_text(PAGE)
    assert build(root) == 0


FAULTS = {
    "![](picture.png)": "has no alt text",
    "[nowhere](nowhere.md)": "nowhere.md",
    "{cite}`nobody2026`": "nobody2026",
    "{glue:text}`never-glued`": "never-glued",
    "```{code-cell} ipython3\nimport warnings; warnings.warn('old name')\n```": "stderr was found",
    "```{code-cell} ipython3\nfrom IPython.display import HTML\nHTML('<svg></svg>')\n```": "inline drawing",
}


def test_each_fault_of_a_page_is_named_and_fails_the_build(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # the smallest of pictures, so that only its words are missing
    (root / "book/picture.png").write_bytes(bytes.fromhex("89504e470d0a1a0a"))
    (root / "book/page.md").write_text("\n\n".join([PAGE, *FAULTS]))
    assert build(root) == 1
    said = capfd.readouterr().err
    assert [fault for fault, named in FAULTS.items() if named not in said] == []

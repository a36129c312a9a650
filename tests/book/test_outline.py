"""The outline of the course against the hours that the course promises, and against the labs on disk."""

from pathlib import Path

import pytest

from book.outline import OutlineError, outline, part

ROOT = Path(__file__).parents[2]


def test_hours_add_up_to_the_55_that_are_promised() -> None:
    """Oracle: the promise itself: 18 hours of reading, 24 of labs, 10 of project, 3 of assessment."""
    parts = outline()
    assert sum(p.reading_hours for p in parts) == 18
    assert sum(p.lab_hours for p in parts) == 24
    assert sum(p.project_hours for p in parts) == 10
    assert sum(p.assessment_hours for p in parts) == 3
    assert sum(p.total_hours for p in parts) == 55


def test_labs_are_numbered_without_a_gap_in_reading_order() -> None:
    """Oracle: the numbers 0 to 11 in the ids."""
    numbers = [int(lab.id[3:5]) for p in outline() for lab in p.labs]
    assert sorted(numbers) == list(range(12))
    assert numbers == sorted(numbers)


def test_exactly_the_labs_called_written_are_released() -> None:
    """Oracle: the folders under labs/."""
    written = {lab.id for p in outline() for lab in p.labs if lab.status == "written"}
    released = {folder.name for folder in (ROOT / "labs").glob("lab*") if folder.is_dir()}
    assert written == released


def test_every_part_has_a_folder_with_a_page() -> None:
    """Oracle: the files under book/."""
    for p in outline():
        assert list((ROOT / "book" / p.id).glob("*.md")), p.id


def test_every_question_ends_with_a_question_mark() -> None:
    for p in outline():
        for chapter in p.chapters:
            assert chapter.question.endswith("?"), chapter.title


ROW = """[[parts]]
id = "{id}"
number = 0
title = "T"
purpose = "P"
reading_hours = 1.0
needs = {needs}
chapters = [{{ title = "C", question = "Q?", status = "{status}" }}]
labs = []
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.format(id="a", needs='["b"]', status="written"), "'b', which does not come before"),
        (ROW.format(id="a", needs="[]", status="soon"), "'soon' is not one of"),
        (ROW.format(id="a", needs="[]", status="planned") * 2, "'a' occurs twice"),
    ],
)
def test_a_contradictory_outline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "outline.toml"
    file.write_text(text)
    with pytest.raises(OutlineError, match=message):
        outline(file)


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(OutlineError, match=r"no part 'nki'.*foundations"):
        part("nki")

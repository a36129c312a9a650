"""Files that are whole or not there. Oracle: what a second reader finds in the folder."""

import pytest

from course_lib.runtime import whole_file


def test_a_draft_takes_the_place_of_what_was_there_at_the_end(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with whole_file(path) as draft:
        draft.write_text("new")
        assert draft.name == path.name  # formats that keep their file's name keep the right one
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_is_there_and_no_draft(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def until_the_disk_is_full():
        with whole_file(path) as draft:
            draft.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        until_the_disk_is_full()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_wrote_nothing_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "never.txt"):
        pass
    assert list(tmp_path.iterdir()) == []

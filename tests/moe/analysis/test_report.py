"""The report as a browser's parser sees it, and its numbers against the run's own records."""

import json
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from course_lib.moe import MoEError
from course_lib.moe.analysis import collect, save_counts, summarize, write_report


class Page(HTMLParser):
    """Oracle: Python's own parser, which says what tags and sources a page has."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def folder(recorded, windows):
    path, model, _ = recorded
    save_counts(path, collect(model, windows), ["letters", "<digits>"], [f"w{i}" for i in range(32)])
    return path


def test_one_file_that_asks_no_other_host(folder, tmp_path):
    page = Page(write_report(folder, tmp_path / "report.html").read_text())
    assert page.sources == []
    assert page.tags.count("figure") == 3 + 2 + 4  # loss and two curves; a load map each; two maps of each layer
    text = " ".join(page.words)
    assert "<digits>" in text or "\\u003cdigits" in text  # the domain's name does not become a tag
    assert "digits" not in page.tags
    assert "No alarm" in text


def test_the_summary_is_the_last_record(folder, recorded):
    summary = summarize(folder)
    last = recorded[2].records[-1]["layers"]
    assert summary["steps"] == 6
    assert [row["entropy"] for row in summary["layers"]] == [state["entropy"] for state in last]
    load = last[0]["load"]
    assert summary["layers"][0]["max_violation"] == pytest.approx(max(load) / (sum(load) / 4) - 1)
    assert len(summary["specialization"]) == 2


def test_a_run_that_is_still_training_has_a_report(recorded, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    (part / "routing.jsonl").write_text((recorded[0] / "routing.jsonl").read_text()[:-30])
    assert summarize(part)["loss"] is None
    assert write_report(part).name == "report.html"


def test_no_run_no_report(tmp_path):
    with pytest.raises(MoEError, match=r"has no routing\.jsonl"):
        write_report(tmp_path)
    (tmp_path / "routing.jsonl").touch()
    with pytest.raises(MoEError, match="no record yet"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_command_writes_the_file_or_prints_json(folder, tmp_path):
    runner = CliRunner()
    out = tmp_path / "page.html"
    done = runner.invoke(main, ["moe", "report", str(folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.is_file()
    assert str(out) in done.output
    done = runner.invoke(main, ["moe", "report", str(folder), "--json"])
    assert json.loads(done.output)["steps"] == 6
    done = runner.invoke(main, ["moe", "report", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "routing.jsonl" in done.output
    assert "Traceback" not in done.output

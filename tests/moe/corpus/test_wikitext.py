"""A learner's own WikiText: what its format holds, and what is told when a folder is not it."""

import pytest

from course_lib.moe import MoEError
from course_lib.moe.corpus import build_tokenizer, load_tokenizer, load_wikitext

TRAIN = """ \n = Robert <unk> = \n \n Robert <unk> is an English actor , who played \n \n = = Career = = \n \n In 2000 .
 \n = Du Fu = \n \n Du Fu was a poet ; he wrote a = b = c once . \n"""


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "train": TRAIN,
        "valid": " \n = One = \n \n Text of it . \n",
        "test": " \n = Two = \n x \n",
    }.items():
        (tmp_path / f"wiki.{name}.tokens").write_text(text, encoding="utf-8")
    return tmp_path


def test_articles_are_cut_at_titles_and_not_at_sections(folder):
    """Oracle: the file above, read by eye."""
    corpus = load_wikitext(folder)
    assert corpus.domains == ("wikitext",)
    first, second = corpus.texts["train"]["wikitext"]
    assert first.strip().startswith("= Robert <unk> =")
    assert "= = Career = =" in first
    assert second.strip().startswith("= Du Fu =")
    assert first.count("\n") + second.count("\n") > 4


def test_an_unknown_word_is_one_id_and_nothing_else_is_lost(folder):
    """Oracle: the text of the file, with the mark in its place."""
    corpus, tokenizer = load_wikitext(folder), load_tokenizer()
    ids = corpus.tokens("train", "wikitext")
    assert (ids == tokenizer.unknown).sum() == 2
    assert (ids == tokenizer.end).sum() == 2
    documents = "".join(f"{text}<|endoftext|>" for text in corpus.texts["train"]["wikitext"])
    assert tokenizer.decode(ids.tolist(), marks=True) == documents


def test_it_trains_like_the_shipped_text(folder):
    """Oracle: shapes that `TokenBatches` promises."""
    own = build_tokenizer([TRAIN], 300)
    corpus = load_wikitext(folder, own)
    assert corpus.vocab_size <= 300
    assert corpus.batches("train", 2, 8)[4].tokens.shape == (2, 8)
    assert len(corpus.windows("validation", 4)) >= 1


def test_raw_files_are_read_too(folder):
    for path in list(folder.iterdir()):
        path.rename(path.with_suffix(".raw"))
    assert len(load_wikitext(str(folder)).texts["train"]["wikitext"]) == 2


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (
            lambda path: (path / "wiki.valid.tokens").unlink(),
            r"has no wiki\.valid\.tokens \(there is: wiki\.test\.tokens",
        ),
        (lambda path: (path / "wiki.test.tokens").write_text(" \n"), r"wiki\.test\.tokens' is empty"),
        (lambda path: (path / "wiki.test.tokens").write_bytes(b"caf\xe9 = x"), "is no UTF-8 from byte 3 on"),
        (lambda path: (path / "wiki.test.tokens").write_text("t e x t", "utf-16-le"), "holds zero bytes"),
    ],
    ids=["missing", "empty", "latin1", "utf16"],
)
def test_a_broken_copy_is_told_apart(folder, harm, told):
    harm(folder)
    with pytest.raises(MoEError, match=told):
        load_wikitext(folder)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(MoEError, match=r"is no folder\. Remedy: unpack WikiText"):
        load_wikitext(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MoEError, match="there is: nothing"):
        load_wikitext(tmp_path / "empty")

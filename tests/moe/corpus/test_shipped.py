"""The text that comes with the course: its splits, its tokens and its license note."""

import hashlib
from pathlib import Path

import pytest
import torch

import course_lib.moe.corpus as package
from course_lib.moe import MoEError
from course_lib.moe.corpus import HELD_BACK, TRAINED_ON, load_corpus, row_domains
from course_lib.moe.corpus.shipped import read_domain, shipped_documents

DATA = Path(package.__file__).parent / "data"
FROZEN = "ca5b27e8230eabf8"  # of the first batches, when the text was frozen


def test_documents_read_like_their_domains():
    """Oracle: first sentences and headwords of the printed works."""
    assert read_domain("novels")[0].startswith(
        "Pride and Prejudice. Chapter 1\n\nIt is a truth universally acknowledged, that a single man in possession of "
        "a good fortune, must be in want of a wife.\n"
    )
    assert any(entry.startswith("kluge /klooj/\n") for entry in read_domain("jargon"))
    assert any(text.startswith("# course_lib/models/gpt.py\n") for text in read_domain("code"))
    assert any(entry.startswith("ABSURDITY, n. A statement or belief manifestly") for entry in read_domain("satire"))


@pytest.mark.parametrize("domain", TRAINED_ON + HELD_BACK)
def test_every_document_is_in_exactly_one_split(domain):
    """Oracle: the documents of the file itself."""
    parts = [shipped_documents(split, [domain]) for split in ("train", "validation", "test")]
    assert sorted(document for part in parts for document in part) == sorted(read_domain(domain))
    whole = len(read_domain(domain))
    assert [len(part) for part in parts] == pytest.approx([0.9 * whole, 0.05 * whole, 0.05 * whole], abs=1.5)


def test_every_file_is_named_with_its_license():
    """Oracle: the folder's listing."""
    note = (DATA / "README.md").read_text()
    for path in DATA.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in note
    for domain in TRAINED_ON + HELD_BACK:
        row = next(line for line in note.splitlines() if line.startswith(f"| `{domain}.txt.xz`"))
        assert f"| {len(read_domain(domain)):,} " in row


def test_the_data_stays_small():
    """Oracle: the file system, and the limit of 1.5 MB that the course set itself."""
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_500_000


def test_a_batch_is_the_text_of_its_domain():
    """Oracle: a search for each row's ids in the domain's own ids."""
    corpus = load_corpus(("code", "satire"))
    batches = corpus.batches("validation", 6, 16, seed=3)
    domains = row_domains(batches, 5)
    assert domains.shape == (6,)
    assert {int(domain) for step in range(8) for domain in row_domains(batches, step)} == {0, 1}
    streams = [corpus.tokens("validation", name).tobytes() for name in corpus.domains]
    for row, domain in zip(batches[5].tokens, domains, strict=True):
        assert row.numpy().astype("uint16").tobytes() in streams[domain]
        assert row.numpy().astype("uint16").tobytes() not in streams[1 - domain]
    assert torch.equal(batches[5].tokens[:, 1:], batches[5].targets[:, :-1])


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_batch_is_the_same_text_for_any_number_of_ranks(ranks):
    """Oracle: the global batch, read at once."""
    batches = load_corpus(("satire",)).batches("train", 6, 8, seed=1)
    share = 6 // ranks
    parts = [batches[7].rows(rank * share, (rank + 1) * share).tokens for rank in range(ranks)]
    assert torch.equal(torch.cat(parts), batches[7].tokens)


def test_batches_of_today_are_batches_of_tomorrow():
    """Oracle: a hash written down when the corpus was frozen; a new one would make old results incomparable."""
    batch = load_corpus(("satire",)).batches("train", 4, 16, seed=0)[3]
    assert hashlib.sha256(batch.tokens.numpy().tobytes()).hexdigest()[:16] == FROZEN


def test_windows_cover_a_split_once():
    """Oracle: the split's ids, put together again from the windows."""
    corpus = load_corpus(("satire", "code"))
    windows = corpus.windows("test", 32)
    for number, name in enumerate(corpus.domains):
        mine = windows.domains == number
        ids = torch.from_numpy(corpus.tokens("test", name).astype("int64"))
        joined = windows.tokens[mine].flatten()
        assert torch.equal(joined, ids[: len(joined)])
        assert torch.equal(windows.targets[mine].flatten(), ids[1 : len(joined) + 1])
        assert len(ids) - 1 - len(joined) < 32
    few = corpus.windows("test", 32, most=3)
    assert few.domains.tolist() == [0] * 3 + [1] * 3
    assert sum(len(batch) for batch, _ in few.batches(4)) == 6


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: load_corpus(("poems",)), "domain='poems' does not come with the course"),
        (lambda: load_corpus("code"), "domains='code' must name at least one"),
        (lambda: load_corpus(()), r"domains=\(\) must name at least one"),
        (lambda: load_corpus(("code", "code")), "each once"),
        (lambda: shipped_documents("dev"), "split='dev' is not known. Remedy: use one of train, validation, test"),
        (lambda: load_corpus(("satire",)).tokens("test", "code"), "domain='code' is not in corpus"),
        (lambda: load_corpus(("satire",)).windows("test", 0), "sequence_length=0 must be a whole number"),
        (lambda: load_corpus(("satire",)).windows("test", 10**6), "is longer than the text"),
        (lambda: load_corpus(("satire",)).windows("test", 8, most=0), "most=0 must be"),
    ],
    ids=["domain", "word", "none", "twice", "split", "other-domain", "zero", "long", "most"],
)
def test_bad_requests_are_refused(call, told):
    with pytest.raises(MoEError, match=told):
        call()

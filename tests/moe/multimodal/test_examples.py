"""Questions and their answers. Oracle: arithmetic on the labels by Python, and the shift of one token."""

import pytest
import torch

from course_lib.distributed import TrainingSetupError
from course_lib.moe import MoEError
from course_lib.moe.multimodal import (
    KINDS,
    WORDS,
    ImageShape,
    ImageTextBatches,
    answer,
    blind_accuracy,
    decode,
    encode,
    load_digits,
    question,
    quiz,
    rows_of,
    sequence_length,
)
from tests.moe.multimodal.cases import IMAGE

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize("label", range(10))
@pytest.mark.parametrize("than", range(10))
def test_answers_are_true(label, than):
    """Oracle: Python's comparison, and its remainder."""
    assert answer("name", label) == NAMES[label]
    assert (answer("larger", label, than) == "yes") == (label > than)
    assert (answer("even", label) == "yes") == (label in (0, 2, 4, 6, 8))


def test_words_come_back_from_their_ids():
    """Oracle: the text itself; each word has an id of its own."""
    assert len(set(WORDS)) == len(WORDS)
    for kind in KINDS:
        text = question(kind, 7)
        assert decode(encode(text)) == text
        assert len(text.split()) == 6


def test_rows_hold_the_question_the_image_and_what_is_to_be_predicted():
    """Oracle: the row written out, and the shift of one token between tokens and targets."""
    digits = load_digits("test")
    rows = rows_of(digits, [(3, "larger", 5), (8, "name", 0)], IMAGE)
    label = int(digits.labels[3])
    text = f"is it larger than five ? {'yes' if label > 5 else 'no'} ."
    assert decode(rows.tokens[0].tolist()) == "<image> " * 16 + text.removesuffix(" .")
    assert rows.targets[0, :-2].tolist() == [-100] * 21
    assert decode(rows.targets[0, -2:].tolist()) == " ".join(text.split()[-2:])
    assert torch.equal(rows.tokens[:, -1], rows.targets[:, -2])
    assert torch.equal(rows.pixels, digits.pixels[[3, 8]])
    assert rows.tokens.shape[1] == sequence_length(IMAGE)
    blind = rows_of(digits, [(3, "larger", 5)], None)
    assert blind.pixels is None
    assert torch.equal(blind.tokens, rows.tokens[:1, 16:])
    part = rows.rows(1, 2)
    assert torch.equal(part.pixels, digits.pixels[8:9])


def test_a_quiz_asks_each_image_each_kind_once():
    """Oracle: counts in plain Python."""
    digits = load_digits("test")
    rows, kinds = quiz(digits, IMAGE)
    assert len(rows) == len(kinds) == 3 * len(digits)
    assert kinds[:3] == list(KINDS)
    assert torch.equal(rows.pixels[::3], digits.pixels)
    assert decode(rows.targets[::3, -2].tolist()).split() == [NAMES[label] for label in digits.labels.tolist()]


def test_batches_are_the_same_by_number_and_ask_for_names_half_of_the_time():
    """Oracle: a second object of the same settings; counts over many rows, against 1/2 and 1/4."""
    batches = ImageTextBatches(load_digits("train"), 400, IMAGE, seed=3)
    first, again = batches[5], ImageTextBatches(load_digits("train"), 400, IMAGE, seed=3)[5]
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.tokens, batches[6].tokens)
    asked = [decode(row[16:-1].tolist()) for step in range(5) for row in batches[step].tokens]
    assert sum(text.startswith("which") for text in asked) / 2000 == pytest.approx(1 / 2, abs=0.04)
    for word in ("even", "larger"):
        assert sum(word in text.split() for text in asked) / 2000 == pytest.approx(1 / 4, abs=0.04)


def test_the_best_blind_guess_is_the_commonest_answer():
    """Oracle: counts of the labels, by NumPy's unique and plain comparisons."""
    train, test = load_digits("train"), load_digits("test")
    rows, kinds = quiz(test, IMAGE)
    found = blind_accuracy(train, rows, kinds)
    commonest = int(train.labels.bincount().argmax())
    assert found["name"] == pytest.approx(float((test.labels == commonest).float().mean()))
    mostly_even = float((train.labels % 2 == 0).float().mean()) > 0.5
    assert found["even"] == pytest.approx(float(((test.labels % 2 == 0) == mostly_even).float().mean()))
    right = []
    for row, kind in zip(rows.tokens[:, 16:].tolist(), kinds, strict=True):
        if kind == "larger":
            than = NAMES.index(decode(row).split()[4])
            guess = bool((train.labels > than).float().mean() > 0.5)
            right.append(guess == (decode(row).split()[-1] == "yes"))
    assert found["larger"] == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: encode("which letter ?"), MoEError, "word='letter' is not known"),
        (lambda: decode([3, len(WORDS)]), MoEError, f"id={len(WORDS)} is no word's"),
        (lambda: question("prime"), MoEError, "kind='prime' is not known"),
        (lambda: question("larger", 10), MoEError, "than=10 is no digit"),
        (lambda: ImageTextBatches(load_digits("train"), 0, IMAGE), MoEError, "global_batch=0 must be"),
        (lambda: ImageTextBatches(load_digits("train"), 4, IMAGE)[-1], TrainingSetupError, "step=-1 is before"),
        (lambda: ImageShape(patch=3), MoEError, "patch=3 does not divide height=8"),
    ],
    ids=["word", "id", "kind", "digit", "batch", "step", "patch"],
)
def test_bad_requests_are_refused(call, error, told):
    with pytest.raises(error, match=told):
        call()

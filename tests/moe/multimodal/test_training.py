"""A trained model reads the image. Oracle: logistic regression on the pixels, and the best guess without an image."""

import dataclasses
import functools

import pytest
import torch
import torch.nn.functional as F

from course_lib.arithmetic import count_parameters
from course_lib.distributed import build_engine, train, warmup_cosine
from course_lib.moe import MoEConfig, moe_config
from course_lib.moe.analysis import RoutingRecorder, effective_experts
from course_lib.moe.multimodal import (
    WORDS,
    EntropyLoss,
    ImageTextBatches,
    ImageTextConfig,
    accuracy,
    answers,
    blind_accuracy,
    decode,
    dense_image_text,
    image_text_engine,
    load_digits,
    quiz,
    routing_by_modality,
    sample,
    sequence_length,
)
from tests.moe.multimodal.cases import IMAGE

SHAPE = moe_config(
    layers=2, hidden_size=48, vocab_size=len(WORDS), experts=8, experts_per_token=1, expert_hidden_size=64
)
STEPS = 120
LIMOE = {
    "image": EntropyLoss(local=0.1, global_=0.3, at_least=5),
    "text": EntropyLoss(local=0.1, global_=0.3, at_least=3),
}


def settings(image=IMAGE, **changes):
    moe = MoEConfig.of(SHAPE, normalize=False)
    basics = {"sequence_length": sequence_length(image), "global_batch": 32, "learning_rate": 5e-3}
    return ImageTextConfig(model=SHAPE, moe=moe, **(basics | changes))


@functools.cache
def trained(kind):
    """A model of this kind after `STEPS` steps; made once, on one thread."""
    image = None if kind == "blind" else IMAGE
    config = settings(image, entropy=LIMOE if kind == "limoe" else {})
    config = dense_image_text(config) if kind == "dense" else config
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        engine = build_engine(image_text_engine, config)
        batches = ImageTextBatches(load_digits("train"), 32, image)
        train(engine, batches, STEPS if kind != "blind" else 40, schedule=warmup_cosine(20, STEPS))
    finally:
        torch.set_num_threads(threads)
    return engine.model


def logistic_regression():
    """Share of test images that a linear classifier of the same pixels names, by LBFGS on the training images."""
    train_set, test = load_digits("train"), load_digits("test")
    weight, bias = torch.zeros(10, 64, requires_grad=True), torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=50, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = F.cross_entropy(train_set.pixels.flatten(1) @ weight.T + bias, train_set.labels)
        value = value + 1e-4 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    found = (test.pixels.flatten(1) @ weight.detach().T + bias.detach()).argmax(1)
    return float((found == test.labels).float().mean())


@pytest.mark.parametrize("kind", ["plain", "dense"])
def test_who_sees_names_most_digits_and_logistic_regression_is_no_worse_by_far(kind):
    """Oracle: logistic regression on the same pixels (0.92 here), and the commonest answers (0.10 here)."""
    rows, kinds = quiz(load_digits("test"), IMAGE)
    found = accuracy(trained(kind), rows, kinds)
    blind = blind_accuracy(load_digits("train"), rows, kinds)
    assert found["name"] > logistic_regression() - 0.2
    assert found["name"] > 5 * blind["name"]
    assert found["even"] > blind["even"] + 0.1


def test_who_does_not_see_is_right_as_often_as_the_commonest_answers():
    """Oracle: counts of the training labels. Of names the best guess is nearly a tie, so that one may guess another."""
    rows, kinds = quiz(load_digits("test"), None)
    found, blind = accuracy(trained("blind"), rows, kinds), blind_accuracy(load_digits("train"), rows, kinds)
    assert found["name"] < 0.15
    assert found["even"] == pytest.approx(blind["even"], abs=0.05)
    assert found["larger"] == pytest.approx(blind["larger"], abs=0.05)


def test_the_answer_follows_the_image():
    """Oracle: the labels of the images that are put in the place of a row's own."""
    rows, kinds = quiz(load_digits("test"), IMAGE)
    names = [number for number, kind in enumerate(kinds) if kind == "name"]
    own = dataclasses.replace(rows, tokens=rows.tokens[names], targets=rows.targets[names], pixels=rows.pixels[names])
    other = dataclasses.replace(own, pixels=own.pixels.roll(1, 0))
    found = answers(trained("plain"), other)
    assert float((found == own.targets[:, -2].roll(1)).float().mean()) > 0.6
    assert float((found == own.targets[:, -2]).float().mean()) < 0.2


def test_limoes_losses_make_tokens_sure_and_leave_the_soft_minimum_of_experts():
    """Oracle: the same run without them; S = 5 for patches and 3 for words, of the mean probabilities."""
    rows, _ = quiz(load_digits("test"), IMAGE)
    plain, limoe = (routing_by_modality(trained(kind), rows) for kind in ("plain", "limoe"))
    assert bool((limoe.local < plain.local - 0.5).all())
    for layer in range(2):
        for modality, least in ((0, 5), (1, 3)):
            assert effective_experts(limoe.probabilities[layer, modality]) == pytest.approx(least, rel=0.2)


def test_a_sample_is_the_row_in_words():
    """Oracle: the row's own tokens."""
    rows, _ = quiz(load_digits("test"), IMAGE)
    asked, given, right = sample(trained("plain"), rows, 2)
    assert asked == decode(rows.tokens[2, 16:-1].tolist()) == "is it larger than four ?"
    assert right == decode([int(rows.tokens[2, -1])])
    assert given in WORDS


def test_the_dense_twin_does_as_much_work_for_a_token():
    """Oracle: the catalog's counts of active parameters."""
    dense = dense_image_text(settings())
    ours, theirs = (count_parameters(config.model).active for config in (settings(), dense))
    assert ours <= theirs <= ours + 2 * 3 * 48
    assert dense.image == settings().image


def test_a_recorder_records_such_a_run(tmp_path):
    """Oracle: tokens of a batch, 32 rows of 23."""
    engine = build_engine(image_text_engine, settings())
    recorder = RoutingRecorder(engine, tmp_path / "run")
    history = train(engine, ImageTextBatches(load_digits("train"), 32, IMAGE), 2, on_step=recorder)
    recorder.finish(history.losses)
    assert [sum(layer["load"]) for layer in recorder.records[1]["layers"]] == [32 * 23, 32 * 23]


def test_weights_of_a_run_start_another():
    """Oracle: the logits before and after."""
    start = trained("plain").state_dict()
    model = settings(start=start).build_model()
    rows, _ = quiz(load_digits("test"), IMAGE)
    few = rows.rows(0, 4)
    torch.testing.assert_close(model(few.tokens, few.pixels), trained("plain")(few.tokens, few.pixels))

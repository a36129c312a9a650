"""Who sees what, and who works on what. Oracle: softmax in NumPy, outputs after a change, and the plain engines."""

import dataclasses

import numpy as np
import pytest
import torch

from course_lib.distributed import TrainingSetupError, build_engine, train
from course_lib.models import GPT, Batch
from course_lib.moe import MoEConfig, MoEError, MoEModel, MoETrainConfig, dense_twin, moe_layers
from course_lib.moe.multimodal import (
    WORDS,
    ImageShape,
    ImageTextBatches,
    ImageTextModel,
    PrefixAttention,
    dense_image_text,
    image_text_engine,
    load_digits,
)
from tests.moe.multimodal.cases import GROUPS, IMAGE, SHAPE, config, random_images, some_rows


@pytest.mark.parametrize("prefix", [0, 1, 4, 7])
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_attention_is_softmax_over_what_may_be_seen(prefix, kv_heads):
    """Oracle: NumPy, query by query over the keys that it may see."""
    generator = torch.Generator().manual_seed(prefix)
    q = torch.randn(2, 2, 7, 4, generator=generator)
    k, v = (torch.randn(2, kv_heads, 7, 4, generator=generator) for _ in range(2))
    found = PrefixAttention(prefix)(q, k, v).numpy()
    for row, head, place in np.ndindex(2, 2, 7):
        seen = range(max(place + 1, prefix if place < prefix else 0))
        keys, values = (part[row, head % kv_heads].numpy()[list(seen)] for part in (k, v))
        weights = np.exp(keys @ q[row, head, place].numpy() / 2)
        np.testing.assert_allclose(found[row, head, place], weights @ values / weights.sum(), rtol=2e-5, atol=1e-6)


def changed(model, rows, tokens=None, pixels=None):
    """(batch, seq) of bool: where the logits differ once tokens or pixels are others."""
    with torch.no_grad():
        before = model(rows.tokens, rows.pixels)
        after = model(rows.tokens if tokens is None else tokens, rows.pixels if pixels is None else pixels)
    return (before - after).abs().amax(-1) > 1e-7


@pytest.mark.parametrize("bidirectional", [True, False])
def test_no_token_sees_a_later_word_and_patches_see_the_image(bidirectional):
    """Oracle: change one input, and look where the output changes."""
    rows = some_rows(2)
    model = ImageTextModel(GPT(dense_twin(SHAPE)), IMAGE, bidirectional=bidirectional)
    tokens = rows.tokens.clone()
    tokens[:, 19] = (tokens[:, 19] + 1) % len(WORDS)
    assert changed(model, rows, tokens=tokens)[0].tolist() == [False] * 19 + [True] * 4
    pixels = rows.pixels.clone()
    pixels[:, :, 2:4, 6:8] = 1 - pixels[:, :, 2:4, 6:8]  # patch 7
    expected = [True] * 23 if bidirectional else [False] * 7 + [True] * 16
    assert changed(model, rows, pixels=pixels)[0].tolist() == expected


def test_ids_at_an_images_places_are_not_read():
    """Oracle: the same logits whatever stands there."""
    rows = some_rows(2)
    tokens = rows.tokens.clone()
    tokens[:, :16] = 5
    assert not bool(changed(config().build_model(), rows, tokens=tokens).any())


def test_rows_do_not_mix():
    """Oracle: each row by itself."""
    rows = some_rows(4)
    model = config().build_model()
    together = model(rows.tokens, rows.pixels)
    alone = torch.cat([model(row.tokens, row.pixels) for row in (rows.rows(i, i + 1) for i in range(4))])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", ["mixture", "dense"])
def test_text_alone_trains_as_the_plain_engine_does(kind):
    """Oracle: engine "single" with `MoEModel` or `GPT`, to the last bit: losses and every weight."""
    settings = config(
        image=None, wide_start=False, moe={"balance_loss": 0.1, "router": "sigmoid_bias"}, microbatch=3, clip_norm=0.5
    )
    fields = {f.name: getattr(settings, f.name) for f in dataclasses.fields(MoETrainConfig)}
    plain = MoETrainConfig(**fields)
    if kind == "dense":
        from course_lib.moe import dense_config

        settings, plain = dense_image_text(settings), dense_config(plain)
    batches = ImageTextBatches(load_digits("train"), 6, None)
    ours, theirs = build_engine(image_text_engine, settings), build_engine("single", plain)
    assert train(ours, batches, 3).losses == train(theirs, batches, 3).losses
    names = {name.replace("core.", "").replace("words.", "tok_embeddings."): name for name in ours.full_state()}
    for name, value in theirs.full_state().items():
        assert torch.equal(ours.full_state()[names[name]], value), name


def test_accumulation_gives_the_gradient_of_the_whole_batch():
    """Oracle: the same batch in one piece; each row has as many targets."""
    rows = some_rows()
    found = []
    for microbatch in (0, 2):
        engine = build_engine(image_text_engine, config(microbatch=microbatch))
        engine.forward_backward(rows)
        found.append({name: parameter.grad for name, parameter in engine.model.named_parameters()})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, msg=name)


def test_with_groups_patches_and_words_share_no_expert():
    """Oracle: each token's place in its row."""
    rows = some_rows()
    model = config(moe=GROUPS, image_experts=3).build_model()
    model(rows.tokens, rows.pixels)
    for layer in moe_layers(model):
        chosen = layer.last_routing.experts.reshape(6, 23)
        assert set(chosen[:, :16].flatten().tolist()) <= {0, 1, 2}
        assert set(chosen[:, 16:].flatten().tolist()) == {3}
    model(rows.tokens[:, 16:])
    assert set(moe_layers(model)[0].last_routing.experts.flatten().tolist()) == {3}, "text alone is text"


def test_a_wide_start_scales_matrices_but_no_router():
    """Oracle: `GPT`'s own start times 1 / (0.02 sqrt(16)); the spread of the drawn patch embedding."""
    narrow, wide = (config(wide_start=wide).build_model().state_dict() for wide in (False, True))
    for name, value in narrow.items():
        scaled = value.dim() > 1 and ".router." not in name and not name.startswith("patches.")
        torch.testing.assert_close(wide[name], value * (12.5 if scaled else 1))
    assert float(wide["patches.projection.weight"].std()) == pytest.approx(1 / 2, rel=0.2)
    assert float(wide["core.layers.0.attention.wq.weight"].std()) == pytest.approx(1 / 4, rel=0.2)


def test_a_group_learns_from_its_own_modality():
    """Oracle: words alone leave the experts of patches without gradient."""
    rows = some_rows(image=None)
    engine = build_engine(image_text_engine, config(moe=GROUPS, image_experts=2, image=None))
    engine.forward_backward(rows)
    for layer in moe_layers(engine.model):
        per_expert = layer.experts.up.grad.flatten(1).abs().sum(1)
        assert per_expert[:2].tolist() == [0, 0]
        assert float(per_expert[2:].sum()) > 0


def test_three_channels_and_other_sizes_go_through():
    """Oracle: the number of logits."""
    image = ImageShape(height=12, width=6, patch=3, channels=3)
    model = ImageTextModel(GPT(dense_twin(SHAPE)), image)
    assert model(torch.ones(2, 9, dtype=torch.int64), random_images(2, image)).shape == (2, 9, len(WORDS))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda rows, model: model(rows.tokens, rows.pixels[:2]), "pixels=2 must be 6 images"),
        (lambda rows, model: model(rows.tokens[:, :16], rows.pixels), "leaves no place for a word behind 16 patches"),
        (lambda rows, model: model(rows.tokens, rows.pixels[:, :, :6]), r"pixels=\(6, 1, 6, 8\) must be"),
        (lambda rows, model: model(rows.tokens, rows.pixels * float("nan")), "=nan must be finite"),
        (lambda rows, model: config(moe={"router": "hash"}).build_model(), "router='hash' needs ids"),
        (
            lambda rows, model: ImageTextModel(
                MoEModel(tied := dataclasses.replace(SHAPE, tied_embeddings=True), MoEConfig.of(tied)), IMAGE
            ),
            "tied_embeddings=True would tie patches to words",
        ),
    ],
    ids=["rows", "words", "size", "nan", "hash", "tied"],
)
def test_what_does_not_fit_is_refused(call, told):
    with pytest.raises(MoEError, match=told):
        call(some_rows(), config().build_model())


def test_other_runs_and_batches_are_refused():
    plain = MoETrainConfig(model=SHAPE)
    with pytest.raises(TrainingSetupError, match="config='MoETrainConfig' builds no model that sees"):
        build_engine(image_text_engine, plain)
    rows = some_rows()
    engine = build_engine(image_text_engine, config())
    with pytest.raises(TrainingSetupError, match="batch='Batch' has no images"):
        engine.step(Batch(rows.tokens, rows.targets))
    with pytest.raises(TrainingSetupError, match="is not \\(global_batch, sequence_length\\)"):
        engine.step(some_rows(5))

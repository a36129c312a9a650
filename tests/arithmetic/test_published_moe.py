"""Parameters of published mixtures. Oracle: the papers' tables and exact counts (catalog/data/published.json)."""

import pytest

from course_lib import arithmetic as a
from course_lib.catalog import ModelConfig, model, published_points


def computed(p):
    i = p.inputs
    if p.topic == "moe_params_exact":
        return a.count_parameters(i["model"] if "model" in i else wider_olmoe(i["intermediate_size"])).total
    if "convention" in i:
        whole = i["convention"] == "active"
        return a.count_parameters(i["model"], active_includes_input_embedding=whole).active / 1e9
    if "model" in i:
        return a.count_parameters(i["model"]).total / 1e9
    if "geglu" in i or "experts_that_fit" in i:
        layers = 2 * i["moe_layers"]  # every second layer has experts, in an encoder and a decoder of equal depth
        experts = i.get("experts_that_fit", i.get("experts"))
        shape = mixture(i["d_model"], i["d_ff"], layers, experts, gated=True, encoder_layers=layers // 2)
        return a.count_parameters(shape).total / 1e9
    if "d_ff" in i:
        return a.count_parameters(mixture(i["d_model"], i["d_ff"], i["layers"], i["experts"])).total / 1e9
    if "M" in i:
        # GLaM's dense model of 130M parameters, whose every second feed-forward block becomes 64 experts
        sparse = a.count_parameters(mixture(i["M"], i["H"], i["L"], i["E"])).ffn
        dense = a.count_parameters(mixture(i["M"], i["H"], i["L"], 0)).ffn
        return (130e6 + sparse - dense) / 1e9
    shape = mixture(1024, 8192, i["layers"], i["experts"])
    return shape.moe_layers * shape.experts


def mixture(hidden, ffn, layers, experts, *, gated=False, encoder_layers=0) -> ModelConfig:
    return ModelConfig(
        name="mixture",
        vocab_size=32_128,
        hidden_size=hidden,
        layers=layers,
        heads=hidden // 64,
        ffn_hidden_size=ffn,
        gated_ffn=gated,
        norm="rmsnorm",
        tied_embeddings=True,
        architecture="encoder_decoder" if encoder_layers else "decoder",
        encoder_layers=encoder_layers,
        experts=experts,
        experts_per_token=1 if experts else 0,
        moe_every=2,
    )


def wider_olmoe(width) -> ModelConfig:
    released = model("olmoe-1b-7b")
    fields = {name: getattr(released, name) for name in ModelConfig.__dataclass_fields__}
    return ModelConfig(**{**fields, "ffn_hidden_size": width, "expert_hidden_size": width})


@pytest.mark.parametrize(
    "point", [p for p in published_points() if p.topic in ("moe_params", "moe_params_exact")], ids=lambda p: p.id
)
def test_our_function_agrees_with_the_published_value(point):
    """Oracle: the value that the source prints, within the tolerance that its printed digits allow."""
    assert computed(point) == pytest.approx(point.value, rel=max(point.tolerance, 1e-12), abs=0)

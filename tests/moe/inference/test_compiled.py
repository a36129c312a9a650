"""The compiled decoder. Oracle: `generate`, which compiles nothing."""

import pytest

from course_lib.moe import MoEError
from course_lib.moe.inference import CompiledDecoder, Sampling, generate, quantize
from tests.moe.inference.small_models import mixture, tokens


@pytest.mark.slow
def test_compiled_text_is_that_of_generate():
    """Oracle: `generate`, greedy and sampled, at several lengths of the prompt."""
    model = mixture(layers=2)
    decoder = CompiledDecoder(model)
    for length, new in ((1, 20), (30, 34)):
        prompt = tokens(length, seed=length).tolist()
        assert decoder.generate(prompt, new) == generate(model, prompt, new)
    drawn = Sampling(temperature=0.8, top_p=0.9, seed=5)
    assert decoder.generate([3], 12, drawn) == generate(model, [3], 12, temperature=0.8, top_p=0.9, seed=5)
    text = generate(model, [3], 12)
    assert decoder.generate([3], 12, Sampling(stop=(text[2],))) == generate(model, [3], 12, stop=[text[2]])


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda: mixture(shared_experts=1), "no shared experts"),
        (lambda: mixture(first_dense_layers=1), "experts in every layer"),
        (lambda: quantize(mixture(), "int8", group_size=8), "plain linear layers"),
    ],
    ids=["shared", "dense-layer", "packed"],
)
def test_a_model_of_another_kind_is_refused(model, told):
    """Oracle: the list of what the compiled block computes."""
    with pytest.raises(MoEError, match=told):
        CompiledDecoder(model())

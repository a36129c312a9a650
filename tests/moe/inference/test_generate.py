"""Generated text. Oracle: Hugging Face's `generate` and logits warpers, with the same weights."""

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from course_lib.moe import MoEError, MoEModel
from course_lib.moe.inference import Sampling, generate, generate_speculatively
from course_lib.moe.inference.sampling import draw, filtered
from tests.moe.inference.small_models import dense, mixture, tokens

PARTS = {"wq": "q_proj", "wk": "k_proj", "wv": "v_proj", "wo": "o_proj"}


def hugging_face(ours: MoEModel) -> MixtralForCausalLM:
    """Mixtral of the same shape and weights."""
    c = ours.config
    theirs = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            intermediate_size=c.expert_hidden_size,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            num_key_value_heads=c.kv_heads,
            num_local_experts=c.experts,
            num_experts_per_tok=c.experts_per_token,
            max_position_embeddings=c.context_length,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).eval()
    with torch.no_grad():
        theirs.model.embed_tokens.weight.copy_(ours.tok_embeddings.weight)
        theirs.model.norm.weight.copy_(ours.norm.weight)
        theirs.lm_head.weight.copy_(ours.output.weight)
        for mine, other in zip(ours.layers.values(), theirs.model.layers, strict=True):
            for name, twin in PARTS.items():
                getattr(other.self_attn, twin).weight.copy_(getattr(mine.attention, name).weight)
            other.input_layernorm.weight.copy_(mine.attention_norm.weight)
            other.post_attention_layernorm.weight.copy_(mine.ffn_norm.weight)
            other.mlp.gate.weight.copy_(mine.feed_forward.router.weight)
            other.mlp.experts.gate_up_proj.copy_(mine.feed_forward.experts.up)
            other.mlp.experts.down_proj.copy_(mine.feed_forward.experts.down)
    return theirs


def test_greedy_text_is_hugging_faces_token_for_token():
    """Oracle: transformers' MixtralForCausalLM.generate."""
    ours = mixture()
    theirs = hugging_face(ours)
    for seed, length in ((0, 1), (1, 7), (2, 30)):
        prompt = tokens(1, length, seed=seed)
        text = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False)
        assert generate(ours, prompt[0].tolist(), 30) == text[0, length:].tolist()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7),
        Sampling(temperature=1.0, top_k=5),
        Sampling(temperature=1.3, top_p=0.6),
        Sampling(temperature=0.9, top_k=20, top_p=0.8),
        Sampling(temperature=1.0, top_p=1e-6),
    ],
    ids=["temperature", "top-k", "top-p", "both", "tiny-top-p"],
)
def test_filters_leave_the_same_tokens_as_hugging_faces_warpers(sampling):
    """Oracle: transformers' TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper in generate's order."""
    logits = torch.randn(4, 100, generator=torch.Generator().manual_seed(0)) * 3
    theirs = TemperatureLogitsWarper(sampling.temperature)(None, logits)
    if sampling.top_k:
        theirs = TopKLogitsWarper(sampling.top_k)(None, theirs)
    if sampling.top_p < 1:
        theirs = TopPLogitsWarper(sampling.top_p)(None, theirs)
    torch.testing.assert_close(filtered(logits, sampling), theirs)


def test_draws_follow_the_distribution_and_the_seed():
    """Oracle: the model's own probabilities; 5 standard errors."""
    model = mixture()
    with torch.no_grad():
        p = model(torch.tensor([[3, 4]]))[0, -1].softmax(-1)
    drawn = [generate(model, [3, 4], 1, temperature=1.0, seed=seed)[0] for seed in range(300)]
    likeliest = int(p.argmax())
    error = float((p[likeliest] * (1 - p[likeliest]) / 300).sqrt())
    assert abs(drawn.count(likeliest) / 300 - float(p[likeliest])) < 5 * error
    assert generate(model, [3], 9, temperature=1.0, seed=4) == generate(model, [3], 9, temperature=1.0, seed=4)


@pytest.mark.parametrize("temperature", [1e-37, 1e-38])
def test_large_logits_over_a_small_temperature_are_drawn_from(temperature):
    """Oracle: the largest, whose share is 1 up to rounding."""
    sampling = Sampling(temperature=temperature, seed=2)
    assert draw(torch.tensor([-500.0, 900.0, 899.0]), sampling, sampling.generator()) == 1


def test_text_ends_at_a_stop_token():
    """Oracle: the text without one."""
    model = dense()
    text = generate(model, [1, 2], 20)
    assert generate(model, [1, 2], 20, stop=[text[4]]) == text[: text.index(text[4]) + 1]


@pytest.mark.parametrize(
    ("prompt", "new", "told"),
    [
        ([], 5, "is empty"),
        ([1] * 60, 5, "65 are more than the context of 64"),
        ([128], 5, "token=128"),
        ([-1], 5, "token=-1"),
        ([1.0], 5, "token=1.0"),
        ([1], 0, "max_new_tokens=0"),
    ],
    ids=["empty", "beyond-context", "unknown-token", "negative-token", "fraction", "nothing-to-do"],
)
def test_a_request_that_cant_be_answered_is_refused(prompt, new, told):
    """Oracle: the model's shape."""
    with pytest.raises(MoEError, match=told):
        generate(dense(), prompt, new)


@pytest.mark.parametrize("temperature", [1e-30, 1e-38, 1e-40, 1e-320])
def test_a_temperature_near_0_is_greedy(temperature):
    """Oracle: the limit of softmax(logits / T) at T = 0, which is all on the largest logit."""
    model = mixture()
    greedy = generate(model, [3, 4], 8)
    assert generate(model, [3, 4], 8, temperature=temperature, seed=1) == greedy
    assert generate(model, [3, 4], 8, temperature=temperature, top_p=0.9, top_k=3, seed=1) == greedy


@pytest.mark.parametrize("top_p", [1e-30, 1e-320])
def test_a_top_p_near_0_is_greedy(top_p):
    """Oracle: the definition: the smallest set of likeliest tokens that reaches the sum is the likeliest alone."""
    model = mixture()
    assert generate(model, [3, 4], 8, temperature=1.0, top_p=top_p, seed=1) == generate(model, [3, 4], 8)


@pytest.mark.parametrize("run", [generate, generate_speculatively], ids=["generate", "speculatively"])
def test_a_model_with_nan_in_its_output_matrix_gives_an_error_and_no_tokens(run):
    """Oracle: NaN written into the weights."""
    model = mixture()
    model.output.weight.data[3, 5] = float("nan")
    with pytest.raises(MoEError, match=r"logits='1 not finite'.*weights"):
        run(model, [1, 2], 3)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"seed": 2**64},
        {"stop": ["."]},
    ],
    ids=str,
)
def test_sampling_numbers_out_of_range_are_refused(options):
    """Oracle: the definitions of the numbers."""
    with pytest.raises(MoEError, match=next(iter(options))):
        generate(dense(), [1], 2, **options)
